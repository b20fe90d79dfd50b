package pack

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// Memory is objects in memory. Many goroutines at a time may read while none adds.
type Memory struct {
	objects map[plumbing.Hash]held
	left    int64 // how much more may come
	most    int64 // bytes of one object
	skip    int64 // how many bytes of larger ones may come
	skipped bool  // some did
}

type held struct {
	kind plumbing.ObjectType
	data []byte // nil of one that is too big
}

// skipMost bounds the bytes of objects that are too big: they are inflated all the same, to go past them.
const skipMost = 1 << 30

// NewMemory makes room for objects of so many bytes, with 100 for the place of each. Of one that is larger than most
// only the kind is held, so that it hides no other.
func NewMemory(limit, most int64) *Memory { return &Memory{left: limit, most: most, skip: skipMost} }

// Get returns an object's kind and its bytes, which must not be changed; nil of one that is too big.
func (m *Memory) Get(id plumbing.Hash) (kind plumbing.ObjectType, data []byte, ok bool) {
	h, ok := m.objects[id]
	return h.kind, h.data, ok
}

// room returns a piece of memory for an object of n bytes.
func (m *Memory) room(n int64) ([]byte, error) {
	if m.left -= n + 100; m.left < 0 { // 100: for the place of the object itself
		return nil, ErrTooBig
	}
	return make([]byte, n), nil
}

// pass says whether an object of n bytes is too big, so that it is not held.
func (m *Memory) pass(n int64) (bool, error) {
	if n <= m.most {
		return false, nil
	}
	m.skipped = true
	if m.skip -= n; m.skip < 0 {
		return true, ErrTooBig
	}
	return true, nil
}

// memoryPack reads a pack into memory: small objects, all of which are wanted.
type memoryPack struct {
	*scanner
	into *Memory
	// Deltas whose base was not seen yet: by its id, or by its number where that is a delta that waits.
	named  map[plumbing.Hash][]delta
	placed map[int32][]delta
}

// delta is the content of an entry that stands for a change of another one.
type delta struct {
	entry int32
	data  []byte
}

// Unpack adds the objects of a pack stream. It reads the stream to its end. Errors: ErrTooBig when there is no room
// for all of them, ErrCorrupt, io.ErrUnexpectedEOF, and those of the stream and of ctx.
func (m *Memory) Unpack(ctx context.Context, src io.Reader) error {
	p := &memoryPack{scanner: newScanner(ctx, src, io.Discard), into: m,
		named: map[plumbing.Hash][]delta{}, placed: map[int32][]delta{}}
	p.each = p.object
	if _, err := p.run(); err != nil {
		return err
	}
	if n := len(p.named) + len(p.placed); n > 0 && !m.skipped { // else they may lean on what was passed over
		return fmt.Errorf("%w: %d deltas lean on what is not in it", ErrCorrupt, n)
	}
	return nil
}

// object reads one object.
func (p *memoryPack) object() error {
	e, err := p.head()
	if err != nil {
		return err
	}
	n := int32(len(p.entries))
	pass, err := p.into.pass(e.size)
	if err != nil {
		return err
	}
	if pass {
		begin(p.id, e.kind, e.size)
		if err := p.inflate(e.size, true); err != nil {
			return err
		}
		if e.id, err = p.id.sum(); err != nil {
			return err
		}
		if p.entries = append(p.entries, e); e.solved {
			p.note(e.id, held{kind: e.kind})
		}
		return nil
	}
	data, err := p.into.room(e.size)
	if err != nil {
		return err
	}
	if err := p.zlib.open(p.scanner); err != nil {
		return cut(err)
	}
	if err := p.zlib.fill(data); err != nil {
		return cut(err)
	}
	p.entries = append(p.entries, e)
	if e.solved {
		return p.found(n, held{e.kind, data})
	}
	d := delta{n, data}
	var name plumbing.Hash
	switch {
	case e.kind == plumbing.REFDeltaObject:
		name = p.borrowed[len(p.borrowed)-1].base
	case p.entries[e.base].solved:
		name = p.entries[e.base].id
	default:
		p.placed[e.base] = append(p.placed[e.base], d)
		return nil
	}
	base, ok := p.into.objects[name]
	if !ok {
		p.named[name] = append(p.named[name], d)
		return nil
	}
	h, ok, err := p.apply(d, base)
	if err != nil || !ok {
		return err
	}
	return p.found(n, h)
}

// note holds an object.
func (p *memoryPack) note(id plumbing.Hash, h held) {
	if p.into.objects == nil {
		p.into.objects = make(map[plumbing.Hash]held, cap(p.entries))
	}
	p.into.objects[id] = h
}

// apply makes the object of a delta and its base; ok is false when one of the two is too big.
func (p *memoryPack) apply(d delta, base held) (h held, ok bool, err error) {
	size, err := deltaSize(bytes.NewReader(d.data), -1)
	if err != nil {
		return held{}, false, err
	}
	if pass, err := p.into.pass(size); pass || base.data == nil {
		return held{}, false, err
	}
	into, err := p.into.room(size)
	if err != nil {
		return held{}, false, err
	}
	data, err := applyDelta(base.data, d.data, size, into)
	return held{base.kind, data}, true, err
}

// found notes an object's content, and makes what waits for it, and for that. Nearly always each base comes before its
// delta, so that nothing waits. Not by recursion: the depth is the sender's choice.
func (p *memoryPack) found(i int32, h held) error {
	type solved struct {
		entry int32
		held
	}
	for todo := []solved{{i, h}}; len(todo) > 0; {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		one := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		e := &p.entries[one.entry]
		begin(p.id, one.kind, int64(len(one.data)))
		p.id.Write(one.data)
		var err error
		if e.id, err = p.id.sum(); err != nil {
			return err
		}
		e.solved = true
		p.note(e.id, one.held)
		for _, d := range slices.Concat(p.named[e.id], p.placed[one.entry]) {
			result, ok, err := p.apply(d, one.held)
			if err != nil {
				return err
			}
			if ok {
				todo = append(todo, solved{d.entry, result})
			}
		}
		delete(p.named, e.id)
		delete(p.placed, one.entry)
	}
	return nil
}
