// Package memlimit keeps the memory of this process small, and tells when only a restart would.
//
// A limit in the systemd unit would fall on people's work, which lives in the same cgroup.
package memlimit
