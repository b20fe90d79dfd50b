package pack

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/addagent/addagent/internal/files"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/objfile"
)

// ErrMissing says that a git directory lacks an object that it should have, or holds it damaged. The cure is to fetch
// everything again.
var ErrMissing = errors.New("object is missing or damaged")

// Missing is an ErrMissing that names the object and why (nil = it is not there). It is none when this machine or this
// user could not read it just now: that says nothing about the object.
func Missing(id plumbing.Hash, err error) error {
	switch {
	case err == nil:
		err = ErrMissing
	case !files.Unread(err): // else it may be well: nothing is to be fetched again for this
		err = fmt.Errorf("%w: %w", ErrMissing, err)
	}
	return fmt.Errorf("%s: %w", id, err)
}

// MaxTree bounds one folder's tree object (and commits and tags), in bytes: about half a million entries.
const MaxTree = 32 << 20

// Reader reads objects by id, and checks that what it read has that id. It is for one goroutine at a time.
type Reader struct {
	gitDir string
	packs  *packSet
	tmp    string // a folder for the bases of huge deltas
	buf    []byte // for copying
	sum    hash.Hash
}

// Open reads the objects of a git directory and its alternates: those in packs, and the loose ones. What it lacks is
// read from the others. The bases of huge deltas go to files without a name in the folder tmp, which is made when it is
// needed.
func Open(gitDir, tmp string, others ...string) (*Reader, error) {
	folders := []string{filepath.Join(gitDir, "objects")}
	for _, other := range others {
		folders = append(folders, filepath.Join(other, "objects"))
	}
	packs, err := openPacks(folders...)
	if err != nil {
		return nil, err
	}
	return &Reader{gitDir: gitDir, packs: packs, tmp: tmp, sum: sha1.New()}, nil
}

// Close releases the packs.
func (o *Reader) Close() error { return o.packs.close() }

// Has reports whether an object is there, without reading it.
func (o *Reader) Has(id plumbing.Hash) (bool, error) {
	err := o.Present(id)
	if errors.Is(err, ErrMissing) {
		return false, nil
	}
	return err == nil, err
}

// Present is nil when an object is there, and ErrMissing when it is not.
func (o *Reader) Present(id plumbing.Hash) error {
	p, _, err := o.packs.which(id)
	if p != nil || (err != nil && !errors.Is(err, ErrCorrupt)) {
		return err
	}
	l, err := o.loose(id)
	if err == nil {
		l.close()
	}
	return err
}

// loose is an object in a file of its own.
type loose struct {
	*objfile.Reader
	file *os.File
	kind plumbing.ObjectType
	size int64
}

func (o *Reader) loose(id plumbing.Hash) (l *loose, err error) {
	name := id.String()
	for _, dir := range o.packs.folders {
		l = &loose{}
		l.file, err = files.Open(filepath.Join(dir, name[:2], name[2:])) // a pipe would be waited for
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			l.Reader, err = objfile.NewReader(l.file)
		}
		if err == nil {
			l.kind, l.size, err = l.Header()
		}
		if err != nil {
			l.close()
			return nil, Missing(id, err)
		}
		return l, nil
	}
	return nil, Missing(id, nil)
}

func (l *loose) close() {
	if l.Reader != nil {
		_ = l.Reader.Close() // it gives back memory
	}
	_ = l.file.Close() // only read from
}

// KindAndSize returns what an object is and how many bytes long, without reading more than its head or that of one
// delta.
func (o *Reader) KindAndSize(id plumbing.Hash) (plumbing.ObjectType, int64, error) {
	p, at, err := o.packs.find(id)
	if p != nil && err == nil {
		kind, size, err := o.packs.kindAndSize(p, at)
		if err != nil {
			err = Missing(id, err)
		}
		return kind, size, err
	}
	l, err := o.loose(id)
	if err != nil {
		return 0, 0, err
	}
	defer l.close()
	return l.kind, l.size, nil
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
	return data, o.check(id, kind, data)
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
	l, err := o.loose(id)
	if err != nil {
		return 0, nil, err
	}
	defer l.close()
	if l.size > limit {
		return 0, nil, ErrTooBig
	}
	data := room(into, l.size)
	if _, err = io.ReadFull(l, data); err != nil {
		return 0, nil, Missing(id, err)
	}
	return l.kind, data, nil
}

var errOtherID = errors.New("its content has another id")

// check tells whether an object has its id.
func (o *Reader) check(id plumbing.Hash, kind plumbing.ObjectType, data []byte) error {
	begin(o.sum, kind, int64(len(data)))
	o.sum.Write(data)
	if plumbing.Hash(o.sum.Sum(nil)) != id {
		return Missing(id, errOtherID)
	}
	return nil
}

// Object is an object of any length: held when it is small (1 MB), else streamed.
type Object struct {
	ID   plumbing.Hash
	Kind plumbing.ObjectType
	Size int64  // bytes
	Data []byte // nil for a big one
	o    *Reader
}

// Blob opens the content of a file. into is used for a small one.
func (o *Reader) Blob(id plumbing.Hash, into []byte) (Object, error) {
	b, err := o.object(id, into)
	if err == nil && b.Kind != plumbing.BlobObject {
		err = Missing(id, fmt.Errorf("it is a %s, not a blob", b.Kind))
	}
	return b, err
}

func (o *Reader) object(id plumbing.Hash, into []byte) (Object, error) {
	kind, data, err := o.Raw(id, bigObject, into)
	if errors.Is(err, ErrTooBig) {
		kind, size, err := o.KindAndSize(id)
		return Object{ID: id, Kind: kind, Size: size, o: o}, err
	}
	if err == nil {
		err = o.check(id, kind, data)
	}
	return Object{id, kind, int64(len(data)), data, o}, err
}

// CopyTo writes the content and calls advanced now and then. An error of w comes back as it is.
func (b Object) CopyTo(w io.Writer, advanced func()) error {
	if b.Data != nil || b.Size == 0 {
		_, err := w.Write(b.Data) // its id was checked
		return err
	}
	o := b.o
	if o.buf == nil {
		o.buf = make([]byte, 64<<10)
	}
	begin(o.sum, b.Kind, b.Size)
	out := &tally{w: w, sum: o.sum, advanced: advanced}
	err := o.streamTo(out, b.ID)
	switch {
	case out.err != nil:
		return out.err
	case errors.As(err, new(*fs.PathError)): // the room for a delta's base
		return err
	case err != nil:
		return Missing(b.ID, err)
	case plumbing.Hash(o.sum.Sum(nil)) != b.ID:
		return Missing(b.ID, errOtherID)
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
	l, err := o.loose(id)
	if err != nil {
		return err
	}
	defer l.close()
	_, err = io.CopyBuffer(writerOnly{w}, readerOnly{l}, o.buf)
	return err
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
