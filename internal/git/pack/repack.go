package pack

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// Repack makes one pack of objects that lie in many, or are loose. Which objects those are, and which packs may go
// then, is told by the caller; what a Repack holds is about 300 bytes an object, and no content.
type Repack struct {
	r      *Reader
	list   []living                // what the new pack is to hold
	number map[plumbing.Hash]int32 // of an object in list; -1: it was left out
	tables map[*Pack][]placed
}

// living is an object that stays.
type living struct {
	id    plumbing.Hash
	pack  *Pack // nil: loose
	at    int64 // where it lies in that pack
	out   int64 // where it lies in the new one; 0 = not yet
	depth int32 // of deltas below it there
	begun bool
}

// NewRepack begins with nothing. The reader must stay open, and belongs to the Repack until that ends.
func (o *Reader) NewRepack() *Repack { return &Repack{r: o, number: make(map[plumbing.Hash]int32)} }

// Packs lists the packs of the git directory itself, those of its alternates not.
func (o *Reader) Packs() []*Pack {
	var own []*Pack
	for _, p := range o.packs.packs {
		if o.owns(p) {
			own = append(own, p)
		}
	}
	return own
}

func (o *Reader) owns(p *Pack) bool {
	return filepath.Dir(p.stem) == filepath.Join(o.gitDir, "objects", "pack")
}

// Len is how many objects the new pack will hold.
func (f *Repack) Len() int { return len(f.list) }

// Has says whether an object was added, and perhaps left out again.
func (f *Repack) Has(id plumbing.Hash) bool {
	_, ok := f.number[id]
	return ok
}

// Add puts an object into the list, and returns its kind, which need not be known before (AnyObject). For one that was
// in there that is InvalidObject, whatever it is. ErrMissing: it is nowhere.
func (f *Repack) Add(id plumbing.Hash, kind plumbing.ObjectType) (plumbing.ObjectType, error) {
	if f.Has(id) {
		return plumbing.InvalidObject, nil
	}
	p, at, err := f.r.packs.find(id)
	switch {
	case err != nil:
	case kind == plumbing.AnyObject:
		kind, _, err = f.r.KindAndSize(id)
	case p == nil:
		err = f.r.Present(id)
	}
	if err != nil {
		return kind, err
	}
	f.number[id] = int32(len(f.list))
	f.list = append(f.list, living{id: id, pack: p, at: at})
	return kind, nil
}

// AddPack puts all objects of a pack into the list.
func (f *Repack) AddPack(p *Pack) error {
	names := make([]byte, 20*int64(p.fanout[255]))
	if _, err := p.index.ReadAt(names, 8+4*256); err != nil {
		return fmt.Errorf("%w: index: %w", ErrCorrupt, err)
	}
	for number := uint32(0); len(names) > 0; names, number = names[20:], number+1 {
		id := plumbing.Hash(names[:20])
		if f.Has(id) {
			continue
		}
		at, err := p.offset(number)
		if err != nil {
			return err
		}
		f.number[id] = int32(len(f.list))
		f.list = append(f.list, living{id: id, pack: p, at: at})
	}
	return nil
}

// LeaveOut takes out of the list what packs hold that stay, or packs of alternates.
func (f *Repack) LeaveOut(stay []*Pack) error {
	list := f.list[:0]
	for _, o := range f.list {
		in := o.pack != nil && !f.r.owns(o.pack)
		for _, p := range stay {
			if in = in || o.pack == p; in {
				break
			}
			at, err := f.r.packs.look(p, o.id)
			if err != nil {
				return err
			}
			in = at >= 0
		}
		f.number[o.id] = -1
		if !in {
			f.number[o.id] = int32(len(list))
			list = append(list, o)
		}
	}
	clear(f.list[len(list):])
	f.list = list
	return nil
}

// Live is how many bytes of a pack belong to objects in the list, in whatever packs these were found.
func (f *Repack) Live(p *Pack) (sum int64, err error) {
	for _, o := range f.list {
		at := o.at
		if o.pack != p {
			if at, err = f.r.packs.look(p, o.id); err != nil {
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

// placed is where an object of a pack begins, and its number in the index.
type placed struct {
	at     int64
	number uint32
}

// table lists a pack's objects by where they lie.
func (f *Repack) table(p *Pack) ([]placed, error) {
	if t, ok := f.tables[p]; ok {
		return t, nil
	}
	t := make([]placed, p.fanout[255])
	near := make([]byte, 4*len(t)) // read at once: one by one is a system call for each
	if _, err := p.index.ReadAt(near, 8+4*256+24*int64(len(t))); err != nil {
		return nil, fmt.Errorf("%w: index: %w", ErrCorrupt, err)
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
		f.tables = make(map[*Pack][]placed)
	}
	f.tables[p] = t
	return t, nil
}

// span finds the object that begins at an offset: its id, and where the next one begins.
func (f *Repack) span(p *Pack, at int64) (id plumbing.Hash, end int64, err error) {
	t, err := f.table(p)
	if err != nil {
		return id, 0, err
	}
	i, ok := slices.BinarySearchFunc(t, at, func(a placed, at int64) int { return int(min(max(a.at-at, -1), 1)) })
	if !ok {
		return id, 0, fmt.Errorf("%w: no object at %d of %s", ErrCorrupt, at, filepath.Base(p.stem))
	}
	if _, err := p.index.ReadAt(id[:], 8+4*256+int64(t[i].number)*20); err != nil {
		return id, 0, fmt.Errorf("%w: index: %w", ErrCorrupt, err)
	}
	if i+1 < len(t) {
		return id, t[i+1].at, nil
	}
	return id, p.end, nil
}

// Write makes the new pack, puts it into its place in the git directory, and proves that it holds all of the list. It
// returns the path of the pack without the end of its name, which may not be on the disk yet. progress is also called
// between any two changes on the disk.
func (f *Repack) Write(ctx context.Context, progress Progress) (stem string, err error) {
	r, w := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = w.CloseWithError(f.writePack(ctx, w))
	}()
	got, err := Receive(ctx, bufio.NewReader(r), ReceiveOptions{Parent: f.r.gitDir, Progress: progress})
	_ = r.Close()
	<-ended
	if err != nil {
		return "", err
	}
	if err := progress(got.Bytes, f.Len()); err != nil {
		return "", errors.Join(err, got.discard())
	}
	if err := got.Install(f.r.gitDir); err != nil {
		return "", err
	}
	if err := progress(got.Bytes, f.Len()); err != nil {
		return "", err
	}
	stem = filepath.Join(f.r.gitDir, "objects", "pack", got.Stem)
	p, err := openPack(stem)
	if err != nil {
		return "", err
	}
	defer func() { _ = p.close() }()
	for _, o := range f.list {
		if at, err := f.r.packs.look(p, o.id); err != nil || at < 0 {
			return "", fmt.Errorf("the new pack lacks %s: %w", o.id, errors.Join(ErrCorrupt, err))
		}
	}
	return stem, nil
}
