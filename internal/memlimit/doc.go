// Package memlimit keeps the memory of this process small, and tells when only a restart would.
package memlimit
