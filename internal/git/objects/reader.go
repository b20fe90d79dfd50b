package objects

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/addagent/addagent/internal/git/pack"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// Reader reads the objects of a git directory. It is opened for one cycle and closed after it: between two beats
// nothing of a repository is held, neither descriptors nor memory. It is for one goroutine at a time.
type Reader struct {
	*pack.Reader
	stores stores
	// A move reads the trees that differ twice: to look at them, and to act.
	seen     map[plumbing.Hash][]byte
	seenSize int
}

// seenRoom bounds the bytes of trees kept.
const seenRoom = 2 << 20

// Open opens a git directory for reading. What it lacks is read from the others.
func Open(gitDir string, others ...string) (*Reader, error) {
	o := &Reader{stores: stores{openStore(gitDir)}}
	for _, other := range others {
		o.stores = append(o.stores, openStore(other))
	}
	var err error
	if o.Reader, err = pack.Open(gitDir, o.stores, filepath.Join(gitDir, TempFolder)); err != nil {
		return nil, errors.Join(err, o.stores.close())
	}
	return o, nil
}

// Close releases the descriptors of the packs.
func (o *Reader) Close() error {
	o.Reader.Close()
	return o.stores.close()
}

// remember keeps a tree for the second time that it is asked for.
func (o *Reader) remember(id plumbing.Hash, tree []byte) {
	if o.seenSize += len(tree) + 64; o.seenSize <= seenRoom {
		if o.seen == nil {
			o.seen = make(map[plumbing.Hash][]byte)
		}
		o.seen[id] = bytes.Clone(tree)
	}
}

// stores are go-git's object stores over git directories: loose objects, packs, alternates. What the first one lacks
// is asked of the next: a preview's own objects come before those of the clone.
type stores []*filesystem.Storage

// openStore reads nothing: the indexes of all packs are loaded at the first object that is not loose.
func openStore(gitDir string) *filesystem.Storage {
	return filesystem.NewStorageWithOptions(
		osfs.New(gitDir, osfs.WithBoundOS()),
		cache.NewObjectLRU(8*cache.MiByte),
		filesystem.Options{
			LargeObjectThreshold: 1 << 20, // without it a 50 MB blob is held in memory several times
			KeepDescriptors:      true,    // without it each object opens its pack again
			AlternatesFS:         osfs.New("/", osfs.WithBoundOS()),
		})
}

// EncodedObject implements pack.Store.
func (s stores) EncodedObject(kind plumbing.ObjectType, id plumbing.Hash) (o plumbing.EncodedObject, err error) {
	for _, store := range s {
		if o, err = store.EncodedObject(kind, id); err == nil {
			break
		}
	}
	return o, err
}

func (s stores) close() error {
	var errs []error
	for _, store := range s {
		errs = append(errs, store.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close objects: %w", err)
	}
	return nil
}

// TreeOf returns the root tree of a commit.
func (o *Reader) TreeOf(id plumbing.Hash) (plumbing.Hash, error) {
	c, err := o.Commit(id)
	return c.Tree, err
}

// ParseID parses an object name of 40 hex digits.
func ParseID(s string) (plumbing.Hash, bool) {
	var id plumbing.Hash
	if len(s) != hex.EncodedLen(len(id)) {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(s))
	return id, err == nil
}
