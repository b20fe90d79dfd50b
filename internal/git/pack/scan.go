package pack

import (
	"bytes"
	"cmp"
	"compress/flate"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"slices"
	"strconv"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/pjbgf/sha1cd"
)

// What a pack that comes in may hold. A server is trusted with the content of files, not with this machine's memory
// and disk.
const (
	maxObject  = 2 << 30   // bytes of one object
	MaxObjects = 8_000_000 // in one pack; an entry costs us 64 bytes. A snapshot of the Linux kernel has 0.1 million
)

// scanned is what is known about one object of a pack that comes in.
type scanned struct {
	id     plumbing.Hash // of a delta: known when it has been resolved
	at     int64         // where it begins
	size   int64         // inflated, in bytes: of the object or of the delta
	body   int64         // where its compressed bytes begin
	crc    uint32        // of its bytes in the pack
	base   int32         // the object it is a delta of; -1 = none or not known yet
	kind   plumbing.ObjectType
	solved bool
}

// borrowed is a delta of an object that is named, not pointed at: in the pack, or (thin pack) outside of it.
type borrowed struct {
	entry int32
	base  plumbing.Hash
}

// scanner reads a pack from a stream once: it copies the bytes to a file, and notes where each object is and, for what
// is no delta, its id. It holds 100 KB whatever the objects are. Format: gitformat-pack(5).
type scanner struct {
	ctx   context.Context
	src   io.Reader
	out   io.Writer
	total int64             // objects announced
	sized func(int64) error // looks at the size of an object before it is made, or passed over

	progress Progress

	buf            []byte
	mark, pos, end int   // mark: up to where bytes are stored and summed
	offset         int64 // of buf[0] in the pack
	sum            hash.Hash
	crc            uint32

	zlib     inflater
	chunk    []byte
	id       idHash
	entries  []scanned
	borrowed []borrowed
}

func newScanner(ctx context.Context, src io.Reader, out io.Writer) *scanner {
	return &scanner{ctx: ctx, src: src, out: out, sized: notHuge, progress: func(int64, int) error { return nil },
		buf: make([]byte, 64<<10), chunk: make([]byte, 32<<10), sum: sha1.New(), id: newIDHash()}
}

func notHuge(size int64) error {
	if size > maxObject {
		return fmt.Errorf("%w: an object of %d bytes, more than %d", ErrCorrupt, size, int64(maxObject))
	}
	return nil
}

// run reads the whole stream and returns the pack's checksum.
func (s *scanner) run() (plumbing.Hash, error) {
	var sum plumbing.Hash
	head := make([]byte, 12)
	if _, err := io.ReadFull(s, head); err != nil {
		return sum, cut(err)
	}
	if string(head[:4]) != "PACK" {
		return sum, fmt.Errorf("%w: it does not begin with PACK", ErrCorrupt)
	}
	if v := binary.BigEndian.Uint32(head[4:]); v != 2 && v != 3 {
		return sum, fmt.Errorf("%w: version %d", ErrCorrupt, v)
	}
	s.total = int64(binary.BigEndian.Uint32(head[8:]))
	if s.total > MaxObjects {
		return sum, fmt.Errorf("%w: it announces %d objects, more than %d", ErrCorrupt, s.total, MaxObjects)
	}
	s.entries = make([]scanned, 0, min(s.total, 1<<16))
	for range s.total {
		if err := s.object(); err != nil {
			return sum, err
		}
	}
	if err := s.store(); err != nil {
		return sum, err
	}
	copy(sum[:], s.sum.Sum(nil))
	tail := make([]byte, len(sum))
	if _, err := io.ReadFull(s, tail); err != nil {
		return sum, cut(err)
	}
	if err := s.store(); err != nil {
		return sum, err
	}
	if !bytes.Equal(tail, sum[:]) {
		return sum, fmt.Errorf("%w: its checksum does not match", ErrCorrupt)
	}
	if _, err := s.ReadByte(); err == nil {
		return sum, fmt.Errorf("%w: more bytes than it announces", ErrCorrupt)
	} else if !errors.Is(err, io.EOF) {
		return sum, err
	}
	return sum, nil
}

// at is the offset in the pack of the next byte.
func (s *scanner) at() int64 { return s.offset + int64(s.pos) }

// head reads what comes before the compressed bytes of an object. A base that is named, not pointed at, is noted.
func (s *scanner) head() (scanned, error) {
	e := scanned{at: s.at(), base: -1}
	var err error
	if e.kind, e.size, err = readHeader(s); err != nil {
		return e, cut(err)
	}
	if err := s.sized(e.size); err != nil {
		return e, err
	}
	switch e.kind {
	case plumbing.OFSDeltaObject:
		back, err := readBack(s)
		if err != nil {
			return e, cut(err)
		}
		if e.base = s.find(e.at - back); e.base < 0 {
			return e, fmt.Errorf("%w: a delta of nothing", ErrCorrupt)
		}
	case plumbing.REFDeltaObject:
		var base plumbing.Hash
		if _, err := io.ReadFull(s, base[:]); err != nil {
			return e, cut(err)
		}
		s.borrowed = append(s.borrowed, borrowed{entry: int32(len(s.entries)), base: base})
	default:
		e.solved = true
	}
	e.body = s.at()
	return e, nil
}

// object reads one object.
func (s *scanner) object() error {
	if err := s.store(); err != nil {
		return err
	}
	s.crc = 0
	e, err := s.head()
	if err != nil {
		return err
	}
	if e.solved {
		begin(s.id, e.kind, e.size)
	}
	if err := s.inflate(e.size, e.solved); err != nil {
		return err
	}
	if e.solved {
		if e.id, err = s.id.sum(); err != nil {
			return err
		}
	}
	if err := s.store(); err != nil {
		return err
	}
	e.crc = s.crc
	s.entries = append(s.entries, e)
	return nil
}

// inflate reads compressed bytes that must be exactly so long inflated.
func (s *scanner) inflate(size int64, hashed bool) error {
	if err := s.zlib.open(s); err != nil {
		return cut(err)
	}
	for got := int64(0); ; {
		n, err := s.zlib.Read(s.chunk)
		if got += int64(n); got > size {
			return fmt.Errorf("%w: an object longer than it says", ErrCorrupt)
		}
		if hashed {
			s.id.Write(s.chunk[:n])
		}
		switch {
		case errors.Is(err, io.EOF) && got == size:
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%w: an object shorter than it says", ErrCorrupt)
		case err != nil:
			return cut(err)
		}
	}
}

// find returns the object that begins at an offset, -1 when there is none. Objects are noted in the order of offsets.
func (s *scanner) find(at int64) int32 {
	i, found := slices.BinarySearchFunc(s.entries, at, func(e scanned, at int64) int { return cmp.Compare(e.at, at) })
	if !found {
		return -1
	}
	return int32(i)
}

// store sums and writes what was consumed since the last time.
func (s *scanner) store() error {
	b := s.buf[s.mark:s.pos]
	s.mark = s.pos
	if len(b) == 0 {
		return nil
	}
	s.sum.Write(b)
	s.crc = crc32.Update(s.crc, crc32.IEEETable, b)
	_, err := s.out.Write(b)
	return err
}

// fill gets more bytes; all that were there have been consumed.
func (s *scanner) fill() error {
	if err := s.store(); err != nil {
		return err
	}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	s.offset += int64(s.end)
	s.mark, s.pos, s.end = 0, 0, 0
	n, err := io.ReadAtLeast(s.src, s.buf, 1)
	s.end = n
	if n > 0 {
		return s.progress(s.offset+int64(n), len(s.entries))
	}
	return err
}

// ReadByte implements io.ByteReader; with it the inflater reads no byte more than it needs.
func (s *scanner) ReadByte() (byte, error) {
	if s.pos == s.end {
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	b := s.buf[s.pos]
	s.pos++
	return b, nil
}

func (s *scanner) Read(p []byte) (int, error) {
	if s.pos == s.end {
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.buf[s.pos:s.end])
	s.pos += n
	return n, nil
}

// readHeader reads the kind and the inflated size of an object.
func readHeader(r io.ByteReader) (plumbing.ObjectType, int64, error) {
	b, err := r.ReadByte()
	if err != nil {
		return 0, 0, err
	}
	kind, size := plumbing.ObjectType(b>>4&7), int64(b&15)
	for shift := 4; b&0x80 != 0; shift += 7 {
		if b, err = r.ReadByte(); err != nil {
			return 0, 0, err
		}
		if shift > 53 {
			return 0, 0, fmt.Errorf("%w: an object of absurd size", ErrCorrupt)
		}
		size |= int64(b&0x7f) << shift
	}
	switch kind {
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject,
		plumbing.OFSDeltaObject, plumbing.REFDeltaObject:
		return kind, size, nil
	}
	return 0, 0, fmt.Errorf("%w: object of kind %d", ErrCorrupt, kind)
}

// readBack reads how far before a delta its base begins.
func readBack(r io.ByteReader) (int64, error) {
	back := int64(-1)
	for range 8 { // 56 bits
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		back = (back+1)<<7 | int64(b&0x7f)
		if b&0x80 == 0 {
			return back, nil
		}
	}
	return 0, fmt.Errorf("%w: a delta with an absurd base", ErrCorrupt)
}

// idHash finds the ids of objects that another machine sent. It refuses one that was made to have the id of another, as
// git does.
type idHash struct{ sha1cd.CollisionResistantHash }

func newIDHash() idHash { return idHash{sha1cd.New().(sha1cd.CollisionResistantHash)} }

func (h idHash) sum() (id plumbing.Hash, err error) {
	if _, attack := h.CollisionResistantSum(id[:0]); attack {
		err = fmt.Errorf("%w: an object made to share its id with another (an attack on SHA-1)", ErrCorrupt)
	}
	return id, err
}

// begin starts the hash of an object.
func begin(h hash.Hash, kind plumbing.ObjectType, size int64) {
	h.Reset()
	h.Write(AppendLooseHeader(make([]byte, 0, 32), kind, size))
}

// AppendLooseHeader adds what an object's hash and its loose form begin with. Format: gitformat-loose(5).
func AppendLooseHeader(b []byte, kind plumbing.ObjectType, size int64) []byte {
	b = append(append(b, kind.String()...), ' ')
	return append(strconv.AppendInt(b, size, 10), 0)
}

// cut says of a stream that ended too early that it did, and of bad bytes that they are.
func cut(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("pack cut off: %w", io.ErrUnexpectedEOF)
	case errors.Is(err, zlib.ErrChecksum), errors.Is(err, zlib.ErrHeader), errors.Is(err, zlib.ErrDictionary), errors.As(err, new(flate.CorruptInputError)):
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}
