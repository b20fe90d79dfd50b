package gitrepo

import (
	"fmt"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// store is go-git's object store over one git directory: loose objects, packs, alternates. It is opened for one cycle
// and closed after it: between two beats nothing of a repository is held, neither descriptors nor memory.
// Opening reads nothing; the indexes of all packs are loaded at the first object that is not loose.
type store struct {
	storer.EncodedObjectStorer
	fs *filesystem.Storage
}

// openStore opens the objects below a git directory.
func openStore(gitDir string) (*store, error) {
	s := filesystem.NewStorageWithOptions(
		osfs.New(gitDir, osfs.WithBoundOS()),
		cache.NewObjectLRU(8*cache.MiByte),
		filesystem.Options{
			LargeObjectThreshold: 1 << 20, // without it a 50 MB blob is held in memory several times
			KeepDescriptors:      true,    // without it each object opens its pack again
			AlternatesFS:         osfs.New("/", osfs.WithBoundOS()),
		})
	return &store{EncodedObjectStorer: s, fs: s}, nil
}

// Close releases the descriptors of the packs.
func (s *store) Close() error {
	if err := s.fs.Close(); err != nil {
		return fmt.Errorf("close objects: %w", err)
	}
	return nil
}

// fallback is a store that asks a second one for what the first has not: a preview's own objects before the clone's.
type fallback struct {
	storer.EncodedObjectStorer
	second storer.EncodedObjectStorer
}

// EncodedObject implements storer.EncodedObjectStorer.
func (f fallback) EncodedObject(t plumbing.ObjectType, id plumbing.Hash) (plumbing.EncodedObject, error) {
	if o, err := f.EncodedObjectStorer.EncodedObject(t, id); err == nil {
		return o, nil
	}
	return f.second.EncodedObject(t, id)
}

// HasEncodedObject implements storer.EncodedObjectStorer.
func (f fallback) HasEncodedObject(id plumbing.Hash) error {
	if err := f.EncodedObjectStorer.HasEncodedObject(id); err == nil {
		return nil
	}
	return f.second.HasEncodedObject(id)
}
