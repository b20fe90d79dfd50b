package pack

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/go-git/go-git/v5/plumbing"
)

// openPacks opens all packs of objects folders and of their alternates. A folder that is not there has no packs.
func openPacks(dirs ...string) (*packSet, error) {
	s := &packSet{short: bufio.NewReaderSize(nil, 4<<10), bases: baseCache{room: cacheRoom}, listed: time.Now()}
	for i := 0; i < len(dirs) && len(dirs) < 10; i++ { // alternates may have alternates, or name each other
		if err := s.add(filepath.Join(dirs[i], "pack")); err != nil {
			return nil, errors.Join(err, s.close())
		}
		list, err := os.ReadFile(filepath.Join(dirs[i], "info", "alternates"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, errors.Join(fmt.Errorf("read alternates: %w", err), s.close())
		}
		for line := range strings.Lines(string(list)) {
			if line = strings.TrimSpace(line); !filepath.IsAbs(line) {
				line = filepath.Join(dirs[i], line)
			}
			dirs = append(dirs, line)
		}
	}
	s.folders = dirs
	return s, nil
}

// again opens the packs that came since the folders were read, and says whether there are any. While one process reads,
// another process may repack: then what the old packs held is in a new one. git looks again, too.
func (s *packSet) again() (bool, error) {
	n, since := len(s.packs), s.listed.Add(-time.Second) // clocks of filesystems are coarse
	for _, dir := range s.folders {
		dir = filepath.Join(dir, "pack")
		if info, err := os.Stat(dir); err != nil || info.ModTime().Before(since) {
			continue
		}
		s.listed = time.Now()
		if err := s.add(dir); err != nil {
			return false, err
		}
	}
	return len(s.packs) > n, nil
}

func (s *packSet) holds(stem string) bool {
	return slices.ContainsFunc(s.packs, func(p *Pack) bool { return p.Stem() == stem })
}

func (s *packSet) add(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read packs: %w", err)
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".idx")
		if !ok || !strings.HasPrefix(name, "pack-") || s.holds(filepath.Join(dir, name)) {
			continue
		}
		if p, err := openPack(filepath.Join(dir, name)); err == nil {
			s.packs = append(s.packs, p)
		} else if files.Unread(err) {
			return fmt.Errorf("open pack: %w", err)
		} // else a reader that needs an object of it finds it missing, and says so
	}
	return nil
}

func openPack(stem string) (_ *Pack, err error) {
	p := &Pack{stem: stem}
	defer func() {
		if err != nil {
			_ = p.close() // whatever of it is open
		}
	}()
	if p.index, err = files.Open(stem + ".idx"); err != nil {
		return nil, err
	}
	data, err := files.Open(stem + ".pack")
	if err != nil {
		return nil, err
	}
	p.data = data
	info, err := data.Stat()
	if err != nil {
		return nil, err
	}
	return p, p.begin(info.Size())
}

// begin reads what each look into the index needs. The pack has so many bytes.
func (p *Pack) begin(size int64) error {
	var head [8 + 4*256]byte
	if _, err := p.index.ReadAt(head[:], 0); err != nil {
		return err
	}
	if string(head[:8]) != "\xfftOc\x00\x00\x00\x02" {
		return fmt.Errorf("%w: index version", ErrCorrupt)
	}
	for i := range p.fanout {
		p.fanout[i] = binary.BigEndian.Uint32(head[8+4*i:])
		if i > 0 && p.fanout[i] < p.fanout[i-1] {
			return fmt.Errorf("%w: index fan-out", ErrCorrupt)
		}
	}
	if p.end = size - 20; p.end < 12 {
		return fmt.Errorf("%w: too short", ErrCorrupt)
	}
	return nil
}

func (p *Pack) close() error {
	var errs []error
	for _, f := range []io.ReaderAt{p.index, p.data} {
		if f, ok := f.(*os.File); ok {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

func (s *packSet) close() error {
	var errs []error
	for _, p := range s.packs {
		errs = append(errs, p.close())
	}
	s.packs, s.bases.bases = nil, nil
	return errors.Join(errs...)
}

// find returns where an object lies; nil when no pack has it.
func (s *packSet) find(id plumbing.Hash) (*Pack, int64, error) {
	p, n, err := s.which(id)
	if p == nil || err != nil {
		return nil, 0, err
	}
	offset, err := p.offset(n)
	return p, offset, err
}

// which returns the pack that has an object, and its number in there; nil when none has it.
func (s *packSet) which(id plumbing.Hash) (*Pack, uint32, error) {
	p, n, err := s.among(id)
	if p != nil {
		return p, n, nil
	}
	more, failed := s.again()
	if failed != nil {
		return nil, 0, failed
	}
	if !more {
		return nil, 0, err
	}
	return s.among(id)
}

// among is which, of the packs that are open. One that is damaged does not hide the others.
func (s *packSet) among(id plumbing.Hash) (_ *Pack, _ uint32, damage error) {
	for i, p := range s.packs {
		n, ok, err := s.number(p, id)
		if err != nil {
			damage = err
		}
		if ok {
			if i > 0 { // the next object is likely to be in the same pack
				s.packs[0], s.packs[i] = s.packs[i], s.packs[0]
			}
			return p, n, nil
		}
	}
	return nil, 0, damage
}

// look returns the offset of an object in one pack, -1 when it is not there.
func (s *packSet) look(p *Pack, id plumbing.Hash) (int64, error) {
	n, ok, err := s.number(p, id)
	if err != nil || !ok {
		return -1, err
	}
	return p.offset(n)
}

// number finds the number of an object in one pack.
func (s *packSet) number(p *Pack, id plumbing.Hash) (uint32, bool, error) {
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
			return 0, false, fmt.Errorf("%w: index: %w", ErrCorrupt, err)
		}
		if bytes.Compare(name, id[:]) <= 0 {
			low = mid
		} else {
			high = mid
		}
	}
	got := s.names[:(high-low)*20]
	if _, err := p.index.ReadAt(got, names+int64(low)*20); err != nil {
		return 0, false, fmt.Errorf("%w: index: %w", ErrCorrupt, err)
	}
	i, found := sort.Find(int(high-low), func(i int) int { return bytes.Compare(id[:], got[i*20:i*20+20]) })
	return low + uint32(i), found, nil
}

func (p *Pack) offset(n uint32) (int64, error) {
	count := int64(p.fanout[255])
	at := 8 + 4*256 + count*24 + int64(n)*4
	if _, err := p.index.ReadAt(p.word[:4], at); err != nil {
		return 0, fmt.Errorf("%w: index: %w", ErrCorrupt, err)
	}
	offset := int64(binary.BigEndian.Uint32(p.word[:4]))
	if offset&(1<<31) != 0 {
		at = 8 + 4*256 + count*28 + (offset&^(1<<31))*8
		if _, err := p.index.ReadAt(p.word[:], at); err != nil {
			return 0, fmt.Errorf("%w: index: %w", ErrCorrupt, err)
		}
		offset = int64(binary.BigEndian.Uint64(p.word[:]))
	}
	if offset < 12 || offset >= p.end {
		return 0, fmt.Errorf("%w: an object outside the pack", ErrCorrupt)
	}
	return offset, nil
}
