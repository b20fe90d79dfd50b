package gitstore

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/presence"
)

// Branch is a branch of files as it was read, which several writers change, each change as a whole by one
// compare-and-swap. It is a value: Push returns the next one.
type Branch struct {
	Ref   string
	Tip   string            // "" = the branch does not exist
	files map[string][]byte // by path
}

// branchMost bounds what is read of a branch, in bytes.
const branchMost = 64 << 20

// ReadBranch reads a branch. One that is where it was is not read again.
func ReadBranch(ctx context.Context, s Remote, ref string, before Branch) (Branch, error) {
	tip, err := refID(ctx, s, ref)
	if err != nil || tip == before.Tip && before.Ref == ref {
		return before, err
	}
	b := Branch{Ref: ref, Tip: tip, files: map[string][]byte{}}
	if tip == "" {
		return b, nil
	}
	content, err := s.Read(ctx, []string{tip}, remote.ReadOptions{Depth: 1, MaxBytes: branchMost})
	if err != nil {
		return before, err
	}
	tree, err := content.Tree(tip)
	if err != nil {
		return before, err
	}
	return b, b.load(tree, "", 0)
}

func (b Branch) load(tree *objects.Tree, dir string, depth int) error {
	entries, err := tree.List(dir)
	for _, e := range entries {
		name := path.Join(dir, e.Name)
		switch {
		case e.Symlink || depth > 8: // not ours
		case e.Dir:
			err = errors.Join(err, b.load(tree, name, depth+1))
		default:
			data, wrong := tree.Blob(e.ID, branchMost)
			b.files[name], err = data, errors.Join(err, wrong)
		}
	}
	return err
}

// File is the content of a file. The error is fs.ErrNotExist where there is none.
func (b Branch) File(name string) ([]byte, error) {
	data, there := b.files[name]
	if !there {
		return nil, &fs.PathError{Op: "read", Path: b.Ref + ":" + name, Err: fs.ErrNotExist}
	}
	return data, nil
}

// Names are the paths of the files below a folder, sorted.
func (b Branch) Names(dir string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(b.files)), func(name string) bool { return !strings.HasPrefix(name, dir+"/") })
}

// Push moves the branch to one in which some files are others; nil removes a file. When another writer was faster, or
// the end of the push is not clear, the branch is asked once: the error says that the push did not land.
func (b Branch) Push(ctx context.Context, s Remote, changed map[string][]byte, who, subject string, now time.Time) (Branch, error) {
	next := Branch{Ref: b.Ref, files: maps.Clone(b.files)}
	maps.Copy(next.files, changed)
	maps.DeleteFunc(next.files, func(_ string, data []byte) bool { return data == nil })
	o := &objects.Builder{Known: map[string]bool{}}
	old := &objects.Builder{}
	treeOf(old, b.files, "", func(id string) { o.Known[id] = true })
	next.Tip = historyEntry{tree: treeOf(o, next.files, "", func(string) {}), at: presence.WholeSecond(now), subject: oneLine(subject)}.commit(o, who, b.Tip)
	err := s.Push(ctx, remote.Update{Ref: b.Ref, Old: b.Tip, New: next.Tip, Objects: o})
	if err != nil {
		if tip, asked := refID(ctx, s, b.Ref); asked != nil || tip != next.Tip {
			return b, err
		}
	}
	return next, nil
}

// treeOf adds the folder of some files, and tells the ids of all that is in it.
func treeOf(o *objects.Builder, files map[string][]byte, dir string, made func(id string)) string {
	var entries []objects.Entry
	names := map[string]bool{}
	for name, data := range files {
		rest, below := strings.CutPrefix(name, dir)
		if !below {
			continue
		}
		first, _, deeper := strings.Cut(rest, "/")
		if names[first] {
			continue
		}
		names[first] = true
		e := objects.Entry{Name: first, Dir: deeper}
		if deeper {
			e.ID = treeOf(o, files, dir+first+"/", made)
		} else {
			e.ID = o.Blob(data)
		}
		made(e.ID)
		entries = append(entries, e)
	}
	return o.Tree(entries)
}
