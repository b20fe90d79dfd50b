#!/bin/sh
# Installs addagent and addctl from a release. It installs nothing whose SHA-256 is not in the release's SHA256SUMS.
#
#	curl -fsSL https://github.com/addagent/addagent/releases/latest/download/install.sh | sh -s -- [OPTION]...
set -eu
umask 022

usage() {
	cat <<'USAGE'
usage: install.sh [OPTION]...

  --version V   the release to install, such as v1.0.0 (the latest)
  --from URL    where its files are, in place of GitHub: https, or http on this machine
  --dir DIR     where the programs go (/usr/local/bin)
  --package     install the .deb or .rpm instead, with units and manual pages (Linux, root)

Exit codes: 0 installed, 1 failed, 2 misuse.
USAGE
}

say() { printf 'install.sh: %s\n' "$*" >&2; }
die() {
	say "$*"
	exit 1
}
misuse() {
	say "$* (--help lists the options)"
	exit 2
}

releases=https://github.com/addagent/addagent/releases
from=$releases/latest/download dir=/usr/local/bin package=
while [ $# -gt 0 ]; do
	case $1 in
	-h | --help)
		usage
		exit 0
		;;
	--package) package=yes ;;
	--version | --from | --dir)
		[ -n "${2-}" ] || misuse "$1: its value is missing"
		case $1 in
		--version) from=$releases/download/$2 ;;
		--from) from=${2%/} ;;
		--dir) dir=$2 ;;
		esac
		shift
		;;
	*) misuse "$1: unknown" ;;
	esac
	shift
done
case $from in
https://*) secure='=https' ;;
http://127.0.0.1:* | http://localhost:*) secure='=http' ;;
*) misuse "--from: https://..., or http://127.0.0.1:PORT/..." ;;
esac

case $(uname -s) in
Linux) os=linux ;;
Darwin) os=darwin ;;
*) die "there are no programs for $(uname -s)" ;;
esac
case $(uname -m) in
x86_64 | amd64) arch=amd64 rpmarch=x86_64 ;;
aarch64 | arm64) arch=arm64 rpmarch=aarch64 ;;
*) die "there are no programs for $(uname -m)" ;;
esac
ending=_${os}_$arch.tar.gz
if [ -n "$package" ]; then
	[ $os = linux ] || misuse "--package: only Linux has packages"
	if command -v dpkg >/dev/null; then ending=_$arch.deb; else ending=.$rpmarch.rpm; fi
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# get FILE: downloads it from the release. Redirects stay with https.
get() { curl -fsSL --proto "$secure" --proto-redir "$secure" --retry 3 -o "$work/$1" "$from/$1" || die "$from/$1 cannot be downloaded"; }

sha256() { if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1; }

get SHA256SUMS
# One line a file: the sum, two blanks, the name.
line=$(grep -E "^[0-9a-f]{64}  addagent[A-Za-z0-9._~+-]*$ending\$" "$work/SHA256SUMS") || die "the release has no file for this machine (addagent...$ending)"
[ "$(printf '%s\n' "$line" | wc -l)" -eq 1 ] || die "SHA256SUMS lists several files for this machine"
file=${line#*  }
get "$file"
[ "$(sha256 "$work/$file")" = "${line%% *}" ] || die "$file is not what SHA256SUMS says: nothing was installed"

case $file in
*.deb) dpkg -i "$work/$file" ;;
*.rpm) rpm -U "$work/$file" ;;
*)
	tar -xzf "$work/$file" -C "$work"
	mkdir -p "$dir"
	for program in addagent addctl; do
		[ -f "$work/${file%.tar.gz}/$program" ] || continue
		# Not over a program that runs.
		cp "$work/${file%.tar.gz}/$program" "$dir/.$program.new"
		chmod 755 "$dir/.$program.new"
		mv -f "$dir/.$program.new" "$dir/$program"
		say "installed $dir/$program"
	done
	;;
esac
