package worktree

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/bits"
	"strconv"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/go-git/go-git/v5/plumbing"
)

// errIndex says that an index cannot be the record of what is in the work tree: damaged, of a version that we do not
// write, in the middle of a merge, or changed by `git add`.
var errIndex = errors.New("index is not ours")

// record is what the index remembers of a file's lstat, as it lies in the file: ctime and mtime (seconds,
// nanoseconds), device, inode, mode, user, group, size; ten big-endian numbers of 32 bits. Format:
// gitformat-index(5).
type record [40]byte

func (r *record) field(i int) uint32       { return binary.BigEndian.Uint32(r[4*i:]) }
func (r *record) setField(i int, v uint32) { binary.BigEndian.PutUint32(r[4*i:], v) }

// Fields of a record.
const (
	recordMtime = 2 // and 3
	recordDev   = 4
	recordMode  = 6
	recordSize  = 9
)

// mtime is nanoseconds since 1970.
func (r *record) mtime() int64 {
	return int64(r.field(recordMtime))*1e9 + int64(r.field(recordMtime+1))
}

// same compares two records, without the device: its number may be another after the next boot.
func (r *record) same(b *record) bool {
	return bytes.Equal(r[:4*recordDev], b[:4*recordDev]) && bytes.Equal(r[4*recordDev+4:], b[4*recordDev+4:])
}

// indexEntry is one tracked file. Its path belongs to the reader and changes with the next entry.
type indexEntry struct {
	path []byte
	mode uint32
	id   plumbing.Hash
	stat record
	raw  []byte // as it lies in the file, nil when it comes from elsewhere; only good until the next entry
}

const (
	entryHead    = 62       // bytes of an entry before its path
	maxIndexPath = 32 << 10 // bytes; Linux takes 4096
)

// indexReader reads an index of version 2 as a stream.
type indexReader struct {
	f       io.ReaderAt
	in      *bufio.Reader
	checked bool
	sum     hash.Hash // of what was read, when checked
	size    int64     // of the file
	mtime   int64     // of the file, nanoseconds since 1970: what changed since then may have changed unseen
	count   uint32
	left    uint32
	entry   indexEntry
	last    []byte
}

// readIndex reads an index of so many bytes, last written at mtime. A checked one is not trusted: paths,
// order and the sum at its end are looked at. Reading it for a second time needs no check.
func readIndex(f io.ReaderAt, size, mtime int64, checked bool) (*indexReader, error) {
	r := &indexReader{f: f, checked: checked, size: size, mtime: mtime}
	if r.size < 12+sha1.Size {
		return nil, fmt.Errorf("%w: too short", errIndex)
	}
	var body io.Reader = io.NewSectionReader(f, 0, r.size-sha1.Size)
	if checked {
		r.sum = sha1.New()
		body = io.TeeReader(body, r.sum)
	}
	r.in = bufio.NewReaderSize(body, 64<<10)
	var head [12]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return nil, fmt.Errorf("%w: %w", errIndex, err)
	}
	if string(head[:8]) != "DIRC\x00\x00\x00\x02" {
		return nil, fmt.Errorf("%w: version", errIndex)
	}
	r.count = binary.BigEndian.Uint32(head[8:])
	r.left = r.count
	if int64(r.count)*(entryHead+2) > r.size {
		return nil, fmt.Errorf("%w: more entries than it has room for", errIndex)
	}
	return r, nil
}

// next returns the next entry, nil after the last one.
func (r *indexReader) next() (*indexEntry, error) {
	if r.left == 0 {
		return nil, nil
	}
	r.left--
	// Of nearly all entries the length stands in the flags, and the buffer holds them whole.
	head, err := r.in.Peek(entryHead)
	if err != nil {
		return nil, fmt.Errorf("%w: cut", errIndex)
	}
	flags := binary.BigEndian.Uint16(head[60:])
	if flags&0x7000 != 0 { // extended, or a stage of a merge; "assume unchanged" (0x8000) is not believed
		return nil, fmt.Errorf("%w: flags", errIndex)
	}
	length := int(flags & 0xfff)
	if length == 0xfff { // or more
		if length, err = r.longPath(); err != nil {
			return nil, err
		}
	}
	total := (entryHead + length + 8) &^ 7
	raw, err := r.in.Peek(total)
	if err != nil {
		return nil, fmt.Errorf("%w: cut", errIndex)
	}
	_, _ = r.in.Discard(total) // it was peeked at
	for _, c := range raw[entryHead+length:] {
		if c != 0 {
			return nil, fmt.Errorf("%w: padding", errIndex)
		}
	}
	e := &r.entry
	e.raw = raw
	copy(e.stat[:], raw)
	copy(e.id[:], raw[40:60])
	r.last, e.path = e.path, append(r.last[:0], raw[entryHead:entryHead+length]...)
	e.mode = e.stat.field(recordMode)
	switch e.mode {
	case objects.ModeFile, objects.ModeExecutable, objects.ModeSymlink, objects.ModeSubmodule:
	default:
		return nil, fmt.Errorf("%w: mode %o", errIndex, e.mode)
	}
	if !r.checked {
		return e, nil
	}
	return e, r.check()
}

// skip passes over the entries before a path (nil = all that are left), whole stretches at once, and gives each
// stretch as it lies in the file to pass, which may be nil. It may stop earlier, at an entry that only next
// understands. Only for an index that was checked.
func (r *indexReader) skip(stop []byte, pass func(raw []byte, count uint32) error) error {
	for r.left > 0 {
		b, _ := r.in.Peek(r.in.Buffered()) // all that is there without reading
		n, count, end := 0, uint32(0), false
		for !end && count < r.left && len(b)-n >= entryHead {
			length := int(binary.BigEndian.Uint16(b[n+60:]))
			total := (entryHead + length + 8) &^ 7
			if end = length >= 0xfff; end || total > len(b)-n { // flags, or a long path; or a cut in the buffer
				break
			}
			if end = stop != nil && bytes.Compare(b[n+entryHead:n+entryHead+length], stop) >= 0; !end {
				n += total
				count++
			}
		}
		if n > 0 && pass != nil {
			if err := pass(b[:n], count); err != nil {
				return err
			}
		}
		r.left -= count
		_, _ = r.in.Discard(n) // it was peeked at
		if end {
			return nil
		}
		if n == 0 {
			if _, err := r.in.Peek(len(b) + 1); err != nil {
				return nil // next will say so
			}
		}
	}
	return nil
}

// longPath finds the end of a path that is too long for the field of its length.
func (r *indexReader) longPath() (int, error) {
	b, err := r.in.Peek(maxIndexPath)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("%w: path", errIndex)
	}
	end := bytes.IndexByte(b[min(len(b), entryHead):], 0)
	if end < 0xfff {
		return 0, fmt.Errorf("%w: path", errIndex)
	}
	return end, nil
}

// check refuses paths out of order, and such as would lead out of the work tree or into what is not tracked.
func (r *indexReader) check() error {
	path, last := r.entry.path, r.last
	common := commonPrefix(path, last)
	if first := r.left+1 == r.count; !first && (common == len(path) || (common < len(last) && path[common] < last[common])) {
		return fmt.Errorf("%w: order", errIndex)
	}
	if bytes.IndexByte(path[common:], 0) >= 0 {
		return fmt.Errorf("%w: path", errIndex)
	}
	from := bytes.LastIndexByte(path[:common], '/') + 1 // the folders before were looked at
	for from <= len(path) {
		name := path[from:]
		if end := bytes.IndexByte(name, '/'); end >= 0 {
			name = name[:end]
		}
		if checkName(name, from == 0) != "" {
			return fmt.Errorf("%w: path", errIndex)
		}
		from += len(name) + 1
	}
	return nil
}

// finish reads what follows the last entry, and returns the tree that the entries are, all of them: git keeps that in
// the TREE extension, and forgets it when a path is added or removed.
func (r *indexReader) finish() (plumbing.Hash, error) {
	tree := plumbing.ZeroHash
	for {
		var head [8]byte
		if _, err := io.ReadFull(r.in, head[:]); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return tree, fmt.Errorf("%w: cut", errIndex)
		}
		if head[0] < 'A' || head[0] > 'Z' { // changes what the entries mean: a split or a sparse index
			return tree, fmt.Errorf("%w: extension %q", errIndex, head[:4])
		}
		size := int64(binary.BigEndian.Uint32(head[4:]))
		if string(head[:4]) == "TREE" {
			start, err := r.in.Peek(int(min(size, 64)))
			if err != nil {
				return tree, fmt.Errorf("%w: cut", errIndex)
			}
			tree = rootOfCache(start, r.count)
		}
		if n, err := io.CopyN(io.Discard, r.in, size); err != nil || n != size {
			return tree, fmt.Errorf("%w: cut", errIndex)
		}
	}
	if r.sum != nil {
		var want [sha1.Size]byte
		if _, err := r.f.ReadAt(want[:], r.size-sha1.Size); err != nil || !bytes.Equal(want[:], r.sum.Sum(nil)) {
			return tree, fmt.Errorf("%w: sum", errIndex)
		}
	}
	if tree.IsZero() {
		return tree, fmt.Errorf("%w: not the index of a tree", errIndex)
	}
	return tree, nil
}

// commonPrefix counts the bytes that two paths begin with.
func commonPrefix(a, b []byte) int {
	n, most := 0, min(len(a), len(b))
	for n+8 <= most {
		if diff := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); diff != 0 {
			return n + bits.TrailingZeros64(diff)/8
		}
		n += 8
	}
	for n < most && a[n] == b[n] {
		n++
	}
	return n
}

// rootOfCache reads the first line of a TREE extension: NUL, number of entries, space, number of folders, newline, id.
func rootOfCache(b []byte, count uint32) plumbing.Hash {
	line, id, ok := bytes.Cut(b, []byte("\n"))
	entries, _, spaced := bytes.Cut(line, []byte(" "))
	if !ok || !spaced || len(id) < 20 || string(entries) != "\x00"+strconv.FormatUint(uint64(count), 10) {
		return plumbing.ZeroHash
	}
	return plumbing.Hash(id[:20])
}

// indexWriter writes an index of version 2 as a stream. The number of entries must be known before.
type indexWriter struct {
	w     io.Writer
	out   *bufio.Writer // to w and sum
	sum   hash.Hash
	count uint32
	left  int64 // how many more must come
}

func newIndexWriter(w io.Writer, count int) (*indexWriter, error) {
	if count < 0 || int64(count) > 1<<31 {
		return nil, fmt.Errorf("an index of %d entries", count)
	}
	x := &indexWriter{w: w, sum: sha1.New(), count: uint32(count), left: int64(count)}
	x.out = bufio.NewWriterSize(io.MultiWriter(w, x.sum), 64<<10)
	head := binary.BigEndian.AppendUint32([]byte("DIRC\x00\x00\x00\x02"), x.count)
	_, err := x.out.Write(head)
	return x, err
}

// add writes one entry; its mode is taken from mode and not from stat.
func (x *indexWriter) add(path []byte, mode uint32, id *plumbing.Hash, stat *record) error {
	x.left--
	b := append(x.out.AvailableBuffer(), stat[:]...)
	binary.BigEndian.PutUint32(b[4*recordMode:], mode)
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(min(len(path), 0xfff)))
	b = append(b, path...)
	b = append(b, make([]byte, 8)[:8-len(b)%8]...)
	_, err := x.out.Write(b)
	return err
}

// copy writes an entry as it was in the index before.
func (x *indexWriter) copy(e *indexEntry) error {
	if e.raw == nil || e.raw[60]&0x80 != 0 { // "assume unchanged" is not carried on
		return x.add(e.path, e.mode, &e.id, &e.stat)
	}
	return x.stretch(e.raw, 1)
}

// stretch writes entries as they were in the index before.
func (x *indexWriter) stretch(raw []byte, count uint32) error {
	x.left -= int64(count)
	_, err := x.out.Write(raw)
	return err
}

// finish says which tree the entries are, and writes the sum.
func (x *indexWriter) finish(tree plumbing.Hash) error {
	if x.left != 0 {
		return fmt.Errorf("index lacks %d of %d entries", x.left, x.count) // below zero: it has too many
	}
	body := append([]byte{0}, strconv.FormatUint(uint64(x.count), 10)+" 0\n"...)
	body = append(body, tree[:]...)
	head := binary.BigEndian.AppendUint32([]byte("TREE"), uint32(len(body)))
	_, _ = x.out.Write(append(head, body...))
	if err := x.out.Flush(); err != nil {
		return err
	}
	_, err := x.w.Write(x.sum.Sum(nil))
	return err
}
