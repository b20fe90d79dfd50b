package clone

import (
	"errors"
	"path/filepath"
	"slices"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/pack"
	"github.com/addagent/addagent/internal/git/refs"
	"github.com/go-git/go-git/v5/plumbing"
)

// mark lists all objects that a commit needs, and all that people made: their branches, tags, stashes, worktrees, and
// what their logs remember. Only the commit that is shown must be whole: what people lack, they lacked before.
func (f *repacking) mark(at plumbing.Hash) error {
	shallow, _ := refs.Shallow(f.gitDir)
	f.border, f.commits = map[plumbing.Hash]bool{at: true}, map[plumbing.Hash][]plumbing.Hash{}
	for _, id := range shallow {
		f.border[id] = true
	}
	todo, err := refs.People(f.gitDir, refs.Branch(f.gitDir))
	if err != nil {
		return err
	}
	if _, err := f.reach(at, plumbing.CommitObject); err != nil {
		return err
	}
	f.lenient = true
	var done []plumbing.Hash
	for _, id := range succeeded(filepath.Dir(f.gitDir)) {
		if _, err := f.reach(id, plumbing.AnyObject); err != nil {
			return err
		}
		if _, there := f.commits[id]; there {
			done = append(done, id)
		}
	}
	if len(done) > 0 {
		delete(f.border, at)
		if err := f.history(at, done); err != nil {
			return err
		}
	}
	for len(todo) > 0 {
		id := todo[len(todo)-1]
		next, err := f.reach(id, plumbing.AnyObject)
		if err != nil {
			return err
		}
		todo = append(todo[:len(todo)-1], next...)
	}
	return nil
}

// history adds what leads from the last successes to the commit that is shown, as long as there is room for it. What
// is older goes.
func (f *repacking) history(at plumbing.Hash, done []plumbing.Hash) error {
	line, err := sinceDone(f.objects, at, done)
	if err != nil {
		return err
	}
	f.room = slack
	for _, id := range line {
		if _, err := f.reach(id, plumbing.CommitObject); err != nil {
			return err
		}
		if f.room <= 0 {
			break
		}
	}
	return nil
}

// ends lists the commits in the list with parents that are not: there the clone will end.
func (f *repacking) ends() (list []plumbing.Hash) {
	for id, parents := range f.commits {
		if slices.ContainsFunc(parents, func(p plumbing.Hash) bool { return !f.Has(p) }) {
			list = append(list, id)
		}
	}
	return list
}

// reach adds an object and what it holds to the list, unless it is in there, and returns what it leads to.
func (f *repacking) reach(id plumbing.Hash, kind plumbing.ObjectType) (next []plumbing.Hash, err error) {
	if err := f.ctx.Err(); err != nil {
		return nil, err
	}
	kind, err = f.Add(id, kind) // without a kind when it is in there
	if f.lenient && errors.Is(err, pack.ErrMissing) {
		return nil, nil
	}
	if err == nil && kind != plumbing.InvalidObject && f.room > 0 {
		_, size, _ := f.objects.KindAndSize(id)
		f.room -= size
	}
	if err != nil || kind == plumbing.BlobObject {
		return nil, err
	}
	f.step()
	switch kind {
	case plumbing.CommitObject:
		c, err := f.objects.Commit(id)
		if err != nil {
			return nil, err
		}
		f.commits[id] = c.Parents
		if !f.border[id] {
			next = c.Parents
		}
		_, err = f.reach(c.Tree, plumbing.TreeObject)
		return next, err
	case plumbing.TagObject:
		data, err := f.objects.Load(id, kind, pack.MaxTree, nil)
		return refs.Tagged(data), err
	case plumbing.TreeObject:
		data, err := f.objects.Load(id, kind, pack.MaxTree, nil)
		lines := objects.Lines(data)
		for err == nil {
			var e objects.Line
			ok, cut := lines.Next(&e)
			if cut != nil {
				return nil, pack.Missing(id, cut)
			}
			if !ok {
				return nil, nil
			}
			switch {
			case e.Mode == objects.ModeSubmodule:
			case e.Folder():
				_, err = f.reach(e.ID, plumbing.TreeObject)
			default:
				_, err = f.reach(e.ID, plumbing.BlobObject)
			}
		}
		return nil, err
	}
	return nil, nil
}
