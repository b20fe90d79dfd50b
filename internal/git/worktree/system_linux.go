//go:build linux && (amd64 || arm64)

package worktree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"

	"github.com/addagent/addagent/internal/git/objects"
	"golang.org/x/sys/unix"
)

// stateOf turns what lstat says into what is compared with an index.
func stateOf(info fs.FileInfo) fileState { return stateOfStat(info.Sys().(*syscall.Stat_t)) }

func stateOfStat(st *syscall.Stat_t) fileState {
	s := fileState{perm: st.Mode & 0o7777, size: st.Size}
	mode := uint32(0)
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		s.kind, mode = regular, objects.ModeFile
		if st.Mode&0o100 != 0 {
			mode = objects.ModeExecutable
		}
	case syscall.S_IFLNK:
		s.kind, mode = symlink, objects.ModeSymlink
	case syscall.S_IFDIR:
		s.kind, mode = folderKind, objects.ModeSubmodule // the only folders that an index holds
	default:
		s.kind = other
	}
	for i, v := range [...]uint32{
		uint32(st.Ctim.Sec), uint32(st.Ctim.Nsec), uint32(st.Mtim.Sec), uint32(st.Mtim.Nsec),
		uint32(st.Dev), uint32(st.Ino), mode, st.Uid, st.Gid, uint32(st.Size),
	} {
		s.stat.setField(i, v)
	}
	return s
}

// renameInto moves a file from one open folder to another, without resolving any path between.
// Both must have a handle.
func renameInto(from *folder, name string, to *folder, target string) error {
	if err := unix.Renameat(from.fd, name, to.fd, target); err != nil {
		return fmt.Errorf("rename to %s: %w", objects.QuotePath([]byte(target)), err)
	}
	return nil
}

// exchangeInto swaps two files in one step. errors.ErrUnsupported: the filesystem cannot do that.
func exchangeInto(from *folder, name string, to *folder, target string) error {
	return exchange(from.fd, name, to.fd, target)
}

// Exchange is exchangeInto for two paths.
func Exchange(a, b string) error { return exchange(unix.AT_FDCWD, a, unix.AT_FDCWD, b) }

func exchange(from int, name string, to int, target string) error {
	err := unix.Renameat2(from, name, to, target, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return errors.ErrUnsupported
	}
	if err != nil {
		return fmt.Errorf("swap with %s: %w", objects.QuotePath([]byte(target)), err)
	}
	return nil
}

// syncFilesystem makes everything written to the filesystem of a folder durable, in one call for all files.
func syncFilesystem(in *folder) error {
	if err := unix.Syncfs(in.fd); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

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
