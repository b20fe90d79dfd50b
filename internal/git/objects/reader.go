package objects

import (
	"bytes"
	"encoding/hex"
	"path/filepath"

	"github.com/addagent/addagent/internal/git/pack"
	"github.com/go-git/go-git/v5/plumbing"
)

// Reader reads the objects of a git directory. It is opened for one cycle and closed after it: between two beats
// nothing of a repository is held, neither descriptors nor memory. It is for one goroutine at a time.
type Reader struct {
	*pack.Reader
	// A move reads the trees that differ twice: to look at them, and to act.
	seen     map[plumbing.Hash][]byte
	seenSize int
}

// seenRoom bounds the bytes of trees kept.
const seenRoom = 2 << 20

// Open opens a git directory for reading. What it lacks is read from the others.
func Open(gitDir string, others ...string) (*Reader, error) {
	o, err := pack.Open(gitDir, filepath.Join(gitDir, TempFolder), others...)
	if err != nil {
		return nil, err
	}
	return &Reader{Reader: o}, nil
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
