#!/bin/sh
# What make test-boot needs. Installs it with apt-get where that is possible; else says what is missing and ends with 1.
set -eu
[ "$(uname -s)" = Linux ] || { echo "make test-boot needs Linux" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "make test-boot needs root: it mounts disks and makes network namespaces; try: sudo make test-boot" >&2; exit 1; }
missing=
need() { # need PACKAGE COMMAND
	command -v "$2" >/dev/null 2>&1 || missing="$missing $1"
}
need mmdebstrap mmdebstrap
need systemd-container systemd-nspawn
need iproute2 ip
need util-linux nsenter
need mount losetup
need e2fsprogs mkfs.ext4
need git git
need rpm rpm
if [ -n "$missing" ]; then
	command -v apt-get >/dev/null 2>&1 || { echo "make test-boot needs these packages, please install them:$missing" >&2; exit 1; }
	echo "installing what make test-boot needs:$missing"
	log=$(mktemp)
	if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
		cat "$log" >&2
		rm -f "$log"
		exit 1
	fi
	rm -f "$log"
fi
# What no package gives.
net=addboot$$
ip netns add $net 2>/dev/null || { echo "make test-boot needs network namespaces: ip netns add fails here (a container without CAP_SYS_ADMIN?)" >&2; exit 1; }
ip netns del $net
dir=$(mktemp -d)
trap 'umount "$dir/m" 2>/dev/null; rm -rf "$dir"' EXIT
mkdir "$dir/m" && truncate -s 4M "$dir/disk" && mkfs.ext4 -q "$dir/disk" && mount -o loop "$dir/disk" "$dir/m" ||
	{ echo "make test-boot needs loop devices: mount -o loop fails here" >&2; exit 1; }
mkdir "$dir/m/u" "$dir/m/w" "$dir/l" "$dir/o"
mount -t overlay overlay -o "lowerdir=$dir/l,upperdir=$dir/m/u,workdir=$dir/m/w" "$dir/o" ||
	{ echo "make test-boot needs overlayfs: the kernel has none" >&2; exit 1; }
umount "$dir/o"
