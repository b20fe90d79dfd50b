// Package boot holds a test with machines that really boot: Debian under its own systemd, with our package installed,
// two nodes and a git server in network namespaces. `make test-boot` runs it; it needs root.
//
// The machines are containers of systemd-nspawn, each with cgroups, a disk image and a network of its own. What nspawn
// does not enforce (limits of memory, tasks and CPU) is not claimed.
package boot
