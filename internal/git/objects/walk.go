package objects

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/addagent/addagent/internal/git/pack"
	"github.com/go-git/go-git/v5/plumbing"
)

// Modes as git trees and the index hold them.
const (
	ModeFolder     = 0o040000
	ModeFile       = 0o100644
	ModeExecutable = 0o100755
	ModeSymlink    = 0o120000
	ModeSubmodule  = 0o160000
)

// Line is one line of a tree object.
type Line struct {
	Name []byte // points into the tree object
	Mode uint32
	ID   plumbing.Hash
}

// Folder tells whether the line is of a folder.
func (e *Line) Folder() bool { return e.Mode == ModeFolder }

// Lines reads a tree object line by line. Modes come out as git's index would hold them: old repositories have
// regular files with group rights.
type Lines []byte

// Next puts the next line into e; false after the last one.
func (t *Lines) Next(e *Line) (bool, error) {
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
	e.Name, e.ID, *t = rest[:end], plumbing.Hash(rest[end+1:end+21]), rest[end+21:]
	switch mode & 0o170000 {
	case 0o100000:
		e.Mode = ModeFile
		if mode&0o100 != 0 {
			e.Mode = ModeExecutable
		}
	case ModeFolder, ModeSymlink, ModeSubmodule:
		e.Mode = mode & 0o170000
	default:
		return false, fmt.Errorf("tree is damaged: mode %o", mode)
	}
	return true, nil
}

// CompareNames orders the lines of one tree as git does: a folder as if its name ended in a slash.
func CompareNames(a, b *Line) int {
	n := min(len(a.Name), len(b.Name))
	if c := bytes.Compare(a.Name[:n], b.Name[:n]); c != 0 {
		return c
	}
	return int(nameByte(a, n)) - int(nameByte(b, n))
}

// nameByte is the byte at n of a name of a tree line, which is at least n long. Equal ends are equal names.
func nameByte(e *Line, n int) byte {
	switch {
	case n < len(e.Name):
		return e.Name[n]
	case e.Folder():
		return '/'
	}
	return 0
}

// trees reads tree objects into buffers that are used again, one for each depth and side.
type trees [2][][]byte

func (t *trees) lines(objects *Reader, side, depth int, id plumbing.Hash) (Lines, error) {
	if id.IsZero() {
		return nil, nil
	}
	for len(t[side]) <= depth {
		t[side] = append(t[side], nil)
	}
	if data, ok := objects.seen[id]; ok {
		return Lines(data), nil
	}
	data, err := objects.Load(id, plumbing.TreeObject, pack.MaxTree, t[side][depth])
	if err != nil {
		return nil, fmt.Errorf("tree %w", err)
	}
	t[side][depth] = data
	objects.remember(id, data)
	return Lines(data), nil
}

// Change is one path that differs between two trees: Was or Is is nil when the path is only in the other.
// The path belongs to the walk and changes with its next step.
type Change struct {
	Path    []byte
	Was, Is *Line
}

// errStop ends a walk early; the walk returns it.
var errStop = errors.New("stop")

// Same says that it does not differ, as a Differ with All set visits it.
func (c Change) Same() bool {
	return c.Was != nil && c.Is != nil && c.Was.ID == c.Is.ID && c.Was.Mode == c.Is.Mode
}

// Differ walks two trees together, and only into folders that differ.
type Differ struct {
	Objects *Reader
	All     bool // also visit what does not differ
	// Folder, when set, sees the entries of each new or changed folder before any path in it is visited. It may look
	// at them, and refuse.
	Folder func(path []byte, lines Lines) error
	Visit  func(Change) error
	Grown  bool // there are folders that were not

	trees trees
	path  []byte
}

// Walk calls Visit for each path that differs, in the order of git's index. A zero id is an empty tree.
func (d *Differ) Walk(was, is plumbing.Hash) error {
	d.path = d.path[:0]
	if was == is && !d.All {
		return nil
	}
	return d.descend(was, is, 0)
}

func (d *Differ) descend(wasID, isID plumbing.Hash, depth int) error {
	if depth > 2000 {
		return fmt.Errorf("%w: folders are nested too deep", ErrUnsafe)
	}
	was, err := d.trees.lines(d.Objects, 0, depth, wasID)
	if err != nil {
		return d.in(err)
	}
	is, err := d.trees.lines(d.Objects, 1, depth, isID)
	if err != nil {
		return d.in(err)
	}
	if d.Folder != nil && !isID.IsZero() {
		if err := d.Folder(d.path, is); err != nil {
			return err
		}
	}
	var a, b Line
	haveA, err := was.Next(&a)
	if err != nil {
		return d.in(err)
	}
	haveB, err := is.Next(&b)
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
			order = CompareNames(&a, &b)
		}
		var left, right *Line
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
			if haveA, err = was.Next(&a); err != nil {
				return d.in(err)
			}
		}
		if right != nil {
			if haveB, err = is.Next(&b); err != nil {
				return d.in(err)
			}
		}
	}
	return nil
}

// pair goes on with one name. When both are there, both are folders or neither is (the order tells them apart).
func (d *Differ) pair(was, is *Line, depth int) error {
	one := was
	if one == nil {
		one = is
	}
	if !d.All && (Change{nil, was, is}).Same() {
		return nil
	}
	length := len(d.path)
	d.path = append(d.path, one.Name...)
	defer func() { d.path = d.path[:length] }()
	if !one.Folder() {
		return d.Visit(Change{d.path, was, is})
	}
	d.path = append(d.path, '/')
	d.Grown = d.Grown || was == nil
	var a, b plumbing.Hash
	if was != nil {
		a = was.ID
	}
	if is != nil {
		b = is.ID
	}
	return d.descend(a, b, depth+1)
}

func (d *Differ) in(err error) error {
	if len(d.path) == 0 {
		return err
	}
	return fmt.Errorf("%s: %w", QuotePath(d.path), err)
}

// ErrUnsafe says that a tree holds a path that must never be written. The path is named in the error.
var ErrUnsafe = errors.New("unsafe path")

// QuotePath is a path for people: as it is when it prints, else quoted.
func QuotePath(path []byte) string {
	s := string(path)
	if s == "" {
		return "the root folder"
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}
