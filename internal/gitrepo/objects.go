package gitrepo

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// errMissingObject says that the clone lacks an object that it should have, or holds it damaged. The cure is to fetch
// everything again beside the clone.
var errMissingObject = errors.New("object is missing or damaged")

func missing(id plumbing.Hash, err error) error {
	if err == nil {
		return fmt.Errorf("%s: %w", id, errMissingObject)
	}
	if refusedByMachine(err) {
		return fmt.Errorf("%s: %w", id, err) // the clone is well: it is not to be fetched again for this
	}
	return fmt.Errorf("%s: %w: %w", id, errMissingObject, err)
}

// maxTree bounds one folder's tree object, in bytes: about half a million entries.
const maxTree = 32 << 20

// objectReader reads objects by id, and checks that what it read has that id. Packs are read directly; what no pack
// has (loose objects, alternates) comes from the store behind. It is for one goroutine at a time.
type objectReader struct {
	packs *packSet
	store storer.EncodedObjectStorer
	tmp   string // a folder for the bases of huge deltas
	buf   []byte // for copying
	sum   hash.Hash
	// A move reads the trees that differ twice: to look at them, and to act.
	seen     map[plumbing.Hash][]byte
	seenSize int
}

// seenRoom bounds the bytes of trees kept.
const seenRoom = 2 << 20

func (o *objectReader) remember(id plumbing.Hash, tree []byte) {
	if o.seenSize += len(tree) + 64; o.seenSize <= seenRoom {
		if o.seen == nil {
			o.seen = make(map[plumbing.Hash][]byte)
		}
		o.seen[id] = bytes.Clone(tree)
	}
}

// readObjects reads the packs below a git directory and its alternates and, for the rest, a store (nil = none).
func readObjects(store storer.EncodedObjectStorer, gitDir string) (*objectReader, error) {
	packs, err := openPacks(filepath.Join(gitDir, "objects"))
	if err != nil {
		return nil, err
	}
	return &objectReader{packs: packs, store: store, tmp: filepath.Join(gitDir, tempFolder), sum: sha1.New()}, nil
}

func (o *objectReader) close() { o.packs.close() }

// has reports whether an object is there, without reading it.
func (o *objectReader) has(id plumbing.Hash) (bool, error) {
	p, _, err := o.packs.which(id)
	if p != nil || (err != nil && !errors.Is(err, errPack)) {
		return p != nil, err
	}
	if o.store == nil {
		return false, nil
	}
	return o.packs.loose(id)
}

// load returns a whole object of at most limit bytes. into is used when it is large enough.
func (o *objectReader) load(id plumbing.Hash, kind plumbing.ObjectType, limit int64, into []byte) ([]byte, error) {
	got, data, err := o.raw(id, limit, into)
	if err != nil {
		return nil, err
	}
	if got != kind {
		return nil, missing(id, fmt.Errorf("it is a %s, not a %s", got, kind))
	}
	if o.begin(kind, int64(len(data))); !o.ended(data, id) {
		return nil, missing(id, errors.New("its content has another id"))
	}
	return data, nil
}

func (o *objectReader) raw(id plumbing.Hash, limit int64, into []byte) (plumbing.ObjectType, []byte, error) {
	p, at, err := o.packs.find(id)
	if err == nil && p != nil {
		kind, data, err := o.packs.read(p, at, limit, into)
		if errors.Is(err, errPack) {
			err = missing(id, err)
		}
		return kind, data, err
	}
	if err != nil && !errors.Is(err, errPack) {
		return 0, nil, err
	}
	stored, err := o.stored(id)
	if err != nil {
		return 0, nil, err
	}
	if stored.Size() > limit {
		return 0, nil, errTooBig
	}
	r, err := stored.Reader()
	if err != nil {
		return 0, nil, missing(id, err)
	}
	data := room(into, stored.Size())
	_, err = io.ReadFull(r, data)
	if err = errors.Join(err, r.Close()); err != nil {
		return 0, nil, missing(id, err)
	}
	return stored.Type(), data, nil
}

func (o *objectReader) stored(id plumbing.Hash) (plumbing.EncodedObject, error) {
	if o.store == nil {
		return nil, missing(id, nil)
	}
	stored, err := o.store.EncodedObject(plumbing.AnyObject, id)
	if err != nil {
		return nil, missing(id, err)
	}
	return stored, nil
}

// begin starts the hash of an object, ended adds its last bytes and compares.
func (o *objectReader) begin(kind plumbing.ObjectType, size int64) {
	o.sum.Reset()
	head := append(make([]byte, 0, 32), kind.Bytes()...)
	head = append(strconv.AppendInt(append(head, ' '), size, 10), 0)
	o.sum.Write(head)
}

func (o *objectReader) ended(data []byte, id plumbing.Hash) bool {
	o.sum.Write(data)
	var got [sha1.Size]byte
	return bytes.Equal(o.sum.Sum(got[:0]), id[:])
}

// blob is the content of a file: held when it is small, else streamed.
type blob struct {
	o    *objectReader
	id   plumbing.Hash
	size int64
	data []byte // nil for a big one
}

// blob opens a blob. into is used for a small one.
func (o *objectReader) blob(id plumbing.Hash, into []byte) (blob, error) {
	data, err := o.load(id, plumbing.BlobObject, bigObject, into)
	if err == nil {
		return blob{o, id, int64(len(data)), data}, nil
	}
	if !errors.Is(err, errTooBig) {
		return blob{}, err
	}
	b := blob{o: o, id: id}
	p, at, err := o.packs.find(id)
	if err != nil {
		return b, missing(id, err)
	}
	kind := plumbing.BlobObject
	if p != nil {
		if kind, b.size, err = o.packs.kindAndSize(p, at); err != nil {
			return b, missing(id, err)
		}
	} else {
		stored, err := o.stored(id)
		if err != nil {
			return b, err
		}
		kind, b.size = stored.Type(), stored.Size()
	}
	if kind != plumbing.BlobObject {
		return b, missing(id, fmt.Errorf("it is a %s, not a blob", kind))
	}
	return b, nil
}

// copyTo writes the content and calls advanced now and then. An error of w comes back as it is.
func (b blob) copyTo(w io.Writer, advanced func()) error {
	if b.data != nil || b.size == 0 {
		_, err := w.Write(b.data) // its id was checked
		return err
	}
	o := b.o
	if o.buf == nil {
		o.buf = make([]byte, 64<<10)
	}
	o.begin(plumbing.BlobObject, b.size)
	out := &tally{w: w, sum: o.sum, advanced: advanced}
	err := o.streamTo(out, b.id)
	switch {
	case out.err != nil:
		return out.err
	case errors.As(err, new(*fs.PathError)): // the room for a delta's base
		return err
	case err != nil:
		return missing(b.id, err)
	case out.n != b.size || !o.ended(nil, b.id):
		return missing(b.id, errors.New("its content has another id"))
	}
	return nil
}

func (o *objectReader) streamTo(w io.Writer, id plumbing.Hash) error {
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

// treeOf returns the root tree of a commit.
func (o *objectReader) treeOf(id plumbing.Hash) (plumbing.Hash, error) {
	c, err := loadCommit(o, id)
	return c.tree, err
}
