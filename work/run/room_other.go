//go:build !linux

package run

import "os"

// allocate gives f size bytes of disk that a later write of them cannot be refused.
func allocate(f *os.File, size int64) error { return fillWithZeros(f, size) }
