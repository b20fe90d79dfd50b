//go:build linux && (amd64 || arm64)

package worktree

import (
	"bytes"
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"github.com/addagent/addagent/internal/git/objects"
	"golang.org/x/sys/unix"
)

// statter looks at files of a work tree in the order of the index, each relative to its open folder: a look-up of one
// name instead of a whole path, and no symlink is followed on the way. It writes nothing.
type statter struct {
	levels []statLevel
	opened func(fd int, path []byte) // when set, is told of each folder before any file in it is looked at
	path   []byte                    // of the innermost folder, with a slash at the end
	name   [maxName + 1]byte
	st     syscall.Stat_t
}

type statLevel struct {
	fd  int // -1: not there, or no folder
	end int // of its path
}

func newStatter(dir string) (*statter, error) {
	fd, err := openFolder(unix.AT_FDCWD, dir)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	return &statter{levels: []statLevel{{fd: fd}}}, nil
}

func openFolder(at int, name string) (int, error) {
	for {
		fd, err := unix.Openat(at, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

func (s *statter) close() {
	for len(s.levels) > 0 {
		s.pop()
	}
}

func (s *statter) pop() {
	last := len(s.levels) - 1
	if fd := s.levels[last].fd; fd >= 0 {
		_ = unix.Close(fd)
	}
	s.levels = s.levels[:last]
}

// enter opens the folder of a path.
func (s *statter) enter(folder []byte) error {
	common := commonPrefix(folder, s.path)
	for s.levels[len(s.levels)-1].end > common {
		s.pop()
	}
	for {
		top := s.levels[len(s.levels)-1]
		if top.end == len(folder) {
			s.path = append(s.path[:0], folder...)
			return nil
		}
		length := bytes.IndexByte(folder[top.end:], '/')
		next := statLevel{-1, top.end + length + 1}
		if top.fd >= 0 {
			fd, err := openFolder(top.fd, string(folder[top.end:top.end+length]))
			switch {
			case err == nil:
				next.fd = fd
			case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
			default:
				s.path = append(s.path[:0], folder[:top.end]...)
				return fmt.Errorf("open folder %s: %w", objects.QuotePath(folder[:next.end]), err)
			}
		}
		s.levels = append(s.levels, next)
		if s.opened != nil {
			s.opened(next.fd, folder[:next.end])
		}
	}
}

// lstat looks at one path.
func (s *statter) lstat(path []byte) (fileState, error) {
	slash := bytes.LastIndexByte(path, '/') + 1
	if !bytes.Equal(path[:slash], s.path) {
		if err := s.enter(path[:slash]); err != nil {
			return fileState{}, err
		}
	}
	fd := s.levels[len(s.levels)-1].fd
	if fd < 0 {
		return fileState{}, nil
	}
	n := copy(s.name[:maxName], path[slash:])
	s.name[n] = 0
	for {
		// unix.Fstatat would copy the name to the heap for each of 60,000 files.
		_, _, errno := unix.Syscall6(unix.SYS_NEWFSTATAT, uintptr(fd), uintptr(unsafe.Pointer(&s.name[0])),
			uintptr(unsafe.Pointer(&s.st)), unix.AT_SYMLINK_NOFOLLOW, 0, 0)
		switch errno {
		case 0:
			return stateOfStat(&s.st), nil
		case unix.EINTR:
		case unix.ENOENT:
			return fileState{}, nil
		default:
			return fileState{}, fmt.Errorf("look at %s: %w", objects.QuotePath(path), errno)
		}
	}
}
