package objects

import (
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
)

// Files walks all files of one tree, pulled one after the other, in the order of git's index.
type Files struct {
	objects *Reader
	trees   trees
	levels  []treeLevel
	path    []byte
	entry   Line
}

type treeLevel struct {
	lines  Lines
	length int // of the path of this folder
}

// Files walks the files of a tree; a zero id has none.
func (o *Reader) Files(tree plumbing.Hash) (*Files, error) {
	f := &Files{objects: o}
	lines, err := f.trees.lines(o, 0, 0, tree)
	f.levels = append(f.levels, treeLevel{lines, 0})
	return f, err
}

// Next returns the next file or submodule, its whole path as its name; io.EOF after the last. It is good until the
// next call.
func (f *Files) Next() (*Line, error) {
	for len(f.levels) > 0 {
		top := &f.levels[len(f.levels)-1]
		ok, err := top.lines.Next(&f.entry)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", QuotePath(f.path[:top.length]), err)
		}
		if !ok {
			f.levels = f.levels[:len(f.levels)-1]
			continue
		}
		f.path = append(f.path[:top.length], f.entry.Name...)
		if !f.entry.Folder() {
			f.entry.Name = f.path
			return &f.entry, nil
		}
		f.path = append(f.path, '/')
		lines, err := f.trees.lines(f.objects, 0, len(f.levels), f.entry.ID)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", QuotePath(f.path), err)
		}
		f.levels = append(f.levels, treeLevel{lines, len(f.path)})
	}
	return nil, io.EOF
}
