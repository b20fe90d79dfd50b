package gitrepo

import (
	"bytes"
	"encoding/hex"
	"errors"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/addagent/addagent/internal/gitpack"
)

// objectReader reads the objects of a git directory. It is for one goroutine at a time.
type objectReader struct {
	*gitpack.Reader
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
func readObjects(store gitpack.Store, gitDir string) (*objectReader, error) {
	r, err := gitpack.Open(gitDir, store, filepath.Join(gitDir, tempFolder))
	if err != nil {
		return nil, err
	}
	return &objectReader{Reader: r}, nil
}

// openObjects opens a git directory for reading.
func openObjects(gitDir string) (*objectReader, func(), error) {
	s, err := openStore(gitDir)
	if err != nil {
		return nil, nil, err
	}
	o, err := readObjects(s, gitDir)
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	return o, func() {
		o.Close()
		_ = s.Close() // only read from
	}, nil
}

// treeOf returns the root tree of a commit.
func (o *objectReader) treeOf(id plumbing.Hash) (plumbing.Hash, error) {
	c, err := loadCommit(o, id)
	return c.tree, err
}

// idOf parses an object name of 40 hex digits.
func idOf(s string) (plumbing.Hash, bool) {
	var id plumbing.Hash
	if len(s) != hex.EncodedLen(len(id)) {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(s))
	return id, err == nil
}
