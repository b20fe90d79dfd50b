package pack

import (
	"context"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
)

// Memory is objects in memory. Nil holds none. Many goroutines at a time may read while none adds.
type Memory struct {
	objects map[plumbing.Hash]held
	slab    []byte  // room for the next small objects
	left    int64   // how much more may come
	base    *Memory // until Seal: what deltas may lean on
}

type held struct {
	kind plumbing.ObjectType
	data []byte
}

// NewMemory makes room for objects of so many bytes, with 100 for the place of each. What is added may lean on base
// (nil = on nothing), which is not part of it.
func NewMemory(limit int64, base *Memory) *Memory { return &Memory{left: limit, base: base} }

// Seal gives back what only adding needs.
func (m *Memory) Seal() { m.slab, m.base = nil, nil }

// Has says whether an object is held.
func (m *Memory) Has(id plumbing.Hash) bool {
	_, _, ok := m.Get(id)
	return ok
}

// Get returns an object's kind and its bytes, which must not be changed.
func (m *Memory) Get(id plumbing.Hash) (kind plumbing.ObjectType, data []byte, ok bool) {
	if m == nil {
		return 0, nil, false
	}
	h, ok := m.objects[id]
	return h.kind, h.data, ok
}

// room returns a piece of memory for an object of n bytes.
func (m *Memory) room(n int64) ([]byte, error) {
	const slab = 64 << 10
	if m.left -= n + 100; m.left < 0 { // 100: for the place of the object itself
		return nil, ErrTooBig
	}
	if n > slab/8 {
		return make([]byte, n), nil
	}
	if int64(len(m.slab)) < n {
		m.slab = make([]byte, slab)
	}
	b := m.slab[:n:n]
	m.slab = m.slab[n:]
	return b, nil
}

// memoryPack reads a pack into memory: small objects, all of which are wanted.
type memoryPack struct {
	*scanner
	into    *Memory
	waiting []waitingDelta
}

// waitingDelta is a delta whose base was not seen yet.
type waitingDelta struct {
	entry int32
	base  plumbing.Hash // of one that is named, not pointed at
	data  []byte
}

// Unpack adds the objects of a pack stream. It reads the stream to its end. Errors: ErrTooBig when there is no room
// for all of them, ErrCorrupt, io.ErrUnexpectedEOF, and those of the stream and of ctx.
func (m *Memory) Unpack(ctx context.Context, src io.Reader) error {
	p := &memoryPack{scanner: newScanner(ctx, src, io.Discard), into: m}
	p.each = p.object
	if _, err := p.run(); err != nil {
		return err
	}
	// Nearly always each base came before its delta, so that nothing is left here.
	for before := 0; len(p.waiting) > 0; {
		if before == len(p.waiting) {
			return fmt.Errorf("%w: %d deltas lean on what is not in it", ErrCorrupt, before)
		}
		before = len(p.waiting)
		left := p.waiting[:0]
		for _, d := range p.waiting {
			solved, err := p.solve(d)
			if err != nil {
				return err
			}
			if !solved {
				left = append(left, d)
			}
		}
		p.waiting = left
	}
	return nil
}

// object reads one object.
func (p *memoryPack) object() error {
	e, err := p.head()
	if err != nil {
		return err
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
	d := waitingDelta{entry: int32(len(p.entries)), data: data}
	p.entries = append(p.entries, e)
	if e.solved {
		p.found(d.entry, held{e.kind, data})
		return nil
	}
	if e.kind == plumbing.REFDeltaObject {
		d.base = p.borrowed[len(p.borrowed)-1].base
	}
	solved, err := p.solve(d)
	if !solved {
		p.waiting = append(p.waiting, d)
	}
	return err
}

// found notes an object's content.
func (p *memoryPack) found(i int32, h held) {
	e := &p.entries[i]
	begin(p.id, h.kind, int64(len(h.data)))
	p.id.Write(h.data)
	p.id.Sum(e.id[:0])
	e.solved = true
	if p.into.objects == nil {
		p.into.objects = make(map[plumbing.Hash]held, cap(p.entries))
	}
	p.into.objects[e.id] = h
}

// solve applies a delta when its base is there.
func (p *memoryPack) solve(d waitingDelta) (bool, error) {
	if b := p.entries[d.entry].base; b >= 0 {
		if !p.entries[b].solved {
			return false, nil
		}
		d.base = p.entries[b].id
	}
	base, ok := p.into.objects[d.base]
	if before := p.into.base; !ok && before != nil {
		base, ok = before.objects[d.base]
	}
	if !ok {
		return false, nil
	}
	_, size, err := deltaSizes(&byteCursor{d.data})
	if err != nil {
		return false, err
	}
	into, err := p.into.room(size)
	if err != nil {
		return false, err
	}
	data, err := applyDelta(base.data, d.data, size, into)
	if err != nil {
		return false, err
	}
	p.found(d.entry, held{base.kind, data})
	return true, nil
}
