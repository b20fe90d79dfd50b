package clone

import (
	"errors"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/pack"
	"github.com/go-git/go-git/v5/plumbing"
)

// reached is an object on the way from what is shown to all that it needs.
type reached struct {
	id     plumbing.Hash
	kind   plumbing.ObjectType // AnyObject: not known yet
	people bool                // a person made what leads here: what is missing was missing before
}

// mark lists all objects that a commit needs, and all that people made: their branches, tags, stashes, worktrees, and
// what their logs remember. Only the commit that is shown must be whole.
func (f *repacking) mark(at plumbing.Hash) error {
	shallow, _ := readShallow(f.gitDir)
	border := make(map[plumbing.Hash]bool, len(shallow))
	for _, id := range shallow {
		border[id] = true
	}
	border[at] = true
	todo := []reached{}
	others, err := userObjects(f.gitDir, headBranch(f.gitDir))
	if err != nil {
		return err
	}
	for _, id := range others {
		todo = append(todo, reached{id, plumbing.AnyObject, true})
	}
	todo = append(todo, reached{at, plumbing.CommitObject, false}) // first: it is last in the list
	var buf []byte
	for len(todo) > 0 {
		o := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if err := f.ctx.Err(); err != nil {
			return err
		}
		if err := f.add(&o); err != nil {
			if o.people && errors.Is(err, pack.ErrMissing) {
				continue
			}
			return err
		}
		f.step()
		switch o.kind {
		case plumbing.CommitObject:
			c, err := f.objects.Commit(o.id)
			if err != nil {
				return err
			}
			if !border[o.id] {
				for _, p := range c.Parents {
					todo = f.reach(todo, reached{p, plumbing.CommitObject, true})
				}
			}
			todo = f.reach(todo, reached{c.Tree, plumbing.TreeObject, o.people})
		case plumbing.TagObject:
			data, err := f.objects.Load(o.id, plumbing.TagObject, pack.MaxTree, nil)
			if err != nil {
				return err
			}
			if len(data) > 47 {
				if id, ok := objects.ParseID(string(data[7:47])); ok { // "object <id>\n"
					todo = f.reach(todo, reached{id, plumbing.AnyObject, true})
				}
			}
		case plumbing.TreeObject:
			if buf, err = f.objects.Load(o.id, plumbing.TreeObject, pack.MaxTree, buf); err != nil {
				return err
			}
			var e objects.Line
			for lines := objects.Lines(buf); ; {
				ok, err := lines.Next(&e)
				if err != nil {
					return pack.Missing(o.id, err)
				}
				if !ok {
					break
				}
				switch {
				case e.Mode == objects.ModeSubmodule:
				case e.Folder():
					todo = f.reach(todo, reached{e.ID, plumbing.TreeObject, o.people})
				default:
					b := reached{e.ID, plumbing.BlobObject, o.people}
					if err := f.add(&b); err != nil && !(o.people && errors.Is(err, pack.ErrMissing)) {
						return err
					}
				}
			}
		}
	}
	return nil
}

func (f *repacking) reach(todo []reached, o reached) []reached {
	if f.Has(o.id) {
		return todo
	}
	return append(todo, o)
}

// add puts an object into the list, unless it is in there; its kind is then known. One that was in there comes back
// with no kind: all that it needs is in there, too, or soon will be.
func (f *repacking) add(o *reached) (err error) {
	o.kind, err = f.Add(o.id, o.kind)
	return err
}
