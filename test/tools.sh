#!/bin/sh
# What the tests need beyond Go, make and git. Installs it with apt-get where that
# is possible; else says what is missing and ends with 1. Of moto it only speaks.
# With "demo-services" only what that demo needs; with "all", also what the race detector and test/servers need; with "images", what make baked and make test-images need.
set -eu
missing=
need() { # need PACKAGE FILE_OR_COMMAND
	case $2 in
	/*) [ -e "$2" ] || missing="$missing $1" ;;
	*) command -v "$2" >/dev/null 2>&1 || missing="$missing $1" ;;
	esac
}
need git git
need bash bash
need haproxy /usr/sbin/haproxy # runs in make demo-services; its opinion of what addagent services writes for it
if [ "${1:-}" != demo-services ]; then
	need openssh-server /usr/sbin/sshd
	need openssh-client ssh-keygen
	need nginx-light /usr/sbin/nginx
	need fcgiwrap /usr/sbin/fcgiwrap
	need tinyproxy-bin /usr/bin/tinyproxy
	need procps ps
	need systemd /usr/bin/systemd-analyze # its opinion of our units
	need shellcheck shellcheck
	need packer packer # validates what addctl packer:create writes
	need curl curl # asks AWS where the aws program is not there
	need nodejs node # runs the tests of the page's pure functions
	need chromium chromium # shows the page
fi
case ${1:-} in all | images) need gcc gcc ;; esac # for the race detector
if [ "${1:-}" = all ]; then # git servers that are not git's own
	need lighttpd /usr/sbin/lighttpd
	need python3-dulwich /usr/lib/python3/dist-packages/dulwich
	need jgit-cli /usr/share/java/org.eclipse.jgit.pgm.jar
	need gitolite3 /usr/bin/gitolite
fi
if [ "${1:-}" = images ]; then
	[ "$(id -u)" = 0 ] || { echo "make test-images needs root: it mounts a file system of its own" >&2; exit 1; }
	command -v moto_server >/dev/null 2>&1 || { echo "make test-images needs moto_server: pip install 'moto[server]'" >&2; exit 1; }
	need vagrant vagrant
	need vagrant-libvirt /usr/share/rubygems-integration/all/specifications/vagrant-libvirt-*.gemspec
fi

# EC2 and Auto Scaling for the tests of cloud/. It comes from PyPI, and a person says
# into which Python. The tests themselves insist on it where CI is set.
[ "${1:-}" = demo-services ] || command -v moto_server >/dev/null 2>&1 ||
	echo "no moto_server here, so tests of cloud/ are skipped, or fail where CI is set: pip install 'moto[server]'" >&2

[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	echo "installing what is needed here:$missing"
	log=$(mktemp)
	if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
		cat "$log" >&2
		rm -f "$log"
		exit 1
	fi
	rm -f "$log"
	exit 0
fi
echo "these packages are needed, please install them:$missing" >&2
exit 1
