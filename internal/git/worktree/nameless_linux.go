package worktree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"github.com/addagent/addagent/internal/git/objects"
	"golang.org/x/sys/unix"
)

// createNameless makes a file in a folder that has no name yet: it is invisible, and nothing is left of it when the
// process is killed. errors.ErrUnsupported: the filesystem has no such files.
func createNameless(in *folder, perm fs.FileMode) (*os.File, int, error) {
	fd, err := unix.Openat(in.fd, ".", unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, uint32(perm))
	switch {
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENOENT), errors.Is(err, unix.EINVAL):
		return nil, -1, errors.ErrUnsupported
	case err != nil:
		return nil, -1, fmt.Errorf("make a file: %w", err)
	}
	return os.NewFile(uintptr(fd), "nameless"), fd, nil
}

// nameNameless gives such a file a name that nothing has yet (else fs.ErrExist).
func nameNameless(fd int, in *folder, name string) error {
	err := unix.Linkat(fd, "", in.fd, name, unix.AT_EMPTY_PATH) // needs a privilege, the other way needs /proc
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) {
		err = unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), in.fd, name, unix.AT_SYMLINK_FOLLOW)
	}
	if err != nil {
		return fmt.Errorf("name a file %s: %w", objects.QuotePath([]byte(name)), err)
	}
	return nil
}
