package pack

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"fmt"
	"io"
	"slices"
)

// Memory is a Reader of packs that lie in memory.
type Memory struct {
	*Reader
	Most int64 // bytes of one object; a larger one hides no other, and a delta of it is not there
	left int64 // how much more may come
	skip int64 // how many bytes of larger ones may come
}

// skipMost bounds the bytes of objects that are too big: they are inflated all the same, to go past them.
const skipMost = 1 << 30

// NewMemory makes room for objects of so many bytes, with 100 for the place of each.
func NewMemory(limit, most int64) *Memory {
	// All bases of deltas have room, so that each is made once: here the order of reading is the sender's choice.
	packs := &packSet{short: bufio.NewReaderSize(nil, 4<<10), bases: baseCache{room: int(16 * limit)}}
	return &Memory{Reader: &Reader{packs: packs, sum: sha1.New()}, Most: most, left: limit, skip: skipMost}
}

// Unpack adds the objects of a pack stream. It reads the stream to its end. Errors: ErrTooBig when there is no room
// for all of them, ErrCorrupt, io.ErrUnexpectedEOF, and those of the stream and of ctx.
func (m *Memory) Unpack(ctx context.Context, src io.Reader) error {
	var data, index bytes.Buffer
	in := newScanner(ctx, src, &data)
	in.sized = m.take
	sum, err := in.run()
	if err != nil {
		return err
	}
	solver := newSolver(in, bytes.NewReader(data.Bytes()), "")
	solver.most = m.Most
	if err := solver.run(); err != nil {
		return err
	}
	if solver.left > 0 && !solver.passed { // else they may lean on what was passed over
		return fmt.Errorf("%w: %d deltas lean on what is not in it", ErrCorrupt, solver.left)
	}
	there := slices.DeleteFunc(solver.entries, func(e scanned) bool { return !e.solved })
	if err := encodeIndex(&index, there, sum); err != nil {
		return err
	}
	p := &Pack{index: bytes.NewReader(index.Bytes()), data: bytes.NewReader(data.Bytes())}
	m.packs.packs = append(m.packs.packs, p)
	return p.begin(int64(data.Len()))
}

// take counts an object of n bytes.
func (m *Memory) take(n int64) error {
	left := &m.left
	if n > m.Most {
		left = &m.skip
	}
	if *left -= n + 100; *left < 0 { // 100: for the place of the object itself
		return ErrTooBig
	}
	return nil
}
