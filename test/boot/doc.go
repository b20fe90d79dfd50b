// Package boot holds a test with machines that really boot: Debian under its own systemd, with our package installed.
//
// Two nodes and a git server are containers of systemd-nspawn, each with cgroups, a disk image and a network of its
// own. `make test-boot` runs it; it needs root. What nspawn does not enforce (limits of memory, tasks and CPU) is not
// claimed.
package boot
