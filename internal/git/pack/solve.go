package pack

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/go-git/go-git/v5/plumbing"
)

// solver finds the ids of a pack's deltas. It goes down from each base to the deltas on it, so that a base is
// inflated once for all of them. The contents on the way from a base down to where it is lie in memory, and when they
// become too many or too big on a scratch file, which grows and shrinks like a stack: what is held in memory does not
// depend on the sizes of objects or the lengths of chains.
type solver struct {
	ctx     context.Context
	file    io.ReaderAt
	size    int64 // of the file: where objects end
	entries []scanned
	tmp     string            // the folder of the scratch file; "" = all fits into memory
	step    func() error      // called as the work advances
	sized   func(int64) error // looks at the size of an object before it is made
	most    int64             // bytes: a larger object is passed over, with what leans on it
	passed  bool              // one was

	first, next []int32                   // deltas of an object, by number; -1 ends the list
	waiting     map[plumbing.Hash][]int32 // deltas whose base is named and was not seen yet
	left        int                       // deltas without an id

	in, delta *bufio.Reader
	zlib      inflater
	sum       idHash
	chunk     []byte

	frames  []frame
	held    int64    // bytes of contents in memory
	spare   []byte   // memory of one that is not needed any more
	scratch *os.File // nil: not needed yet
	top     int64    // where the next content goes there
}

// frame is one object on the way down.
type frame struct {
	content
	child int32 // the next delta on it; -1 = none
}

// content is what an object holds, in memory or in a file.
type content struct {
	kind plumbing.ObjectType
	size int64
	data []byte
	file io.ReaderAt // when data is nil
}

const maxHeld = 12 << 20

// newSolver goes on with what a scanner has read to its end.
func newSolver(in *scanner, file io.ReaderAt, tmp string) *solver {
	entries := in.entries
	s := &solver{ctx: in.ctx, file: file, size: in.at() - sha1.Size, entries: entries, tmp: tmp,
		step: func() error { return nil }, sized: in.sized, most: math.MaxInt64,
		in: bufio.NewReaderSize(nil, 16<<10), delta: bufio.NewReaderSize(nil, 4<<10), sum: newIDHash(), chunk: make([]byte, 32<<10),
		waiting: make(map[plumbing.Hash][]int32)}
	for _, b := range in.borrowed {
		s.waiting[b.base] = append(s.waiting[b.base], b.entry)
	}
	s.first, s.next = make([]int32, len(entries)), make([]int32, len(entries))
	for i := range entries {
		s.first[i] = -1
	}
	// From the back, so that each list runs forward through the file.
	for i := len(entries) - 1; i >= 0; i-- {
		if !entries[i].solved {
			s.left++
			if b := entries[i].base; b >= 0 {
				s.next[i], s.first[b] = s.first[b], int32(i)
			}
		}
	}
	return s
}

func (s *solver) close() {
	if s.scratch != nil {
		_ = s.scratch.Close() // it has no name any more
	}
}

// run solves all that hangs on the objects of the pack itself.
func (s *solver) run() error {
	if s.left == 0 {
		return nil
	}
	for i := range s.entries {
		if e := &s.entries[i]; e.solved && e.base < 0 {
			if err := s.from(int32(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// add appends an object that is not in the pack as it came, and solves what hangs on it.
func (s *solver) add(e scanned, size int64) error {
	s.entries = append(s.entries, e)
	s.first, s.next = append(s.first, -1), append(s.next, -1)
	s.size = size
	return s.from(int32(len(s.entries) - 1))
}

// adopt hangs the deltas that name an object onto it.
func (s *solver) adopt(i int32) {
	id := s.entries[i].id
	kids := s.waiting[id]
	delete(s.waiting, id)
	for k := len(kids) - 1; k >= 0; k-- {
		s.entries[kids[k]].base = i
		s.next[kids[k]], s.first[i] = s.first[i], kids[k]
	}
}

// from solves everything that hangs on one object.
func (s *solver) from(root int32) error {
	s.adopt(root)
	if s.first[root] < 0 {
		return nil
	}
	if s.entries[root].size > s.most {
		s.passed = true
		return nil
	}
	c, err := s.load(&s.entries[root])
	if err != nil {
		return err
	}
	s.push(root, c)
	for len(s.frames) > 0 {
		top := &s.frames[len(s.frames)-1]
		kid := top.child
		if kid < 0 {
			s.held -= int64(len(top.data))
			s.release(top.content)
			s.frames = s.frames[:len(s.frames)-1]
			continue
		}
		top.child = s.next[kid]
		if err := s.solve(kid, &top.content); err != nil {
			return err
		}
	}
	return nil
}

// solve finds the id of one delta, and goes down to it when others hang on it.
func (s *solver) solve(kid int32, base *content) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if len(s.frames) > maxChain {
		return fmt.Errorf("%w: endless delta chain", ErrCorrupt)
	}
	e := &s.entries[kid]
	// Whether something waits for this object by its id is known only after it was made.
	c, err := s.apply(e, base, s.first[kid] >= 0 || len(s.waiting) > 0)
	if err != nil || !e.solved {
		return err
	}
	s.left--
	if err := s.step(); err != nil {
		return err
	}
	s.adopt(kid)
	if s.first[kid] < 0 {
		s.release(c)
		return nil
	}
	s.push(kid, c)
	return nil
}

func (s *solver) push(entry int32, c content) {
	s.held += int64(len(c.data))
	s.frames = append(s.frames, frame{c, s.first[entry]})
}

// place makes room for an object. One that is not kept and does not fit into memory goes nowhere.
func (s *solver) place(kind plumbing.ObjectType, size int64, keep bool) (content, io.Writer, error) {
	c := content{kind: kind, size: size}
	switch {
	case s.tmp == "" || size <= bigObject && (!keep || s.held+size <= maxHeld):
		c.data = s.room(size)
		return c, bytes.NewBuffer(c.data[:0]), nil
	case !keep:
		return c, io.Discard, nil
	}
	if s.scratch == nil {
		var err error
		if s.scratch, err = namelessFile(s.tmp); err != nil {
			return c, nil, err
		}
	}
	c.file = io.NewSectionReader(s.scratch, s.top, size)
	out := io.NewOffsetWriter(s.scratch, s.top)
	s.top += size
	return c, out, nil
}

func (s *solver) room(n int64) []byte {
	b := s.spare
	if int64(cap(b)) < n || int64(cap(b)) > 4*n+4096 {
		return make([]byte, n)
	}
	s.spare = nil
	return b[:n]
}

// release gives back the room of the content that was placed last.
func (s *solver) release(c content) {
	switch {
	case c.file != nil:
		s.top -= c.size
	case cap(c.data) > cap(s.spare):
		s.spare = c.data
	}
}

// open inflates the bytes of an entry.
func (s *solver) open(e *scanned) error {
	s.in.Reset(io.NewSectionReader(s.file, e.body, s.size-e.body))
	return cut(s.zlib.open(s.in))
}

// load reads an object that is no delta. Its length was checked when it came in.
func (s *solver) load(e *scanned) (content, error) {
	if err := s.open(e); err != nil {
		return content{}, err
	}
	c, out, err := s.place(e.kind, e.size, true)
	if err == nil {
		err = copyBytes(out, &s.zlib, e.size, s.chunk)
	}
	return c, err
}

// apply makes the object that a delta stands for, and finds its id; unless it is passed over.
func (s *solver) apply(e *scanned, base *content, keep bool) (content, error) {
	if err := s.open(e); err != nil {
		return content{}, err
	}
	s.delta.Reset(&s.zlib)
	size, err := deltaSize(s.delta, base.size)
	if err == nil {
		err = s.sized(size)
	}
	if err != nil {
		return content{}, err
	}
	if size > s.most {
		s.passed = true
		return content{}, nil
	}
	c, out, err := s.place(base.kind, size, keep)
	if err != nil {
		return c, err
	}
	begin(s.sum, base.kind, size)
	if c.data == nil {
		out = io.MultiWriter(s.sum, out)
	}
	if err := patch(out, s.delta, base, size, s.chunk); err != nil {
		return c, err
	}
	s.sum.Write(c.data)
	e.id, err = s.sum.sum()
	e.kind, e.solved = base.kind, true
	return c, err
}

type byteReader interface {
	io.Reader
	io.ByteReader
}

// patch writes the object of so many bytes that a delta makes of its base.
func patch(w io.Writer, delta byteReader, base *content, size int64, chunk []byte) error {
	for done := int64(0); ; {
		insert, offset, n, err := deltaStep(delta)
		switch {
		case errors.Is(err, io.EOF) && done == size:
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%w: delta result is short", ErrCorrupt)
		case err != nil:
			return cut(err)
		case done+insert+n > size:
			return fmt.Errorf("%w: delta result is long", ErrCorrupt)
		case insert > 0:
			err = copyBytes(w, delta, insert, chunk)
		case offset+n > base.size:
			return fmt.Errorf("%w: delta copies past its base", ErrCorrupt)
		case base.file == nil:
			_, err = w.Write(base.data[offset : offset+n])
		default:
			err = copyBytes(w, io.NewSectionReader(base.file, offset, n), n, chunk)
		}
		if err != nil {
			return err
		}
		done += insert + n
	}
}

// copyBytes copies exactly n bytes by way of chunk.
func copyBytes(w io.Writer, r io.Reader, n int64, chunk []byte) error {
	for n > 0 {
		part := chunk[:min(n, int64(len(chunk)))]
		if _, err := io.ReadFull(r, part); err != nil {
			return cut(err)
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
		n -= int64(len(part))
	}
	return nil
}
