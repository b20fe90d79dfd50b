//go:build !(linux && (amd64 || arm64))

package worktree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
)

// On other systems all of it works by Go's own library, and each move compares the content of every tracked file.

// stateOf turns what lstat says into what is compared; no file is like the record of it in an index.
func stateOf(info fs.FileInfo) fileState {
	s := fileState{perm: uint32(info.Mode().Perm()), size: info.Size(), kind: other}
	switch info.Mode().Type() {
	case 0:
		s.kind = regular
	case fs.ModeSymlink:
		s.kind = symlink
	case fs.ModeDir:
		s.kind = folderKind
	}
	s.stat.setField(recordSize, uint32(s.size))
	return s
}

type statter struct{}

func newStatter(string) (*statter, error) { return &statter{}, nil }

func (*statter) close() {}

// lstat says that a file was touched.
func (*statter) lstat([]byte) (fileState, error) { return fileState{}, nil }

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

func Exchange(string, string) error { return errors.ErrUnsupported }

func createNameless(*folder, fs.FileMode) (*os.File, int, error) {
	return nil, -1, errors.ErrUnsupported
}

func nameNameless(int, *folder, string) error { return errors.ErrUnsupported }

func syncFilesystem(in *folder) error { return in.dir.Sync() }
