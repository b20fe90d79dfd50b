package files

import (
	"errors"
	"syscall"
)

// DiskFull tells whether an error comes from a disk that takes nothing more.
func DiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS)
}
