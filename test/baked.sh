#!/bin/sh
# What bakes the agent into machines, checked with its own tools: cfn-lint, packer validate, vagrant validate and
# the linter of shells. Nothing here needs an account, a network or a virtual machine. A tool that is not there is named with how
# to get it; where CI is set that is a failure.
set -eu
cd "$(dirname "$0")/.."
failed=0
have() { # have TOOL HOW_TO_GET_IT
	command -v "$1" >/dev/null 2>&1 && return 0
	echo "baked: no $1 here, its checks are left out. To get it: $2" >&2
	[ -z "${CI:-}" ] || failed=1
	return 1
}

if have cfn-lint "pip install cfn-lint"; then
	cfn-lint cloudformation/*.yaml || failed=1
fi
if have packer "apt-get install packer, or https://developer.hashicorp.com/packer/install"; then
	# Its builders come with packer itself up to 1.6, later with packer init.
	CHECKPOINT_DISABLE=1 packer validate -var package=Makefile packer/addagent.pkr.hcl || failed=1
	CHECKPOINT_DISABLE=1 packer fmt -check packer/ || failed=1
fi
if have vagrant "apt-get install vagrant vagrant-libvirt, or https://developer.hashicorp.com/vagrant/install"; then
	home=$(mktemp -d)
	VAGRANT_HOME=$home VAGRANT_DOTFILE_PATH=$home/dot VAGRANT_CHECKPOINT_DISABLE=1 VAGRANT_CWD=vagrant ADD_PACKAGE=$PWD/Makefile \
		vagrant validate || failed=1
	rm -rf "$home"
fi
if have shellcheck "apt-get install shellcheck"; then
	shellcheck test/baked.sh packer/bake packer/seal packer/debian-disk vagrant/host vagrant/box || failed=1
fi
[ "$failed" = 0 ] || exit 1
echo 'baked: clean'
