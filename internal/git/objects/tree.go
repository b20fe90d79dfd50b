package objects

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/addagent/addagent/internal/git/pack"
	"github.com/go-git/go-git/v5/plumbing"
)

// Tree is the files of one commit, read from git's objects and not from the work tree: what was pushed, even
// when the files were edited since. It is for one goroutine at a time. Close releases the packs.
type Tree struct {
	objects *Reader
	root    plumbing.Hash
	buf     []byte
	// OnError, when set, is told of each object that could not be read.
	OnError func(error)
}

// Entry is one name in a folder of a Tree.
type Entry struct {
	Name       string
	ID         string // git's object id, 40 hex digits
	Dir        bool
	Executable bool
	Symlink    bool
}

// OpenTree opens the tree of a commit from a git directory and, for what that lacks, from others.
func OpenTree(version, gitDir string, others ...string) (*Tree, error) {
	id, ok := ParseID(version)
	if !ok {
		return nil, fmt.Errorf("%q is no commit id", version)
	}
	objects, err := Open(gitDir, others...)
	if err != nil {
		return nil, err
	}
	t := &Tree{objects: objects}
	if t.root, err = objects.TreeOf(id); err != nil {
		return nil, errors.Join(err, objects.Close())
	}
	return t, nil
}

// Close releases what the tree holds open. A closed tree finds nothing any more.
func (t *Tree) Close() error { return t.objects.Close() }

// ID returns the object id of a file or folder (or of the commit that a submodule stands for), "" when there is none.
// The root is "", "." or "/"; a slash at the end does no harm. Links are not followed: what is below one is absent.
func (t *Tree) ID(name string) (string, error) {
	e, err := t.entry(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return e.ID.String(), nil
}

// Read returns the content of a file of at most limit bytes. Errors: fs.ErrNotExist when nothing is there; others for
// a folder, a link, a submodule, a longer file.
func (t *Tree) Read(name string, limit int64) ([]byte, error) {
	e, err := t.entry(name)
	if err != nil {
		return nil, err
	}
	switch e.Mode {
	case ModeFile, ModeExecutable:
	case ModeSymlink:
		return nil, fmt.Errorf("read %s: is a symbolic link", QuotePath([]byte(name)))
	default:
		return nil, fmt.Errorf("read %s: is no file", QuotePath([]byte(name)))
	}
	return t.blob(QuotePath([]byte(name)), e.ID, limit)
}

// ErrTooBig is in the error about a file that is longer than its limit.
var ErrTooBig = pack.ErrTooBig

// Blob returns the content of a file of at most limit bytes by the id that List told: of a thousand files in one
// folder each is found without reading the folder again.
func (t *Tree) Blob(id string, limit int64) ([]byte, error) {
	h, ok := ParseID(id)
	if !ok {
		return nil, fmt.Errorf("read: %q is no id of an object", id)
	}
	return t.blob(id, h, limit)
}

func (t *Tree) blob(what string, id plumbing.Hash, limit int64) ([]byte, error) {
	data, err := t.load(id, plumbing.BlobObject, limit, nil)
	if errors.Is(err, ErrTooBig) {
		return nil, fmt.Errorf("read %s: %w: longer than %d bytes", what, err, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	return data, nil
}

// List returns what a folder holds, in git's order; nothing when the folder does not exist. Submodules are left out:
// their files are not here.
func (t *Tree) List(dir string) ([]Entry, error) {
	e, err := t.entry(dir)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && !e.Folder()) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	lines, err := t.lines(e.ID)
	if err == nil {
		var all []Entry
		if all, err = lines.entries(); err == nil {
			return all, nil
		}
	}
	return nil, fmt.Errorf("list %s: %w", QuotePath([]byte(dir)), err)
}

func (t *Tree) lines(id plumbing.Hash) (Lines, error) {
	data, err := t.load(id, plumbing.TreeObject, pack.MaxTree, t.buf)
	if err != nil {
		return nil, fmt.Errorf("tree %w", err)
	}
	t.buf = data
	return Lines(data), nil
}

// entry walks down to a path; fs.ErrNotExist when nothing is there. The name in the result is only good until the next
// call.
func (t *Tree) entry(name string) (Line, error) {
	at := Line{Mode: ModeFolder, ID: t.root}
	for part := range strings.SplitSeq(strings.Trim(path.Clean("/"+name), "/"), "/") {
		if part == "" {
			break // the root itself
		}
		if !at.Folder() {
			return Line{}, fs.ErrNotExist
		}
		folder, err := t.lines(at.ID)
		for found := false; err == nil && !found; found = string(at.Name) == part {
			var more bool
			if more, err = folder.Next(&at); err == nil && !more {
				err = fs.ErrNotExist
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("look up %s: %w", QuotePath([]byte(name)), err)
		}
		if err != nil {
			return Line{}, err
		}
	}
	return at, nil
}

// entries lists a folder without its submodules.
func (t Lines) entries() ([]Entry, error) {
	var all []Entry
	for e := (Line{}); ; {
		ok, err := t.Next(&e)
		if err != nil || !ok {
			return all, err
		}
		if e.Mode != ModeSubmodule {
			all = append(all, Entry{Name: string(e.Name), ID: e.ID.String(), Dir: e.Folder(),
				Executable: e.Mode == ModeExecutable, Symlink: e.Mode == ModeSymlink})
		}
	}
}

// load reads one object of the tree.
func (t *Tree) load(id plumbing.Hash, kind plumbing.ObjectType, limit int64, into []byte) ([]byte, error) {
	data, err := t.objects.Load(id, kind, limit, into)
	if err != nil && t.OnError != nil {
		t.OnError(err)
	}
	return data, err
}

// Changed lists the files that differ between two commits, sorted as git does, at most limit of them; complete
// says that these are all. An old commit that is not there any more is pack.ErrMissing.
func Changed(gitDir, old, now string, limit int) (paths []string, complete bool, err error) {
	objects, err := Open(gitDir)
	if err != nil {
		return nil, false, err
	}
	defer objects.Close()
	var roots [2]plumbing.Hash
	for i, version := range []string{old, now} {
		id, ok := ParseID(version)
		if !ok {
			return nil, false, fmt.Errorf("%q is no commit id", version)
		}
		if roots[i], err = objects.TreeOf(id); err != nil {
			return nil, false, err
		}
	}
	d := Differ{Objects: objects, Visit: func(c Change) error {
		if len(paths) == limit {
			return errStop
		}
		paths = append(paths, string(c.Path))
		return nil
	}}
	err = d.Walk(roots[0], roots[1])
	if errors.Is(err, errStop) {
		return paths, false, nil
	}
	return paths, err == nil, err
}
