package worktree

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/addagent/addagent/internal/git/objects"
)

// folders is the open folders from the top of a work tree down to where a file is to be written or deleted, each
// opened from the one above after it was seen to be a folder and no symlink. Every change to the tree is a single
// name relative to one of them, so nothing is ever written through a link, wherever it leads.
type folders struct {
	levels []folder
	path   []byte // of the innermost, with a slash at the end
	// inWay makes room where something that is no folder stands at a path below which a file belongs.
	inWay func(parent *folder, name string, path []byte) error
}

type folder struct {
	root    *os.Root
	dir     *os.File // the same, for calls that os.Root does not have
	fd      int      // of dir; asking an os.File for it costs two system calls each time
	end     int      // length of its path
	thinned bool     // something was deleted in it: if it is empty now, it goes too
}

func openFolders(dir string) (*folders, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &folders{levels: []folder{{root: root}}}, nil
}

func (f *folders) top() *folder { return &f.levels[0] }

func (f *folders) close() {
	for len(f.levels) > 1 {
		f.leave()
	}
	f.levels[0].close()
}

func (d *folder) close() {
	_ = d.root.Close() // nothing is buffered in a folder
	if d.dir != nil {
		_ = d.dir.Close()
	}
}

// handle opens the folder as a file, too.
func (d *folder) handle() error {
	if d.dir != nil {
		return nil
	}
	dir, err := d.root.Open(".")
	if err == nil {
		d.dir, d.fd = dir, int(dir.Fd())
	}
	return err
}

// leave closes the innermost folder, and removes it when a deletion has left it empty.
func (f *folders) leave() {
	last := len(f.levels) - 1
	inner, above := &f.levels[last], &f.levels[last-1]
	inner.close()
	if inner.thinned {
		// Fails, as it should, when the folder still holds anything.
		if above.root.Remove(string(f.path[above.end:inner.end-1])) == nil {
			above.thinned = true
		}
	}
	f.path = f.path[:above.end]
	f.levels = f.levels[:last]
}

// enter opens the folder of a path ("" or ending in a slash). With create, missing ones are made and what is in the
// way goes aside; without, nil says that the folder is not there.
func (f *folders) enter(path []byte, create bool) (*folder, error) {
	common := commonPrefix(path, f.path)
	for f.levels[len(f.levels)-1].end > common {
		f.leave()
	}
	for {
		inner := &f.levels[len(f.levels)-1]
		if inner.end == len(path) {
			return inner, nil
		}
		length := bytes.IndexByte(path[inner.end:], '/')
		next, err := f.step(inner, string(path[inner.end:inner.end+length]), path[:inner.end+length], create)
		if err != nil {
			return nil, fmt.Errorf("folder %s: %w", objects.QuotePath(path[:inner.end+length]), err)
		}
		if next == nil {
			return nil, nil
		}
		next.end = inner.end + length + 1
		f.path = append(f.path[:inner.end], path[inner.end:next.end]...)
		f.levels = append(f.levels, *next)
	}
}

func (f *folders) step(above *folder, name string, path []byte, create bool) (*folder, error) {
	info, err := above.root.Lstat(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil && !info.IsDir() {
		if !create {
			return nil, nil
		}
		if err := f.inWay(above, name, path); err != nil {
			return nil, err
		}
		info = nil
	}
	if info == nil {
		if !create {
			return nil, nil
		}
		if err := above.root.Mkdir(name, 0o755); err != nil {
			return nil, err
		}
	}
	root, err := above.root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	now, err := root.Stat(".")
	switch {
	case err != nil:
	case info != nil && !os.SameFile(info, now):
		err = errors.New("replaced while it was opened")
	case info == nil && now.Mode().Perm() != 0o755: // a umask
		err = above.root.Chmod(name, 0o755)
	}
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	return &folder{root: root}, nil
}
