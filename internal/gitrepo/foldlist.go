package gitrepo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// living is an object that a fold keeps.
type living struct {
	id    plumbing.Hash
	pack  *pack // nil: loose
	at    int64 // where it lies in that pack
	out   int64 // where it lies in the new one; 0 = not yet
	depth int32 // of deltas below it there
	begun bool
}

// reached is an object on the way from what is shown to all that it needs.
type reached struct {
	id     plumbing.Hash
	kind   plumbing.ObjectType // AnyObject: not known yet
	people bool                // a person made what leads here: what is missing was missing before
}

// mark lists all objects that a commit needs, and all that people made: their branches, tags, stashes, worktrees, and
// what their logs remember. Only the commit that is shown must be whole.
func (f *folding) mark(at plumbing.Hash) error {
	shallow, _ := readShallow(f.gitDir)
	border := make(map[plumbing.Hash]bool, len(shallow))
	for _, id := range shallow {
		border[id] = true
	}
	border[at] = true
	todo := []reached{}
	others, err := named(f.gitDir, headBranch(f.gitDir))
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
			if o.people && errors.Is(err, errMissingObject) {
				continue
			}
			return err
		}
		f.step()
		switch o.kind {
		case plumbing.CommitObject:
			c, err := loadCommit(f.objects, o.id)
			if err != nil {
				return err
			}
			if !border[o.id] {
				for _, p := range c.parents {
					todo = f.reach(todo, reached{p, plumbing.CommitObject, true})
				}
			}
			todo = f.reach(todo, reached{c.tree, plumbing.TreeObject, o.people})
		case plumbing.TagObject:
			data, err := f.objects.load(o.id, plumbing.TagObject, maxTree, nil)
			if err != nil {
				return err
			}
			if len(data) > 47 {
				if id, ok := idOf(string(data[7:47])); ok { // "object <id>\n"
					todo = f.reach(todo, reached{id, plumbing.AnyObject, true})
				}
			}
		case plumbing.TreeObject:
			if buf, err = f.objects.load(o.id, plumbing.TreeObject, maxTree, buf); err != nil {
				return err
			}
			var e treeEntry
			for lines := (treeLines{buf}); ; {
				ok, err := lines.next(&e)
				if err != nil {
					return missing(o.id, err)
				}
				if !ok {
					break
				}
				switch {
				case e.mode == modeSubmodule:
				case e.folder():
					todo = f.reach(todo, reached{e.id, plumbing.TreeObject, o.people})
				default:
					b := reached{e.id, plumbing.BlobObject, o.people}
					if err := f.add(&b); err != nil && !(o.people && errors.Is(err, errMissingObject)) {
						return err
					}
				}
			}
		}
	}
	return nil
}

func (f *folding) reach(todo []reached, o reached) []reached {
	if _, ok := f.number[o.id]; ok {
		return todo
	}
	return append(todo, o)
}

// add puts an object into the list, unless it is in there; its kind is then known. One that was in there comes back
// with no kind: all that it needs is in there, too, or soon will be.
func (f *folding) add(o *reached) error {
	if _, ok := f.number[o.id]; ok {
		o.kind = plumbing.InvalidObject
		return nil
	}
	packs := f.objects.packs
	p, at, err := packs.find(o.id)
	if err != nil {
		return err
	}
	if p == nil {
		has, err := packs.loose(o.id)
		if err != nil || !has {
			return errors.Join(missing(o.id, nil), err)
		}
	}
	if o.kind == plumbing.AnyObject {
		if p != nil {
			o.kind, _, err = packs.kindAndSize(p, at)
		} else {
			var stored plumbing.EncodedObject
			if stored, err = f.objects.stored(o.id); err == nil {
				o.kind = stored.Type()
			}
		}
		if err != nil {
			return missing(o.id, err)
		}
	}
	f.number[o.id] = int32(len(f.list))
	f.list = append(f.list, living{id: o.id, pack: p, at: at})
	return nil
}

// placed is where an object of a pack begins, and its number in the index.
type placed struct {
	at     int64
	number uint32
}

// table lists a pack's objects by where they lie.
func (f *folding) table(p *pack) ([]placed, error) {
	if t, ok := f.tables[p]; ok {
		return t, nil
	}
	t := make([]placed, p.fanout[255])
	near := make([]byte, 4*len(t)) // read at once: one by one is a system call for each
	if _, err := p.index.ReadAt(near, 8+4*256+24*int64(len(t))); err != nil {
		return nil, fmt.Errorf("%w: index: %w", errPack, err)
	}
	for i := range t {
		at := int64(binary.BigEndian.Uint32(near[4*i:]))
		if at >= 1<<31 {
			var err error
			if at, err = p.offset(uint32(i)); err != nil {
				return nil, err
			}
		}
		t[i] = placed{at, uint32(i)}
	}
	slices.SortFunc(t, func(a, b placed) int { return int(min(max(a.at-b.at, -1), 1)) })
	if f.tables == nil {
		f.tables = make(map[*pack][]placed)
	}
	f.tables[p] = t
	return t, nil
}

// span finds the object that begins at an offset: its id, and where the next one begins.
func (f *folding) span(p *pack, at int64) (id plumbing.Hash, end int64, err error) {
	t, err := f.table(p)
	if err != nil {
		return id, 0, err
	}
	i, ok := slices.BinarySearchFunc(t, at, func(a placed, at int64) int { return int(min(max(a.at-at, -1), 1)) })
	if !ok {
		return id, 0, fmt.Errorf("%w: no object at %d of %s", errPack, at, filepath.Base(p.index.Name()))
	}
	if _, err := p.index.ReadAt(id[:], 8+4*256+int64(t[i].number)*20); err != nil {
		return id, 0, fmt.Errorf("%w: index: %w", errPack, err)
	}
	if i+1 < len(t) {
		return id, t[i+1].at, nil
	}
	return id, p.end, nil
}

// liveBytes is how much of a pack is needed.
func (f *folding) liveBytes(p *pack) (sum int64, err error) {
	for _, o := range f.list {
		at := o.at
		if o.pack != p {
			if at, err = f.objects.packs.look(p, o.id); err != nil {
				return 0, err
			}
		}
		if at >= 0 {
			_, end, err := f.span(p, at)
			if err != nil {
				return 0, err
			}
			sum += end - at
		}
	}
	return sum, nil
}
