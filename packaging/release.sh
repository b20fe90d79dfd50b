#!/bin/sh
# Makes a release in dist/: an archive for each platform, the packages, an SBOM for each, install.sh, the notes out of
# CHANGELOG.md, and SHA256SUMS over all of it. One commit gives the same bytes in any folder, under any umask and zone.
#
#	VERSION=v1.0.0 sh packaging/release.sh     # VERSION is the tag of HEAD where it is not given
#
# ARCHIVES, ARCHES and FORMATS limit what is made, for tests.
set -eu
cd "$(dirname "$0")/.."
umask 022
export LC_ALL=C TZ=UTC

: "${OUT:=dist}" "${ARCHIVES:=linux/amd64 linux/arm64 darwin/amd64 darwin/arm64}"
: "${VERSION:=$(git describe --tags --exact-match 2>/dev/null || true)}"
case $VERSION in
v[0-9]*) ;;
*) echo "release: HEAD has no tag such as v1.0.0: make one, or set VERSION" >&2; exit 1 ;;
esac

# The section of this version, from its heading to the next.
notes=$(awk -v version="${VERSION#v}" '
	/^## / { on = ($2 == version || $2 == "v" version || $2 == "[" version "]"); next }
	on { print }' CHANGELOG.md)
if [ -z "$(printf %s "$notes" | tr -d '[:space:]')" ]; then
	echo "release: CHANGELOG.md has no section \"## ${VERSION#v}\" with text" >&2
	exit 1
fi

rm -rf "$OUT"
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
export OUT VERSION ARCHIVES
sh packaging/build.sh
cp packaging/install.sh "$OUT/install.sh"
chmod 755 "$OUT/install.sh"
printf '%s\n' "$notes" | sed -e '/./,$!d' >"$OUT/NOTES.md"
cd "$OUT"
sha256sum -- * >SHA256SUMS.new
mv SHA256SUMS.new SHA256SUMS
