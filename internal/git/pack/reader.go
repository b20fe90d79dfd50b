package pack

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/go-git/go-git/v5/plumbing"
)

// ErrMissing says that a git directory lacks an object that it should have, or holds it damaged. The cure is to fetch
// everything again.
var ErrMissing = errors.New("object is missing or damaged")

// Missing is an ErrMissing that names the object and why (nil = it is not there). It is none when this machine or this
// user could not read it just now: that says nothing about the object.
func Missing(id plumbing.Hash, err error) error {
	if err == nil {
		return fmt.Errorf("%s: %w", id, ErrMissing)
	}
	for _, no := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, fs.ErrPermission} {
		if errors.Is(err, no) {
			return fmt.Errorf("%s: %w", id, err) // it may be well: nothing is to be fetched again for this
		}
	}
	return fmt.Errorf("%s: %w: %w", id, ErrMissing, err)
}

// MaxTree bounds one folder's tree object (and commits and tags), in bytes: about half a million entries.
const MaxTree = 32 << 20

// Store has the objects that are in no pack: go-git's stores are such.
type Store interface {
	EncodedObject(plumbing.ObjectType, plumbing.Hash) (plumbing.EncodedObject, error)
}

// Reader reads objects by id, and checks that what it read has that id. Packs are read directly; what no pack
// has (loose objects, alternates) comes from the store behind. It is for one goroutine at a time.
type Reader struct {
	gitDir string
	packs  *packSet
	store  Store
	tmp    string // a folder for the bases of huge deltas
	buf    []byte // for copying
	sum    hash.Hash
}

// Open reads the packs below a git directory and its alternates and, for the rest, a store (nil = none). The bases of
// huge deltas go to files without a name in the folder tmp, which is made when it is needed.
func Open(gitDir string, store Store, tmp string) (*Reader, error) {
	packs, err := openPacks(filepath.Join(gitDir, "objects"))
	if err != nil {
		return nil, err
	}
	return &Reader{gitDir: gitDir, packs: packs, store: store, tmp: tmp, sum: sha1.New()}, nil
}

// Close releases the packs. A closed reader has only what the store has.
func (o *Reader) Close() { o.packs.close() }

// Has reports whether an object is there, without reading it.
func (o *Reader) Has(id plumbing.Hash) (bool, error) {
	p, _, err := o.packs.which(id)
	if p != nil || (err != nil && !errors.Is(err, ErrCorrupt)) {
		return p != nil, err
	}
	if o.store == nil {
		return false, nil
	}
	return o.packs.loose(id)
}

// Present is nil when an object is there, and ErrMissing when it is not.
func (o *Reader) Present(id plumbing.Hash) error {
	there, err := o.Has(id)
	if err == nil && !there {
		return Missing(id, nil)
	}
	return err
}

// Packed returns what an object in a pack is and how many bytes long, without inflating more than the head of one
// delta. ok is false when no pack has it, or has it damaged.
func (o *Reader) Packed(id plumbing.Hash) (kind plumbing.ObjectType, size int64, ok bool) {
	p, at, err := o.packs.find(id)
	if err != nil || p == nil {
		return 0, 0, false
	}
	kind, size, err = o.packs.kindAndSize(p, at)
	return kind, size, err == nil
}

// Load returns a whole object of at most limit bytes. into is used when it is large enough. Errors: ErrTooBig,
// ErrMissing (also for an object of another kind), and those of the disk.
func (o *Reader) Load(id plumbing.Hash, kind plumbing.ObjectType, limit int64, into []byte) ([]byte, error) {
	got, data, err := o.Raw(id, limit, into)
	if err != nil {
		return nil, err
	}
	if got != kind {
		return nil, Missing(id, fmt.Errorf("it is a %s, not a %s", got, kind))
	}
	if o.begin(kind, int64(len(data))); !o.ended(data, id) {
		return nil, Missing(id, errors.New("its content has another id"))
	}
	return data, nil
}

// Raw is Load of an object of any kind, whose id is not checked.
func (o *Reader) Raw(id plumbing.Hash, limit int64, into []byte) (plumbing.ObjectType, []byte, error) {
	p, at, err := o.packs.find(id)
	if err == nil && p != nil {
		kind, data, err := o.packs.read(p, at, limit, into)
		if errors.Is(err, ErrCorrupt) {
			err = Missing(id, err)
		}
		return kind, data, err
	}
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return 0, nil, err
	}
	stored, err := o.stored(id)
	if err != nil {
		return 0, nil, err
	}
	if stored.Size() > limit {
		return 0, nil, ErrTooBig
	}
	r, err := stored.Reader()
	if err != nil {
		return 0, nil, Missing(id, err)
	}
	data := room(into, stored.Size())
	_, err = io.ReadFull(r, data)
	if err = errors.Join(err, r.Close()); err != nil {
		return 0, nil, Missing(id, err)
	}
	return stored.Type(), data, nil
}

func (o *Reader) stored(id plumbing.Hash) (plumbing.EncodedObject, error) {
	if o.store == nil {
		return nil, Missing(id, nil)
	}
	stored, err := o.store.EncodedObject(plumbing.AnyObject, id)
	if err != nil {
		return nil, Missing(id, err)
	}
	return stored, nil
}

// begin starts the hash of an object, ended adds its last bytes and compares.
func (o *Reader) begin(kind plumbing.ObjectType, size int64) { begin(o.sum, kind, size) }

func (o *Reader) ended(data []byte, id plumbing.Hash) bool {
	o.sum.Write(data)
	var got [sha1.Size]byte
	return bytes.Equal(o.sum.Sum(got[:0]), id[:])
}

// Blob is the content of a file: held when it is small (1 MB), else streamed.
type Blob struct {
	Size int64  // bytes
	Data []byte // nil for a big one
	o    *Reader
	id   plumbing.Hash
}

// Blob opens a blob. into is used for a small one.
func (o *Reader) Blob(id plumbing.Hash, into []byte) (Blob, error) {
	data, err := o.Load(id, plumbing.BlobObject, bigObject, into)
	if err == nil {
		return Blob{int64(len(data)), data, o, id}, nil
	}
	if !errors.Is(err, ErrTooBig) {
		return Blob{}, err
	}
	b := Blob{o: o, id: id}
	p, at, err := o.packs.find(id)
	if err != nil {
		return b, Missing(id, err)
	}
	kind := plumbing.BlobObject
	if p != nil {
		if kind, b.Size, err = o.packs.kindAndSize(p, at); err != nil {
			return b, Missing(id, err)
		}
	} else {
		stored, err := o.stored(id)
		if err != nil {
			return b, err
		}
		kind, b.Size = stored.Type(), stored.Size()
	}
	if kind != plumbing.BlobObject {
		return b, Missing(id, fmt.Errorf("it is a %s, not a blob", kind))
	}
	return b, nil
}

// CopyTo writes the content and calls advanced now and then. An error of w comes back as it is.
func (b Blob) CopyTo(w io.Writer, advanced func()) error {
	if b.Data != nil || b.Size == 0 {
		_, err := w.Write(b.Data) // its id was checked
		return err
	}
	o := b.o
	if o.buf == nil {
		o.buf = make([]byte, 64<<10)
	}
	o.begin(plumbing.BlobObject, b.Size)
	out := &tally{w: w, sum: o.sum, advanced: advanced}
	err := o.streamTo(out, b.id)
	switch {
	case out.err != nil:
		return out.err
	case errors.As(err, new(*fs.PathError)): // the room for a delta's base
		return err
	case err != nil:
		return Missing(b.id, err)
	case out.n != b.Size || !o.ended(nil, b.id):
		return Missing(b.id, errors.New("its content has another id"))
	}
	return nil
}

func (o *Reader) streamTo(w io.Writer, id plumbing.Hash) error {
	p, at, err := o.packs.find(id)
	if err != nil {
		return err
	}
	if p != nil {
		return o.packs.stream(w, p, at, o.tmp, o.buf)
	}
	stored, err := o.stored(id)
	if err != nil {
		return err
	}
	r, err := stored.Reader()
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(writerOnly{w}, readerOnly{r}, o.buf)
	return errors.Join(err, r.Close())
}

// tally is a writer that hashes and counts on the way, and remembers whose error it was.
type tally struct {
	w        io.Writer
	sum      hash.Hash
	n, next  int64
	advanced func()
	err      error
}

func (t *tally) Write(b []byte) (int, error) {
	t.sum.Write(b)
	n, err := t.w.Write(b)
	t.n += int64(n)
	t.err = err
	if t.n >= t.next {
		t.advanced()
		t.next = t.n + 1<<20
	}
	return n, err
}

// source is an object that comes into a pack.
type source struct {
	kind  plumbing.ObjectType
	size  int64
	write func(io.Writer) error
}

// source opens any object for a pack: held when it is small, else streamed.
func (o *Reader) source(id plumbing.Hash) (source, error) {
	kind, data, err := o.Raw(id, bigObject, nil)
	if errors.Is(err, ErrTooBig) {
		b, notBlob := o.Blob(id, nil)
		if notBlob == nil {
			return source{plumbing.BlobObject, b.Size, func(w io.Writer) error { return b.CopyTo(w, func() {}) }}, nil
		}
		kind, data, err = o.Raw(id, MaxTree, nil) // a tree or a commit of more than a megabyte: rare, and bounded
	}
	return source{kind, int64(len(data)), func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}}, err
}
