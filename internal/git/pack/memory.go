package pack

import (
	"bytes"
	"compress/zlib"
	"context"
	"errors"
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

// Left is for how many bytes there is room.
func (m *Memory) Left() int64 { return max(m.left, 0) }

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

// Add copies an object into memory and returns the copy; ErrTooBig when there is no room for it. The id is believed.
func (m *Memory) Add(id plumbing.Hash, kind plumbing.ObjectType, data []byte) ([]byte, error) {
	own, err := m.room(int64(len(data)))
	if err != nil {
		return nil, err
	}
	copy(own, data)
	if m.objects == nil {
		m.objects = make(map[plumbing.Hash]held)
	}
	m.objects[id] = held{kind, own}
	return own, nil
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
	into   *Memory
	held   []held                  // by number of entry
	deltas [][]byte                // of those that are not solved yet; nil = it is
	named  map[int32]plumbing.Hash // bases that are named, not pointed at
	left   int                     // to be solved
}

// Unpack adds the objects of a pack stream. It reads the stream to its end. Errors: ErrTooBig when there is no room
// for all of them, ErrCorrupt, io.ErrUnexpectedEOF, and those of the stream and of ctx.
func (m *Memory) Unpack(ctx context.Context, src io.Reader) error {
	p := &memoryPack{scanner: newScanner(ctx, src, io.Discard), into: m, named: make(map[int32]plumbing.Hash)}
	p.each = p.object
	if _, err := p.run(); err != nil {
		return err
	}
	// Nearly always each base came before its delta, so that nothing is left here.
	for p.left > 0 {
		before := p.left
		for i := range p.held {
			if p.deltas[i] != nil {
				if err := p.solve(int32(i)); err != nil {
					return err
				}
			}
		}
		if p.left == before {
			return fmt.Errorf("%w: %d deltas lean on what is not in it", ErrCorrupt, p.left)
		}
	}
	return nil
}

// object reads one object.
func (p *memoryPack) object() error {
	if p.held == nil {
		p.held, p.deltas = make([]held, 0, cap(p.entries)), make([][]byte, 0, cap(p.entries))
		if p.into.objects == nil {
			p.into.objects = make(map[plumbing.Hash]held, cap(p.entries))
		}
	}
	e, err := p.head()
	if err != nil {
		return err
	}
	data, err := p.into.room(e.size)
	if err != nil {
		return err
	}
	if err := p.whole(data); err != nil {
		return err
	}
	i := int32(len(p.entries))
	p.entries = append(p.entries, e)
	p.held = append(p.held, held{})
	p.deltas = append(p.deltas, nil)
	if e.solved {
		p.found(i, held{e.kind, data})
		return nil
	}
	if e.kind == plumbing.REFDeltaObject {
		p.named[i] = p.borrowed[len(p.borrowed)-1].base
	}
	p.left++
	p.deltas[i] = data
	return p.solve(i)
}

// whole inflates exactly as many bytes as data holds.
func (p *memoryPack) whole(data []byte) error {
	if p.inflater == nil {
		z, err := zlib.NewReader(p.scanner)
		if err != nil {
			return cut(err)
		}
		p.inflater = z
	} else if err := p.inflater.(zlib.Resetter).Reset(p.scanner, nil); err != nil {
		return cut(err)
	}
	if _, err := io.ReadFull(p.inflater, data); err != nil {
		return cut(err)
	}
	switch n, err := p.inflater.Read(p.chunk[:1]); {
	case n > 0:
		return fmt.Errorf("%w: an object longer than it says", ErrCorrupt)
	case !errors.Is(err, io.EOF):
		return cut(err)
	}
	return nil
}

// found notes an object's content.
func (p *memoryPack) found(i int32, h held) {
	e := &p.entries[i]
	p.id.Reset()
	p.id.Write(AppendLooseHeader(p.chunk[:0], h.kind, int64(len(h.data))))
	p.id.Write(h.data)
	p.id.Sum(e.id[:0])
	p.held[i] = h
	p.into.objects[e.id] = h
}

// solve applies a delta when its base is there.
func (p *memoryPack) solve(i int32) error {
	base, ok := held{}, false
	if b := p.entries[i].base; b >= 0 {
		base, ok = p.held[b], p.deltas[b] == nil
	} else {
		base, ok = p.into.objects[p.named[i]]
		if before := p.into.base; !ok && before != nil {
			base, ok = before.objects[p.named[i]]
		}
	}
	if !ok {
		return nil
	}
	delta := p.deltas[i]
	_, size, err := deltaSizes(bytes.NewReader(delta))
	if err != nil {
		return err
	}
	into, err := p.into.room(size)
	if err != nil {
		return err
	}
	data, err := applyDelta(base.data, delta, size, into)
	if err != nil {
		return err
	}
	p.deltas[i] = nil
	p.left--
	p.found(i, held{base.kind, data})
	return nil
}
