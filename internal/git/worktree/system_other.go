//go:build !(linux && (amd64 || arm64))

package worktree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/go-git/go-git/v5/plumbing"
)

// On other systems all of it works by Go's own library, and each move looks at every tracked file.

// stateOf turns what lstat says into what is compared with an index: no change time, no inode.
func stateOf(info fs.FileInfo) fileState {
	s := fileState{perm: uint32(info.Mode().Perm()), size: info.Size()}
	mode := uint32(0)
	switch info.Mode().Type() {
	case 0:
		s.kind, mode = regular, objects.ModeFile
		if s.perm&0o100 != 0 {
			mode = objects.ModeExecutable
		}
	case fs.ModeSymlink:
		s.kind, mode = symlink, objects.ModeSymlink
	case fs.ModeDir:
		s.kind, mode = folderKind, objects.ModeSubmodule
	default:
		s.kind = other
	}
	at := info.ModTime()
	s.stat.setField(recordMtime, uint32(at.Unix()))
	s.stat.setField(recordMtime+1, uint32(at.Nanosecond()))
	s.stat.setField(recordMode, mode)
	s.stat.setField(recordSize, uint32(s.size))
	return s
}

// statter looks at files of a work tree and writes nothing. No symlink is followed on the way.
type statter struct{ root *os.Root }

func newStatter(dir string) (*statter, error) {
	root, err := os.OpenRoot(dir)
	return &statter{root}, err
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
	info, err := s.root.Lstat(string(name))
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

// Watcher knows nothing: each move looks at every tracked file.
type Watcher struct{}

func NewWatcher() *Watcher { return nil }

func (w *Watcher) DirtySet() *DirtySet { return nil }

type DirtySet struct{}

func (n *DirtySet) recall(*indexFile) (touched []string, tree plumbing.Hash, ok bool) {
	return nil, tree, false
}
func (n *DirtySet) watch(*statter)               {}
func (n *DirtySet) settle(string, plumbing.Hash) {}
func (n *DirtySet) Forget()                      {}

func renameInto(from *folder, name string, to *folder, target string) error {
	return os.Rename(filepath.Join(from.dir.Name(), name), filepath.Join(to.dir.Name(), target))
}

func exchangeInto(*folder, string, *folder, string) error { return errors.ErrUnsupported }

func createNameless(*folder, fs.FileMode) (*os.File, int, error) {
	return nil, -1, errors.ErrUnsupported
}

func nameNameless(int, *folder, string) error { return errors.ErrUnsupported }

func syncFilesystem(in *folder) error { return in.dir.Sync() }

func freeDisk(string) (free int64, known bool) { return 0, false }
