package pack

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// ErrTooBig says that an object is longer than what may be held in memory.
var ErrTooBig = errors.New("object is too big")

// cacheRoom bounds the bytes of delta bases kept: a first clone reads many objects that share theirs.
const cacheRoom = 8 << 20

// baseCache keeps delta bases that were read a short while ago.
type baseCache struct {
	room  int // bytes
	bases map[basePlace][]byte
	size  int
}

type basePlace struct {
	pack *Pack
	at   int64
}

func (c *baseCache) put(p *Pack, at int64, data []byte) {
	if len(data) > c.room/16 {
		return
	}
	if c.size += len(data) + 100; c.size > c.room || c.bases == nil { // 100: for the place itself
		c.bases, c.size = make(map[basePlace][]byte), len(data)+100
	}
	c.bases[basePlace{p, at}] = data
}

// deltaSize reads the head of a delta: the size of the base, which must be this one (-1 = any), and that of the result.
func deltaSize(r io.ByteReader, base int64) (int64, error) {
	var sizes [2]int64
	for i := range sizes {
		for shift := 0; ; shift += 7 {
			b, err := r.ReadByte()
			if err != nil || shift > 55 {
				return 0, fmt.Errorf("%w: delta sizes", ErrCorrupt)
			}
			sizes[i] |= int64(b&0x7f) << shift
			if b&0x80 == 0 {
				break
			}
		}
	}
	if base >= 0 && sizes[0] != base {
		return 0, fmt.Errorf("%w: delta of another base", ErrCorrupt)
	}
	return sizes[1], nil
}

// deltaStep reads one instruction of a delta. insert > 0: so many bytes follow. Else copy n bytes of the base at
// offset. io.EOF at the end.
func deltaStep(r io.ByteReader) (insert, offset, n int64, err error) {
	op, err := r.ReadByte()
	if err != nil {
		return 0, 0, 0, err
	}
	if op&0x80 == 0 {
		if op == 0 {
			return 0, 0, 0, fmt.Errorf("%w: delta instruction", ErrCorrupt)
		}
		return int64(op), 0, 0, nil
	}
	for i := range 7 {
		if op&(1<<i) == 0 {
			continue
		}
		b, err := r.ReadByte()
		if err != nil {
			return 0, 0, 0, fmt.Errorf("%w: delta is cut", ErrCorrupt)
		}
		if i < 4 {
			offset |= int64(b) << (8 * i)
		} else {
			n |= int64(b) << (8 * (i - 4))
		}
	}
	if n == 0 {
		n = 0x10000
	}
	return 0, offset, n, nil
}

// applyDelta makes an object of its base and a delta. into is used when it is large enough; it must not be the base.
func applyDelta(base, delta []byte, limit int64, into []byte) ([]byte, error) {
	in := bytes.NewReader(delta)
	size, err := deltaSize(in, int64(len(base)))
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, ErrTooBig
	}
	out := bytes.NewBuffer(room(into, size)[:0])
	err = patch(out, in, &content{size: int64(len(base)), data: base}, size, make([]byte, 128))
	return out.Bytes(), packError(err)
}

// kindAndSize returns what an object is and how long, without inflating more than the head of one delta.
func (s *packSet) kindAndSize(p *Pack, at int64) (plumbing.ObjectType, int64, error) {
	chain, err := s.chain(p, at)
	if err != nil {
		return 0, 0, err
	}
	kind := chain[len(chain)-1].kind
	if len(chain) == 1 {
		return kind, chain[0].size, nil
	}
	if err := s.open(chain[0]); err != nil {
		return 0, 0, err
	}
	size, err := deltaSize(bufio.NewReaderSize(&s.zlib, 32), -1)
	return kind, size, err
}

// stream writes an object of any size, holding little of it. Bases of deltas go to nameless files in tmp.
func (s *packSet) stream(w io.Writer, p *Pack, at int64, tmp string, buf []byte) error {
	chain, err := s.chain(p, at)
	if err != nil {
		return err
	}
	var base *os.File // what the last one made; it has no name any more
	defer func() { _ = base.Close() }()
	size := int64(0)
	for i, e := range slices.Backward(chain) {
		var next *os.File
		out := w
		if i > 0 {
			if next, err = namelessFile(tmp); err != nil {
				return err
			}
			out = next
		}
		size, err = s.streamOne(out, e, base, size, buf)
		_ = base.Close()
		if base = next; err != nil {
			return err
		}
	}
	return nil
}

// streamOne writes what one entry makes of its base (nil: it is no delta), which is so long, and returns how long the
// result is.
func (s *packSet) streamOne(w io.Writer, e packEntry, base *os.File, length int64, buf []byte) (int64, error) {
	if err := s.open(e); err != nil {
		return 0, err
	}
	if base == nil {
		n, err := io.CopyBuffer(writerOnly{w}, readerOnly{&s.zlib}, buf)
		if err == nil && n != e.size {
			err = fmt.Errorf("%w: object of another length", ErrCorrupt)
		}
		return n, packError(err)
	}
	in := bufio.NewReaderSize(&s.zlib, 32<<10)
	size, err := deltaSize(in, length)
	if err == nil {
		err = patch(w, in, &content{size: length, file: base}, size, buf)
	}
	return size, packError(err)
}

// packError tells bad bytes in a pack from a disk that could not be read or written.
func packError(err error) error {
	var disk *os.PathError
	if err == nil || errors.Is(err, ErrCorrupt) || errors.As(err, &disk) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

func namelessFile(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, "base-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// writerOnly and readerOnly hide the short cuts of io.Copy, so that the buffer given is the one used.
type (
	writerOnly struct{ io.Writer }
	readerOnly struct{ io.Reader }
)
