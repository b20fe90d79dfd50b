package pack

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// go-git's own way from a stream to a pack with an index inflates each object into memory (62 MB for a 50 MB blob) and
// keeps what it learns of every object in maps (411 MB for 60,000 files). This one holds 64 bytes an object and never
// a big object, refuses what goes beyond its bounds while it comes in, and completes a thin pack.

// ReceiveOptions are how a pack is taken in. Only Parent must be given.
type ReceiveOptions struct {
	Parent string        // a folder on the disk where the pack will lie: where the temporary folder goes
	Want   plumbing.Hash // a commit that must be in it; zero = any pack will do
	Base   *Reader       // has the objects that a thin pack may lean on; nil = it may lean on none
	// told as the work advances how much has come; its error, as of a disk that is full, ends the work. nil disables it
	Progress Progress
}

// Progress is told how many bytes and objects of a pack have come.
type Progress func(bytes int64, objects int) error

// Received is a whole pack with its index in a temporary folder.
type Received struct {
	Stem  string // of its names: pack-<checksum>
	Bytes int64  // as they came
	dir   string
}

// ReceivePrefix begins the names of temporary folders of packs that come in. What a killed process left there is not
// needs.
const ReceivePrefix = "addagent-recv-"

// Receive reads a pack from a stream to its end, and a thin one it completes. Nothing of it is visible before Install;
// after an error nothing is left. Errors: ErrCorrupt, ErrMissing for a thin pack that leans on what Base has not,
// io.ErrUnexpectedEOF for one that is cut off, and those of the disk, of the stream and of ctx.
func Receive(ctx context.Context, src io.Reader, o ReceiveOptions) (_ *Received, err error) {
	dir, err := os.MkdirTemp(o.Parent, ReceivePrefix)
	if err != nil {
		return nil, fmt.Errorf("receive pack: %w", err)
	}
	r := &Received{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("receive pack: %w", err), r.discard())
		}
	}()
	f, err := os.OpenFile(filepath.Join(dir, "pack"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return nil, err
	}
	defer f.Close()

	in := newScanner(ctx, src, f)
	if o.Progress != nil {
		in.progress = o.Progress
	}
	progress := in.progress
	sum, err := in.run()
	if err != nil {
		return nil, err
	}
	r.Bytes = in.at()
	solver := newSolver(in, f, dir)
	defer solver.close()
	solver.step = func() error { return progress(r.Bytes, len(solver.entries)) }
	*in = scanner{} // its buffers are not needed any more
	if err := solver.run(); err != nil {
		return nil, err
	}
	if len(solver.waiting) > 0 {
		if sum, err = complete(f, solver, o.Base); err != nil {
			return nil, err
		}
	}
	if solver.left > 0 {
		return nil, fmt.Errorf("%w: deltas lean on each other", ErrCorrupt)
	}
	if !o.Want.IsZero() && !slices.ContainsFunc(solver.entries, func(e scanned) bool { return e.id == o.Want }) {
		return nil, fmt.Errorf("the remote did not send commit %s", o.Want)
	}
	r.Stem = "pack-" + sum.String()
	if err := writeIndex(filepath.Join(dir, "idx"), solver.entries, sum); err != nil {
		return nil, err
	}
	return r, f.Sync()
}

// Install makes the pack part of a git directory: first the data, then the index that makes it visible.
func (r *Received) Install(gitDir string) error {
	to := filepath.Join(gitDir, "objects", "pack", r.Stem)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("store pack: %w", err)
	}
	for _, f := range [][2]string{{"pack", ".pack"}, {"idx", ".idx"}} {
		if err := os.Rename(filepath.Join(r.dir, f[0]), to+f[1]); err != nil {
			return errors.Join(fmt.Errorf("store pack: %w", err), r.discard())
		}
	}
	return r.discard()
}

func (r *Received) discard() error { return os.RemoveAll(r.dir) }

// complete appends the objects that a thin pack leans on, and writes the new number of objects and checksum.
func complete(f *os.File, s *solver, base *Reader) (plumbing.Hash, error) {
	var sum plumbing.Hash
	end := s.size
	for len(s.waiting) > 0 {
		before := len(s.waiting)
		for _, id := range sortedBases(s.waiting) {
			if _, still := s.waiting[id]; !still {
				continue // it was in the pack, as a delta of another one
			}
			if base == nil {
				return sum, Missing(id, errors.New("a delta leans on it"))
			}
			object, err := base.object(id, nil)
			if errors.Is(err, ErrMissing) {
				continue // perhaps a delta of one that comes after it
			}
			if err != nil {
				return sum, err
			}
			e, size, err := appendObject(f, end, object)
			if err != nil {
				return sum, err
			}
			end += size
			if err := s.add(e, end); err != nil {
				return sum, err
			}
		}
		if len(s.waiting) == before {
			return sum, Missing(sortedBases(s.waiting)[0], errors.New("a delta leans on it"))
		}
	}
	return sum, finishPack(f, end, uint32(len(s.entries)), &sum)
}

func sortedBases(m map[plumbing.Hash][]int32) []plumbing.Hash {
	ids := make([]plumbing.Hash, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b plumbing.Hash) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

// appendObject writes an object at an offset of a pack.
func appendObject(f *os.File, at int64, o Object) (scanned, int64, error) {
	crc := crc32.NewIEEE()
	out := &counted{w: io.MultiWriter(io.NewOffsetWriter(f, at), crc)}
	e := scanned{id: o.ID, at: at, size: o.Size, kind: o.Kind, base: -1, solved: true}
	if _, err := out.Write(appendHeader(nil, o.Kind, o.Size)); err != nil {
		return e, 0, err
	}
	e.body = at + out.n
	if o.Size <= maxStored {
		// Most are trees of a few kilobytes, which hardly compress; a compressor costs 800 KB of memory.
		if err := writeStored(out, o.Data); err != nil {
			return e, 0, err
		}
	} else {
		z, err := zlib.NewWriterLevel(out, zlib.BestSpeed)
		if err != nil {
			return e, 0, err
		}
		if err := errors.Join(o.CopyTo(z, func() {}), z.Close()); err != nil {
			return e, 0, err
		}
	}
	e.crc = crc.Sum32()
	return e, out.n, nil
}

const maxStored = 64<<10 - 1

// writeStored writes at most maxStored bytes as a zlib stream without compressing them. Format: RFC 1950, RFC 1951
// 3.2.4.
func writeStored(w io.Writer, data []byte) error {
	head := []byte{0x78, 0x01, 1} // deflate, fastest; one last block, stored
	head = binary.LittleEndian.AppendUint16(head, uint16(len(data)))
	head = binary.LittleEndian.AppendUint16(head, ^uint16(len(data)))
	for _, b := range [][]byte{head, data, binary.BigEndian.AppendUint32(nil, adler32.Checksum(data))} {
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// appendHeader adds the header of an object in a pack.
func appendHeader(b []byte, kind plumbing.ObjectType, size int64) []byte {
	c := byte(kind)<<4 | byte(size&15)
	for size >>= 4; size > 0; size >>= 7 {
		b = append(b, c|0x80)
		c = byte(size & 0x7f)
	}
	return append(b, c)
}

// finishPack writes the number of objects into the head of a pack and its checksum at the end.
func finishPack(f *os.File, end int64, objects uint32, sum *plumbing.Hash) error {
	if _, err := f.WriteAt(binary.BigEndian.AppendUint32(nil, objects), 8); err != nil {
		return err
	}
	h := sha1.New()
	if _, err := io.CopyBuffer(writerOnly{h}, io.NewSectionReader(f, 0, end), make([]byte, 64<<10)); err != nil {
		return err
	}
	h.Sum(sum[:0])
	if _, err := f.WriteAt(sum[:], end); err != nil {
		return err
	}
	return f.Truncate(end + int64(len(sum)))
}

func writeIndex(path string, entries []scanned, pack plumbing.Hash) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := encodeIndex(f, entries, pack); err != nil {
		return err
	}
	return f.Sync()
}

// encodeIndex writes an index of version 2. Format: gitformat-pack(5).
func encodeIndex(f io.Writer, entries []scanned, pack plumbing.Hash) error {
	order := make([]int32, len(entries))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return bytes.Compare(entries[a].id[:], entries[b].id[:]) })
	sum := sha1.New()
	w := bufio.NewWriterSize(io.MultiWriter(f, sum), 32<<10) // keeps its first error until Flush
	number := func(n uint32) { _, _ = w.Write(binary.BigEndian.AppendUint32(w.AvailableBuffer(), n)) }
	_, _ = w.WriteString("\xfftOc\x00\x00\x00\x02")
	n := 0
	for first := range 256 {
		for n < len(order) && int(entries[order[n]].id[0]) == first {
			n++
		}
		number(uint32(n))
	}
	for _, i := range order {
		_, _ = w.Write(entries[i].id[:])
	}
	for _, i := range order {
		number(entries[i].crc)
	}
	var far []byte
	for _, i := range order {
		at := entries[i].at
		if at < 1<<31 {
			number(uint32(at))
			continue
		}
		number(uint32(len(far)/8) | 1<<31)
		far = binary.BigEndian.AppendUint64(far, uint64(at))
	}
	_, _ = w.Write(far)
	_, _ = w.Write(pack[:])
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := f.Write(sum.Sum(nil))
	return err
}

// counted is a writer that counts.
type counted struct {
	w io.Writer
	n int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
