//go:build !(linux && (amd64 || arm64))

package worktree

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
)

// statter looks at files of a work tree and writes nothing. No symlink is followed on the way.
type statter struct {
	root *os.Root
	last string
}

func newStatter(dir string) (*statter, error) {
	root, err := os.OpenRoot(dir)
	return &statter{root: root}, err
}

func (s *statter) close() { _ = s.root.Close() }

// lstat looks at one path.
func (s *statter) lstat(name []byte) (fileState, error) {
	for i := range name {
		if name[i] != '/' {
			continue
		}
		if info, err := s.root.Lstat(string(name[:i])); err != nil || !info.IsDir() {
			return fileState{}, ignoreAbsent(err)
		}
	}
	s.last = string(bytes.Clone(name))
	info, err := s.root.Lstat(s.last)
	if err != nil {
		return fileState{}, ignoreAbsent(err)
	}
	return stateOf(info), nil
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// open opens the file that lstat saw last, for reading.
func (s *statter) open() (io.ReadCloser, error) { return s.root.Open(path.Clean(s.last)) }

// target reads the symlink that lstat saw last.
func (s *statter) target() ([]byte, error) {
	to, err := s.root.Readlink(s.last)
	return []byte(to), err
}
