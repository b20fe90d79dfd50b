package gitrepo

import (
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
)

// treeFiles walks all files of one tree, pulled one after the other, in the order of git's index.
type treeFiles struct {
	objects *objectReader
	trees   trees
	levels  []treeLevel
	path    []byte
	entry   treeEntry
}

type treeLevel struct {
	lines  treeLines
	length int // of the path of this folder
}

// walkFiles starts at a tree; a zero id has none.
func (o *objectReader) walkFiles(tree plumbing.Hash) (*treeFiles, error) {
	f := &treeFiles{objects: o}
	lines, err := f.trees.lines(o, 0, 0, tree)
	f.levels = append(f.levels, treeLevel{lines, 0})
	return f, err
}

// next returns the next file or submodule, its whole path as its name; io.EOF after the last. It is good until the next
// call.
func (f *treeFiles) next() (*treeEntry, error) {
	for len(f.levels) > 0 {
		top := &f.levels[len(f.levels)-1]
		ok, err := top.lines.next(&f.entry)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", showPath(f.path[:top.length]), err)
		}
		if !ok {
			f.levels = f.levels[:len(f.levels)-1]
			continue
		}
		f.path = append(f.path[:top.length], f.entry.name...)
		if !f.entry.folder() {
			f.entry.name = f.path
			return &f.entry, nil
		}
		f.path = append(f.path, '/')
		lines, err := f.trees.lines(f.objects, 0, len(f.levels), f.entry.id)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", showPath(f.path), err)
		}
		f.levels = append(f.levels, treeLevel{lines, len(f.path)})
	}
	return nil, io.EOF
}
