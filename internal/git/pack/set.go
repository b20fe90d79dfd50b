package pack

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// bigObject is the size in bytes from which an object is streamed and never held whole.
const bigObject = 1 << 20

// maxChain bounds the length of a delta chain; git itself writes at most 4095 and 50 by default.
const maxChain = 4096

// ErrCorrupt says that a pack or its index does not hold what its format promises.
var ErrCorrupt = errors.New("pack is corrupt")

// packSet reads objects straight from the packs of one objects/pack folder.
//
// go-git's own reader loads every pack index whole, builds a map from offsets to ids and hashes each object that it
// puts in its cache; for one changed file among 60,000 that is several times the price of everything else. Here a
// look-up is three short reads of the index file, and nothing is kept but a small cache of delta bases. Formats:
// gitformat-pack(5), "pack-*.idx version 2" and "pack-*.pack".
//
// It is for one goroutine at a time.
type packSet struct {
	packs   []*Pack
	folders []string
	listed  time.Time // when the folders of packs were read
	bases   baseCache

	zlib  inflater
	short *bufio.Reader // most objects fit into one read of this
	long  *bufio.Reader // made when the first big object comes
	at    packEntry     // whose header short has read last, with nothing behind it
	names []byte
	delta []byte
	links []packEntry
}

// Pack is one pack that a Reader has open.
type Pack struct {
	stem        string
	index, data io.ReaderAt
	fanout      [256]uint32
	end         int64   // where the trailer begins
	word        [8]byte // read last; one of its own would go to the heap at each look
}

// Stem is the path of the pack without the end of its name.
func (p *Pack) Stem() string { return p.stem }

// Size is how many bytes the pack has, without the checksum at its end.
func (p *Pack) Size() int64 { return p.end }

// packEntry is the header of one object in a pack. Its compressed bytes begin at body.
type packEntry struct {
	pack *Pack
	at   int64
	body int64
	kind plumbing.ObjectType
	size int64 // of what is compressed here: the object, or the delta
}

// header reads the header of the object at an offset, without its base.
func (s *packSet) header(p *Pack, at int64) (packEntry, int64, error) {
	e, base, err := s.readEntry(p, at)
	if err != nil {
		return e, 0, fmt.Errorf("%w: object header: %w", ErrCorrupt, err)
	}
	return e, base, nil
}

func (s *packSet) readEntry(p *Pack, at int64) (e packEntry, base int64, err error) {
	s.short.Reset(io.NewSectionReader(p.data, at, p.end-at))
	s.at = packEntry{}
	if _, err := s.short.Peek(1); err != nil {
		return e, 0, err
	}
	read := s.short.Buffered() // more than any header has
	e = packEntry{pack: p, at: at}
	if e.kind, e.size, err = readHeader(s.short); err != nil {
		return e, 0, err
	}
	switch e.kind {
	case plumbing.OFSDeltaObject:
		back, err := readBack(s.short)
		if err != nil {
			return e, 0, err
		}
		if base = at - back; base < 12 || back <= 0 {
			return e, 0, errors.New("delta base outside the pack")
		}
	case plumbing.REFDeltaObject:
		var id plumbing.Hash
		if _, err := io.ReadFull(s.short, id[:]); err != nil {
			return e, 0, err
		}
		if base, err = s.look(p, id); err != nil {
			return e, 0, err
		}
		if base < 0 {
			return e, 0, errors.New("delta base is not in the pack")
		}
	}
	e.body = at + int64(read-s.short.Buffered())
	s.at = e
	return e, base, nil
}

// chain follows the deltas from an object down to one that stands by itself. The result is good until the next call.
func (s *packSet) chain(p *Pack, at int64) ([]packEntry, error) {
	s.links = s.links[:0]
	for {
		e, base, err := s.header(p, at)
		if err != nil {
			return nil, err
		}
		s.links = append(s.links, e)
		if base == 0 {
			return s.links, nil
		}
		if len(s.links) > maxChain {
			return nil, fmt.Errorf("%w: endless delta chain", ErrCorrupt)
		}
		at = base
	}
}

// open starts to inflate the bytes of an entry.
func (s *packSet) open(e packEntry) error {
	in := s.short
	if s.at != e || e.size >= 64<<10 { // else its header was read last, and short stands behind that
		if e.size >= 64<<10 {
			if s.long == nil {
				s.long = bufio.NewReaderSize(nil, 64<<10)
			}
			in = s.long
		}
		in.Reset(io.NewSectionReader(e.pack.data, e.body, e.pack.end-e.body))
	}
	s.at = packEntry{}
	if err := s.zlib.open(in); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}

// inflate reads the bytes of an entry into a buffer, which is used when it is large enough.
func (s *packSet) inflate(e packEntry, into []byte) ([]byte, error) {
	if err := s.open(e); err != nil {
		return nil, err
	}
	into = room(into, e.size)
	if err := s.zlib.fill(into); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return into, nil
}

// read returns an object that is at most limit bytes long (as are its bases). into is used when it is large enough.
func (s *packSet) read(p *Pack, at, limit int64, into []byte) (plumbing.ObjectType, []byte, error) {
	chain, err := s.chain(p, at)
	if err != nil {
		return 0, nil, err
	}
	for _, e := range chain {
		if e.size > limit {
			return 0, nil, ErrTooBig
		}
	}
	last := len(chain) - 1
	kind := chain[last].kind
	if last == 0 {
		data, err := s.inflate(chain[0], into)
		return kind, data, err
	}
	from, data := last, []byte(nil)
	for i := 1; i <= last; i++ { // the base nearest to the object that is still at hand
		if data = s.bases.bases[basePlace{p, chain[i].at}]; data != nil {
			from = i
			break
		}
	}
	if data == nil {
		if data, err = s.inflate(chain[last], nil); err != nil {
			return 0, nil, err
		}
		s.bases.put(p, chain[last].at, data)
	}
	for i := from - 1; i >= 0; i-- {
		if s.delta, err = s.inflate(chain[i], s.delta); err != nil {
			return 0, nil, err
		}
		var target []byte
		if i == 0 {
			target = into
		}
		if data, err = applyDelta(data, s.delta, limit, target); err != nil {
			return 0, nil, err
		}
		if i > 0 {
			s.bases.put(p, chain[i].at, data)
		}
	}
	return kind, data, nil
}

// room returns a slice of n bytes, of the given one when that is large enough.
func room(b []byte, n int64) []byte {
	if int64(cap(b)) >= n {
		return b[:n]
	}
	return make([]byte, n)
}
