package gitrepo

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
)

// leaves walks all files of one tree, pulled one after the other, in the order of the index.
type leaves struct {
	trees
	stack []leafLevel
	entry indexEntry
}

type leafLevel struct {
	lines  treeLines
	length int // of the path of this folder
}

// walkLeaves starts at a tree; a zero id has none.
func walkLeaves(objects *objectReader, tree plumbing.Hash) (*leaves, error) {
	l := &leaves{trees: trees{objects: objects}}
	lines, err := l.lines(0, 0, tree)
	l.stack = append(l.stack, leafLevel{lines, 0})
	return l, err
}

// next returns the next file, without any stat data; io.EOF after the last.
func (l *leaves) next() (*indexEntry, error) {
	for len(l.stack) > 0 {
		top := &l.stack[len(l.stack)-1]
		var e treeEntry
		ok, err := top.lines.next(&e)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", showPath(l.entry.path[:top.length]), err)
		}
		if !ok {
			l.stack = l.stack[:len(l.stack)-1]
			continue
		}
		l.entry.path = append(l.entry.path[:top.length], e.name...)
		if !e.folder() {
			l.entry.id, l.entry.mode = e.id, e.mode
			return &l.entry, nil
		}
		l.entry.path = append(l.entry.path, '/')
		lines, err := l.lines(0, len(l.stack), e.id)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", showPath(l.entry.path), err)
		}
		l.stack = append(l.stack, leafLevel{lines, len(l.entry.path)})
	}
	return nil, io.EOF
}

// tracked is a stream of files in the order of the index: an index, a tree, or nothing.
type tracked interface {
	next() (*indexEntry, error)
}

// mergeLeaves visits what differs between two streams of files.
func mergeLeaves(old, now tracked, visit func(change) error) error {
	pull := func(t tracked) (*indexEntry, error) {
		e, err := t.next()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return e, err
	}
	a, err := pull(old)
	if err != nil {
		return err
	}
	b, err := pull(now)
	if err != nil {
		return err
	}
	for a != nil || b != nil {
		order := 0
		switch {
		case a == nil:
			order = 1
		case b == nil:
			order = -1
		default:
			order = bytes.Compare(a.path, b.path)
		}
		var c change
		if order <= 0 {
			c.path, c.was = a.path, &treeEntry{mode: a.mode, id: a.id}
		}
		if order >= 0 {
			c.path, c.is = b.path, &treeEntry{mode: b.mode, id: b.id}
		}
		if order != 0 || a.id != b.id || a.mode != b.mode {
			if err := visit(c); err != nil {
				return err
			}
		}
		if order <= 0 {
			if a, err = pull(old); err != nil {
				return err
			}
		}
		if order >= 0 {
			if b, err = pull(now); err != nil {
				return err
			}
		}
	}
	return nil
}
