package gitrepo

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/addagent/addagent/internal/gitpack"
)

// Modes as git trees and the index hold them.
const (
	modeFolder     = 0o040000
	modeFile       = 0o100644
	modeExecutable = 0o100755
	modeSymlink    = 0o120000
	modeSubmodule  = 0o160000
)

// treeEntry is one line of a tree object.
type treeEntry struct {
	name []byte // points into the tree object
	mode uint32
	id   plumbing.Hash
}

func (e *treeEntry) folder() bool { return e.mode == modeFolder }

// treeLines reads a tree object line by line. Modes come out as git's index would hold them: old repositories have
// regular files with group rights.
type treeLines []byte

func (t *treeLines) next(e *treeEntry) (bool, error) {
	line := *t
	if len(line) == 0 {
		return false, nil
	}
	space := bytes.IndexByte(line, ' ')
	if space < 1 || space > 7 {
		return false, errors.New("tree is damaged: mode")
	}
	mode := uint32(0)
	for _, c := range line[:space] {
		if c < '0' || c > '7' {
			return false, errors.New("tree is damaged: mode")
		}
		mode = mode<<3 | uint32(c-'0')
	}
	rest := line[space+1:]
	end := bytes.IndexByte(rest, 0)
	if end < 0 || len(rest) < end+1+20 {
		return false, errors.New("tree is damaged: line is cut")
	}
	e.name, e.id, *t = rest[:end], plumbing.Hash(rest[end+1:end+21]), rest[end+21:]
	switch mode & 0o170000 {
	case 0o100000:
		e.mode = modeFile
		if mode&0o100 != 0 {
			e.mode = modeExecutable
		}
	case modeFolder, modeSymlink, modeSubmodule:
		e.mode = mode & 0o170000
	default:
		return false, fmt.Errorf("tree is damaged: mode %o", mode)
	}
	return true, nil
}

// compareNames orders the lines of one tree as git does: a folder as if its name ended in a slash.
func compareNames(a, b *treeEntry) int {
	n := min(len(a.name), len(b.name))
	if c := bytes.Compare(a.name[:n], b.name[:n]); c != 0 {
		return c
	}
	return int(nameByte(a, n)) - int(nameByte(b, n))
}

// nameByte is the byte at n of a name of a tree line, which is at least n long. Equal ends are equal names.
func nameByte(e *treeEntry, n int) byte {
	switch {
	case n < len(e.name):
		return e.name[n]
	case e.folder():
		return '/'
	}
	return 0
}

// trees reads tree objects into buffers that are used again, one for each depth and side.
type trees [2][][]byte

func (t *trees) lines(objects *objectReader, side, depth int, id plumbing.Hash) (treeLines, error) {
	if id.IsZero() {
		return nil, nil
	}
	for len(t[side]) <= depth {
		t[side] = append(t[side], nil)
	}
	if data, ok := objects.seen[id]; ok {
		return treeLines(data), nil
	}
	data, err := objects.Load(id, plumbing.TreeObject, gitpack.MaxTree, t[side][depth])
	if err != nil {
		return nil, fmt.Errorf("tree %w", err)
	}
	t[side][depth] = data
	objects.remember(id, data)
	return treeLines(data), nil
}

// change is one path that differs between two trees: was or is is nil when the path is only in the other.
// The path belongs to the walk and changes with its next step.
type change struct {
	path    []byte
	was, is *treeEntry
}

// errStop ends a walk early; the walk returns it.
var errStop = errors.New("stop")

// differ walks two trees together, and only into folders that differ.
type differ struct {
	objects *objectReader
	// folder, when set, sees the entries of each new or changed folder before any path in it is visited. It may look
	// at them, and refuse.
	folder func(path []byte, lines treeLines) error
	visit  func(change) error
	grown  bool // there are folders that were not

	trees trees
	path  []byte
}

// walk calls visit for each path that differs, in the order of git's index. A zero id is an empty tree.
func (d *differ) walk(was, is plumbing.Hash) error {
	d.path = d.path[:0]
	if was == is {
		return nil
	}
	return d.descend(was, is, 0)
}

func (d *differ) descend(wasID, isID plumbing.Hash, depth int) error {
	if depth > 2000 {
		return fmt.Errorf("%w: folders are nested too deep", errUnsafe)
	}
	was, err := d.trees.lines(d.objects, 0, depth, wasID)
	if err != nil {
		return d.in(err)
	}
	is, err := d.trees.lines(d.objects, 1, depth, isID)
	if err != nil {
		return d.in(err)
	}
	if d.folder != nil && !isID.IsZero() {
		if err := d.folder(d.path, is); err != nil {
			return err
		}
	}
	var a, b treeEntry
	haveA, err := was.next(&a)
	if err != nil {
		return d.in(err)
	}
	haveB, err := is.next(&b)
	if err != nil {
		return d.in(err)
	}
	for haveA || haveB {
		order := 0
		switch {
		case !haveA:
			order = 1
		case !haveB:
			order = -1
		default:
			order = compareNames(&a, &b)
		}
		var left, right *treeEntry
		if order <= 0 {
			left = &a
		}
		if order >= 0 {
			right = &b
		}
		if err := d.pair(left, right, depth); err != nil {
			return err
		}
		if left != nil {
			if haveA, err = was.next(&a); err != nil {
				return d.in(err)
			}
		}
		if right != nil {
			if haveB, err = is.next(&b); err != nil {
				return d.in(err)
			}
		}
	}
	return nil
}

// pair goes on with one name. When both are there, both are folders or neither is (the order tells them apart).
func (d *differ) pair(was, is *treeEntry, depth int) error {
	one := was
	if one == nil {
		one = is
	}
	if was != nil && is != nil && was.id == is.id && was.mode == is.mode {
		return nil
	}
	length := len(d.path)
	d.path = append(d.path, one.name...)
	defer func() { d.path = d.path[:length] }()
	if !one.folder() {
		return d.visit(change{d.path, was, is})
	}
	d.path = append(d.path, '/')
	d.grown = d.grown || was == nil
	var a, b plumbing.Hash
	if was != nil {
		a = was.id
	}
	if is != nil {
		b = is.id
	}
	return d.descend(a, b, depth+1)
}

func (d *differ) in(err error) error {
	if len(d.path) == 0 {
		return err
	}
	return fmt.Errorf("%s: %w", showPath(d.path), err)
}
