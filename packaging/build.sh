#!/bin/sh
# Makes the packages: programs, manual, completions, documents, SBOM, then .deb and .rpm. One commit gives the same bytes
# each time: all times are that of the commit, and no path of this machine gets in.
#
#	ARCHES='amd64 arm64'  FORMATS='deb rpm'  OUT=dist  VERSION=...   # from the environment, these are the defaults
#	ARCHIVES='linux/amd64 darwin/arm64'                              # also archives with SBOMs (release.sh); none
set -eu
cd "$(dirname "$0")/.."

NFPM=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.44.0 # the newest one whose modules can be had
: "${ARCHES=amd64 arm64}" "${FORMATS=deb rpm}" "${OUT:=dist}" "${ARCHIVES=}"
: "${VERSION:=$(git describe --tags --always --dirty 2>/dev/null || echo unknown)}"
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || echo 0)}"
# Said here, for the Go tool would say it only in some places, and with it give other bytes.
COMMIT=$(git rev-parse --short=12 HEAD 2>/dev/null || true)
BUILD_TIME=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)

# A package's version begins with a digit, has no dash, and grows (~ is before what has none): where nothing is tagged, by the time of the commit.
case $VERSION in
v[0-9]* | [0-9]*.[0-9]*) PKGVERSION=$(printf %s "${VERSION#v}" | sed -E 's/-(alpha|beta|rc)/~\1/; s/-/+/; s/-/./g') ;;
*) PKGVERSION=0.0~$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S).$(printf %s "$VERSION" | tr - .) ;;
esac

mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
STAGE=$OUT/stage
rm -rf "$STAGE"
mkdir -p "$STAGE/docs" "$STAGE/man/man1" "$STAGE/man/man5" "$STAGE/man/man8" "$STAGE/completion/bash" "$STAGE/completion/zsh" "$STAGE/completion/fish" "$STAGE/host"
export SOURCE_DATE_EPOCH CGO_ENABLED=0
go=${GO:-go}

# Tools run on this machine, whatever the programs are made for. Built, not `go run`: that may see no GOARCH of ours.
$go build -o "$STAGE/host/" ./packaging/sbom
[ -z "$ARCHES" ] || GOBIN=$STAGE/host $go install "$NFPM"

# programs OS ARCH FOLDER: both programs and what they were made of. Nodes are Linux: elsewhere only addctl is of use.
programs() {
	mkdir -p "$3"
	all=./cmd/addctl
	[ "$1" != linux ] || all="./cmd/addagent ./cmd/addctl"
	# shellcheck disable=SC2086 # a list
	GOOS=$1 GOARCH=$2 $go build -trimpath -tags nethttpomithttp2 -buildvcs=false \
		-ldflags "-s -w -buildid= -X github.com/addagent/addagent/internal/cli.version=$VERSION -X github.com/addagent/addagent/internal/cli.stamped=$COMMIT" -o "$3/" $all
	"$STAGE/host/sbom" -version "$PKGVERSION" "$3"/add* >"$3/addagent.spdx.json"
}
for ARCH in $ARCHES; do programs linux "$ARCH" "$STAGE/$ARCH"; done

cp docs/*.md docs/*.yaml docs/*.json "$STAGE/docs/"
for page in docs/man/*.[15]; do
	gzip -9nc "$page" >"$STAGE/man/man${page##*.}/$(basename "$page").gz"
done
# The manual page of the bootstrap is its help.
{
	printf '.TH ADDAGENT-BOOTSTRAP 8 "" addagent "addagent manual"\n.SH NAME\naddagent\\-bootstrap \\- turn this machine into a node\n.SH SYNOPSIS\n.B addagent\\-bootstrap\n[\\fIOPTION\\fR]...\n.SH DESCRIPTION\n.nf\n'
	sh packaging/addagent-bootstrap --help | sed 's/\\/\\e/g; s/-/\\-/g; s/^[.]/\\\&./'
	printf '.fi\n.SH SEE ALSO\n.BR addagent (1),\n.BR addagent.yaml (5)\n'
} | gzip -9nc >"$STAGE/man/man8/addagent-bootstrap.8.gz"
host=$($go env GOARCH)
for program in addagent addctl; do
	if [ -x "$STAGE/$host/$program" ]; then run=$STAGE/$host/$program; else
		run=$STAGE/host/$program
		$go build -o "$run" "./cmd/$program"
	fi
	"$run" completion bash >"$STAGE/completion/bash/$program"
	"$run" completion zsh >"$STAGE/completion/zsh/_$program"
	"$run" completion fish >"$STAGE/completion/fish/$program.fish"
done
# The folder's name is that of the archive. Owners, rights and times in it are the same wherever it is made.
for platform in $ARCHIVES; do
	name=addagent_${VERSION#v}_${platform%/*}_${platform#*/}
	programs "${platform%/*}" "${platform#*/}" "$STAGE/archive/$name"
	cp "$STAGE/archive/$name/addagent.spdx.json" "$OUT/$name.spdx.json"
	cp -R LICENSE README.md CHANGELOG.md "$STAGE/docs" "$STAGE/man" "$STAGE/completion" "$STAGE/archive/$name/"
	tar -C "$STAGE/archive" --format=ustar --sort=name --owner=0 --group=0 --numeric-owner --mode='u=rwX,go=rX' \
		--mtime="@$SOURCE_DATE_EPOCH" -cf - "$name" | gzip -9n >"$OUT/$name.tar.gz"
done
# A folder's time and rights go into a package too.
find "$STAGE" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
find "$STAGE" -type d -exec chmod 755 {} +

for ARCH in $ARCHES; do
	# nfpm itself fills in variables in some places only.
	sed "s|\${BUILD_TIME}|$BUILD_TIME|; s|\${ARCH}|$ARCH|g; s|\${PKGVERSION}|$PKGVERSION|; s|\${STAGE}|$STAGE|" packaging/nfpm.yaml >"$STAGE/nfpm.yaml"
	for format in $FORMATS; do
		said=$("$STAGE/host/nfpm" package -f "$STAGE/nfpm.yaml" -p "$format" -t "$OUT") || { printf "%s\n" "$said" >&2; exit 1; }
	done
done
rm -rf "$STAGE"
for package in "$OUT"/addagent[_-]*; do
	printf '%s  %s KB\n' "$package" "$(($(wc -c <"$package") / 1000))"
done
