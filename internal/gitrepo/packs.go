package gitrepo

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// bigObject is the size in bytes from which an object is streamed and never held whole.
const bigObject = 1 << 20

// maxChain bounds the length of a delta chain; git itself writes at most 4095 and 50 by default.
const maxChain = 4096

// errPack says that a pack or its index does not hold what its format promises.
var errPack = errors.New("pack is corrupt")

// packSet reads objects straight from the packs of one objects/pack folder.
//
// go-git's own reader loads every pack index whole, builds a map from offsets to ids and hashes each object that it puts
// in its cache; for one changed file among 60,000 that is several times the price of everything else. Here a look-up is
// three short reads of the index file, and nothing is kept but a small cache of delta bases.
// Formats: gitformat-pack(5), "pack-*.idx version 2" and "pack-*.pack".
//
// It is for one goroutine at a time.
type packSet struct {
	packs []*pack
	bases baseCache

	zlib  io.ReadCloser // one inflater for all objects: a new one costs 40 KB
	in    *bufio.Reader
	short *bufio.Reader // most objects fit into one read of this
	long  *bufio.Reader // made when the first big object comes
	names []byte
	delta []byte
}

type pack struct {
	index, data *os.File
	fanout      [256]uint32
	end         int64 // where the trailer begins
}

// openPacks opens all packs of an objects folder and of its alternates. A folder that is not there has no packs; a pack
// whose index is of an unknown version is left to others.
func openPacks(objects string) (*packSet, error) {
	s := &packSet{short: bufio.NewReaderSize(nil, 4<<10)}
	dirs := []string{objects}
	for i := 0; i < len(dirs) && len(dirs) < 10; i++ { // alternates may have alternates, or name each other
		if err := s.add(filepath.Join(dirs[i], "pack")); err != nil {
			return nil, err
		}
		list, err := os.ReadFile(filepath.Join(dirs[i], "info", "alternates"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("read alternates: %w", err)
		}
		for line := range strings.Lines(string(list)) {
			if line = strings.TrimSpace(line); !filepath.IsAbs(line) {
				line = filepath.Join(dirs[i], line)
			}
			dirs = append(dirs, line)
		}
	}
	return s, nil
}

func (s *packSet) add(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read packs: %w", err)
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".idx")
		if !ok || !strings.HasPrefix(name, "pack-") {
			continue
		}
		p, err := openPack(filepath.Join(dir, name))
		if err != nil {
			continue // whoever needs an object of it will find it missing, and say so
		}
		s.packs = append(s.packs, p)
	}
	return nil
}

func openPack(stem string) (_ *pack, err error) {
	p := &pack{}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if p.index, err = os.Open(stem + ".idx"); err != nil {
		return nil, err
	}
	if p.data, err = os.Open(stem + ".pack"); err != nil {
		return nil, err
	}
	var head [8 + 4*256]byte
	if _, err = io.ReadFull(p.index, head[:]); err != nil {
		return nil, err
	}
	if string(head[:8]) != "\xfftOc\x00\x00\x00\x02" {
		return nil, fmt.Errorf("%w: index version", errPack)
	}
	for i := range p.fanout {
		p.fanout[i] = binary.BigEndian.Uint32(head[8+4*i:])
		if i > 0 && p.fanout[i] < p.fanout[i-1] {
			return nil, fmt.Errorf("%w: index fan-out", errPack)
		}
	}
	info, err := p.data.Stat()
	if err != nil {
		return nil, err
	}
	if p.end = info.Size() - 20; p.end < 12 {
		return nil, fmt.Errorf("%w: too short", errPack)
	}
	return p, nil
}

func (p *pack) close() {
	for _, f := range []*os.File{p.index, p.data} {
		if f != nil {
			_ = f.Close() // only read from
		}
	}
}

func (s *packSet) close() {
	for _, p := range s.packs {
		p.close()
	}
	s.packs, s.bases = nil, baseCache{}
}

// find returns where an object lies; nil when no pack has it.
func (s *packSet) find(id plumbing.Hash) (*pack, int64, error) {
	for i, p := range s.packs {
		offset, err := s.look(p, id)
		if err != nil {
			return nil, 0, err
		}
		if offset >= 0 {
			if i > 0 { // the next object is likely to be in the same pack
				s.packs[0], s.packs[i] = s.packs[i], s.packs[0]
			}
			return p, offset, nil
		}
	}
	return nil, 0, nil
}

// look returns the offset of an object in one pack, -1 when it is not there.
func (s *packSet) look(p *pack, id plumbing.Hash) (int64, error) {
	const block = 512 // names read at once when the range is that small
	names := int64(8 + 4*256)
	low, high := uint32(0), p.fanout[id[0]]
	if id[0] > 0 {
		low = p.fanout[id[0]-1]
	}
	if cap(s.names) < block*20 {
		s.names = make([]byte, block*20)
	}
	for high-low > block {
		mid := low + (high-low)/2
		name := s.names[:20]
		if _, err := p.index.ReadAt(name, names+int64(mid)*20); err != nil {
			return 0, fmt.Errorf("%w: index: %w", errPack, err)
		}
		if bytes.Compare(name, id[:]) <= 0 {
			low = mid
		} else {
			high = mid
		}
	}
	got := s.names[:(high-low)*20]
	if _, err := p.index.ReadAt(got, names+int64(low)*20); err != nil {
		return 0, fmt.Errorf("%w: index: %w", errPack, err)
	}
	from, to := uint32(0), high-low
	for from < to {
		mid := from + (to-from)/2
		switch bytes.Compare(got[mid*20:mid*20+20], id[:]) {
		case 0:
			return p.offset(low + mid)
		case -1:
			from = mid + 1
		default:
			to = mid
		}
	}
	return -1, nil
}

func (p *pack) offset(n uint32) (int64, error) {
	count := int64(p.fanout[255])
	var b [8]byte
	at := 8 + 4*256 + count*24 + int64(n)*4
	if _, err := p.index.ReadAt(b[:4], at); err != nil {
		return 0, fmt.Errorf("%w: index: %w", errPack, err)
	}
	offset := int64(binary.BigEndian.Uint32(b[:4]))
	if offset&(1<<31) != 0 {
		at = 8 + 4*256 + count*28 + (offset&^(1<<31))*8
		if _, err := p.index.ReadAt(b[:], at); err != nil {
			return 0, fmt.Errorf("%w: index: %w", errPack, err)
		}
		offset = int64(binary.BigEndian.Uint64(b[:]))
	}
	if offset < 12 || offset >= p.end {
		return 0, fmt.Errorf("%w: an object outside the pack", errPack)
	}
	return offset, nil
}

// packEntry is the header of one object in a pack. Its compressed bytes begin at body.
type packEntry struct {
	pack  *pack
	at    int64
	body  int64
	kind  plumbing.ObjectType
	size  int64 // of what is compressed here: the object, or the delta
	based *packEntry
}

// header reads the header of the object at an offset, without its base.
func (s *packSet) header(p *pack, at int64) (e packEntry, base int64, err error) {
	var buf [64]byte
	n, err := p.data.ReadAt(buf[:min(64, p.end-at)], at)
	if err != nil {
		return e, 0, fmt.Errorf("%w: %w", errPack, err)
	}
	b := buf[:n]
	e = packEntry{pack: p, at: at, kind: plumbing.ObjectType(b[0] >> 4 & 7), size: int64(b[0] & 15)}
	i, shift := 0, 4
	for b[i]&0x80 != 0 {
		if i++; i >= n || shift > 55 {
			return e, 0, fmt.Errorf("%w: object header", errPack)
		}
		e.size |= int64(b[i]&0x7f) << shift
		shift += 7
	}
	i++
	switch e.kind {
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
	case plumbing.OFSDeltaObject:
		back := int64(0)
		for k := 0; ; k++ {
			if i >= n || k > 8 {
				return e, 0, fmt.Errorf("%w: delta header", errPack)
			}
			if k > 0 {
				back++
			}
			back = back<<7 | int64(b[i]&0x7f)
			i++
			if b[i-1]&0x80 == 0 {
				break
			}
		}
		if base = at - back; base < 12 || back <= 0 {
			return e, 0, fmt.Errorf("%w: delta base outside the pack", errPack)
		}
	case plumbing.REFDeltaObject:
		if i+20 > n {
			return e, 0, fmt.Errorf("%w: delta header", errPack)
		}
		if base, err = s.look(p, plumbing.Hash(b[i:i+20])); err != nil {
			return e, 0, err
		}
		if base < 0 {
			return e, 0, fmt.Errorf("%w: delta base is not in the pack", errPack)
		}
		i += 20
	default:
		return e, 0, fmt.Errorf("%w: object kind %d", errPack, e.kind)
	}
	e.body = at + int64(i)
	return e, base, nil
}

// chain follows the deltas from an object down to one that stands by itself, or to one that is cached.
func (s *packSet) chain(p *pack, at int64) ([]packEntry, error) {
	var out []packEntry
	for {
		e, base, err := s.header(p, at)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
		if base == 0 {
			return out, nil
		}
		if len(out) > maxChain {
			return nil, fmt.Errorf("%w: endless delta chain", errPack)
		}
		at = base
	}
}

// inflater starts to inflate the bytes of an entry.
func (s *packSet) inflater(e packEntry) (io.Reader, error) {
	s.in = s.short
	if e.size >= 64<<10 {
		if s.long == nil {
			s.long = bufio.NewReaderSize(nil, 64<<10)
		}
		s.in = s.long
	}
	s.in.Reset(io.NewSectionReader(e.pack.data, e.body, e.pack.end-e.body))
	if s.zlib == nil {
		z, err := zlib.NewReader(s.in)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errPack, err)
		}
		s.zlib = z
		return z, nil
	}
	if err := s.zlib.(zlib.Resetter).Reset(s.in, nil); err != nil {
		return nil, fmt.Errorf("%w: %w", errPack, err)
	}
	return s.zlib, nil
}

// inflate reads the bytes of an entry into a buffer, which is used when it is large enough.
func (s *packSet) inflate(e packEntry, into []byte) ([]byte, error) {
	z, err := s.inflater(e)
	if err != nil {
		return nil, err
	}
	into = room(into, e.size)
	if _, err := io.ReadFull(z, into); err != nil {
		return nil, fmt.Errorf("%w: %w", errPack, err)
	}
	var more [1]byte
	if n, err := z.Read(more[:]); n != 0 || !errors.Is(err, io.EOF) { // also checks the sum at the end
		return nil, fmt.Errorf("%w: object longer than it says", errPack)
	}
	return into, nil
}

// read returns an object that is at most limit bytes long (as are its bases). into is used when it is large enough.
func (s *packSet) read(p *pack, at, limit int64, into []byte) (plumbing.ObjectType, []byte, error) {
	chain, err := s.chain(p, at)
	if err != nil {
		return 0, nil, err
	}
	for _, e := range chain {
		if e.size > limit {
			return 0, nil, errTooBig
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
		if data = s.bases.get(p, chain[i].at); data != nil {
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
