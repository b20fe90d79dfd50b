package worktree

import (
	"bytes"
	"errors"
	"io"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/go-git/go-git/v5/plumbing"
)

// leaves are all files of one tree as an index would have them, without any stat data.
type leaves struct {
	files *objects.Files
	entry indexEntry
}

func (l *leaves) next() (*indexEntry, error) {
	e, err := l.files.Next()
	if err != nil {
		return nil, err
	}
	l.entry.path, l.entry.mode, l.entry.id = e.Name, e.Mode, e.ID
	return &l.entry, nil
}

// tracked is a stream of files in the order of the index: an index, a tree, or nothing.
type tracked interface {
	next() (*indexEntry, error)
}

// pull returns the next file, nil after the last.
func pull(t tracked) (*indexEntry, error) {
	e, err := t.next()
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	return e, err
}

// mergeLeaves visits what differs between two streams of files.
func mergeLeaves(old, now tracked, visit func(objects.Change) error) error {
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
		var c objects.Change
		if order <= 0 {
			c.Path, c.Was = a.path, &objects.Line{Mode: a.mode, ID: a.id}
		}
		if order >= 0 {
			c.Path, c.Is = b.path, &objects.Line{Mode: b.mode, ID: b.id}
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

// leaves are the files of a tree.
func (m *mover) leaves(tree plumbing.Hash) (*leaves, error) {
	files, err := m.objects.Files(tree)
	return &leaves{files: files}, err
}
