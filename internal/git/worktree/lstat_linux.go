package worktree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/addagent/addagent/internal/git/objects"
	"golang.org/x/sys/unix"
)

// stateOf turns what lstat says into what is compared with an index.
func stateOf(info fs.FileInfo) fileState {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return plainState(info)
	}
	return stateOfStat(st)
}

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
	err := unix.Renameat2(from.fd, name, to.fd, target, unix.RENAME_EXCHANGE)
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

// bootID names this boot of the machine; empty when the system has no such thing.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || len(b) < 36 {
		return ""
	}
	return string(b[:36])
}
