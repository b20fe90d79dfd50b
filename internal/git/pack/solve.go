package pack

import (
	"bufio"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/go-git/go-git/v5/plumbing"
)

// solver finds the ids of a pack's deltas. It goes down from each base to the deltas on it, so that a base is
// inflated once for all of them, and drops contents that are far from where it is when they become too many: they are
// made again when they are needed. What it holds does not depend on the sizes of objects or the lengths of chains.
type solver struct {
	ctx     context.Context
	file    *os.File
	size    int64 // of the file: where objects end
	entries []scanned
	tmp     string // a folder for contents of big objects
	step    func()

	first, next []int32                   // deltas of an object, by number; -1 ends the list
	waiting     map[plumbing.Hash][]int32 // deltas whose base is named and was not seen yet
	left        int                       // deltas without an id

	in     *bufio.Reader
	delta  *bufio.Reader
	zlib   io.ReadCloser
	sum    hash.Hash
	chunk  []byte
	held   int // bytes of contents in memory
	spare  []byte
	frames []frame
}

// frame is one object on the way down.
type frame struct {
	entry int32
	c     *content // nil: dropped
	child int32
}

const maxHeld = 12 << 20

func newSolver(ctx context.Context, file *os.File, size int64, entries []scanned, borrowed []borrowed, tmp string) *solver {
	s := &solver{ctx: ctx, file: file, size: size, entries: entries, tmp: tmp, step: func() {},
		in: bufio.NewReaderSize(nil, 16<<10), delta: bufio.NewReaderSize(nil, 4<<10), sum: sha1.New(), waiting: make(map[plumbing.Hash][]int32)}
	for _, b := range borrowed {
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
	kids, ok := s.waiting[id]
	if !ok {
		return
	}
	delete(s.waiting, id)
	for k := len(kids) - 1; k >= 0; k-- {
		s.entries[kids[k]].base = i
		s.next[kids[k]], s.first[i] = s.first[i], kids[k]
	}
}

// from solves everything that hangs on one object.
func (s *solver) from(root int32) error {
	if len(s.waiting) > 0 {
		s.adopt(root)
	}
	if s.first[root] < 0 {
		return nil
	}
	defer s.forget()
	s.frames = append(s.frames[:0], frame{entry: root, child: s.first[root]})
	for len(s.frames) > 0 {
		top := len(s.frames) - 1
		kid := s.frames[top].child
		if kid < 0 {
			s.drop(top)
			s.frames = s.frames[:top]
			continue
		}
		s.frames[top].child = s.next[kid]
		base, err := s.need(top)
		if err != nil {
			return err
		}
		if err := s.solve(kid, base); err != nil {
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
	e := &s.entries[kid]
	// Whether something waits for this object by its id is known only after it was made.
	keep := s.first[kid] >= 0 || len(s.waiting) > 0
	c, err := s.apply(e, base, keep, &e.id)
	if err != nil {
		return err
	}
	e.kind, e.solved = base.kind, true
	s.left--
	s.step()
	if len(s.waiting) > 0 {
		s.adopt(kid)
	}
	if s.first[kid] < 0 {
		s.release(c)
		return nil
	}
	s.held += len(c.data)
	s.frames = append(s.frames, frame{entry: kid, c: c, child: s.first[kid]})
	for i := 0; s.held > maxHeld && i < len(s.frames)-1; i++ {
		s.drop(i)
	}
	return nil
}

// need returns the content of an object on the way, made again when it was dropped.
func (s *solver) need(top int) (*content, error) {
	at := top
	for at > 0 && s.frames[at].c == nil {
		at--
	}
	if s.frames[at].c == nil {
		c, err := s.load(&s.entries[s.frames[at].entry])
		if err != nil {
			return nil, err
		}
		s.frames[at].c = c
		s.held += len(c.data)
	}
	for ; at < top; at++ {
		c, err := s.apply(&s.entries[s.frames[at+1].entry], s.frames[at].c, true, nil)
		if err != nil {
			return nil, err
		}
		s.frames[at+1].c = c
		s.held += len(c.data)
		if s.held > maxHeld {
			s.drop(at)
		}
	}
	return s.frames[top].c, nil
}

func (s *solver) drop(i int) {
	if c := s.frames[i].c; c != nil {
		s.held -= len(c.data)
		s.release(c)
		s.frames[i].c = nil
	}
}

// release gives a content back: its file is closed, its memory is used for the next one.
func (s *solver) release(c *content) {
	c.close()
	if c != nil && cap(c.data) > cap(s.spare) {
		s.spare = c.data
	}
}

func (s *solver) forget() {
	for i := range s.frames {
		s.drop(i)
	}
	s.frames = s.frames[:0]
}

// open inflates the bytes of an entry.
func (s *solver) open(e *scanned) (io.Reader, error) {
	s.in.Reset(io.NewSectionReader(s.file, e.body, s.size-e.body))
	if s.zlib == nil {
		z, err := zlib.NewReader(s.in)
		s.zlib = z
		return z, err
	}
	return s.zlib, s.zlib.(zlib.Resetter).Reset(s.in, nil)
}

// load reads an object that is no delta. Its length was checked when it came in.
func (s *solver) load(e *scanned) (*content, error) {
	z, err := s.open(e)
	if err != nil {
		return nil, cut(err)
	}
	c := &content{kind: e.kind, size: e.size}
	if e.size <= bigObject {
		c.data = s.room(e.size)
		if _, err := io.ReadFull(z, c.data); err != nil {
			return nil, cut(err)
		}
		return c, nil
	}
	if c.file, err = namelessFile(s.tmp); err != nil {
		return nil, err
	}
	if err := s.copy(c.file, z, e.size); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (s *solver) room(n int64) []byte {
	b := s.spare
	if int64(cap(b)) < n || int64(cap(b)) > 4*n+4096 {
		return make([]byte, n)
	}
	s.spare = nil
	return b[:n]
}

// apply makes the object that a delta stands for. Its id is written to id when that is not nil; its content is
// returned when keep is set.
func (s *solver) apply(e *scanned, base *content, keep bool, id *plumbing.Hash) (*content, error) {
	z, err := s.open(e)
	if err != nil {
		return nil, cut(err)
	}
	delta := s.delta
	delta.Reset(z)
	from, size, err := deltaSizes(delta)
	switch {
	case err != nil:
		return nil, err
	case from != base.size:
		return nil, fmt.Errorf("%w: delta of another base", ErrCorrupt)
	case size > maxObject:
		return nil, fmt.Errorf("%w: an object of %d bytes, more than %d", ErrCorrupt, size, int64(maxObject))
	}
	c := &content{kind: base.kind, size: size}
	var out io.Writer
	switch {
	case size <= bigObject:
		fixed := &filler{b: s.room(size)}
		c.data, out = fixed.b, fixed
	case keep:
		if c.file, err = namelessFile(s.tmp); err != nil {
			return nil, err
		}
		out = c.file
	default:
		out = io.Discard
	}
	if id != nil && c.data == nil {
		begin(s.sum, base.kind, size)
		out = io.MultiWriter(s.sum, out)
	}
	if err := s.instructions(out, delta, base, size); err != nil {
		s.release(c)
		return nil, err
	}
	if id != nil {
		if c.data != nil {
			begin(s.sum, base.kind, size)
			s.sum.Write(c.data)
		}
		s.sum.Sum(id[:0])
	}
	return c, nil
}

func (s *solver) instructions(out io.Writer, delta *bufio.Reader, base *content, size int64) error {
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
			if err := s.copy(out, delta, insert); err != nil {
				return err
			}
		case offset+n > base.size:
			return fmt.Errorf("%w: delta copies past its base", ErrCorrupt)
		case base.data != nil:
			if _, err := out.Write(base.data[offset : offset+n]); err != nil {
				return err
			}
		default:
			if err := s.copy(out, io.NewSectionReader(base, offset, n), n); err != nil {
				return err
			}
		}
		done += insert + n
	}
}

// copy copies exactly n bytes.
func (s *solver) copy(w io.Writer, r io.Reader, n int64) error {
	if s.chunk == nil {
		s.chunk = make([]byte, 32<<10)
	}
	for n > 0 {
		k, err := r.Read(s.chunk[:min(n, int64(len(s.chunk)))])
		if k > 0 {
			if _, err := w.Write(s.chunk[:k]); err != nil {
				return err
			}
			if n -= int64(k); n == 0 {
				return nil
			}
		}
		if err != nil {
			return cut(err)
		}
	}
	return nil
}
