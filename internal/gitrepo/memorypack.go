package gitrepo

import (
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
)

// memoryPack reads a pack into memory: small objects, all of which are wanted.
type memoryPack struct {
	*scanner
	into   *Content
	held   []held                  // by number of entry
	deltas [][]byte                // of those that are not solved yet; nil = it is
	named  map[int32]plumbing.Hash // bases that are named, not pointed at
	left   int                     // to be solved
}

// unpack adds the objects of a pack stream. It reads the stream to its end.
func (c *Content) unpack(ctx context.Context, src io.Reader) error {
	p := &memoryPack{scanner: newScanner(ctx, src, io.Discard), into: c, named: make(map[int32]plumbing.Hash)}
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
			return fmt.Errorf("%w: %d deltas lean on what is not in it", errPack, p.left)
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
		return fmt.Errorf("%w: an object longer than it says", errPack)
	case !errors.Is(err, io.EOF):
		return cut(err)
	}
	return nil
}

// found notes an object's content.
func (p *memoryPack) found(i int32, h held) {
	e := &p.entries[i]
	p.id.Reset()
	p.id.Write(appendKind(p.chunk[:0], h.kind, int64(len(h.data))))
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
