package diskspace

import "golang.org/x/sys/unix"

// Free returns the bytes that an ordinary process may still write to the disk of a folder.
func Free(dir string) (int64, bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * s.Bsize, true
}
