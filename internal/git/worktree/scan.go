package worktree

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/pack"
	"github.com/go-git/go-git/v5/plumbing"
)

type fileKind uint8

const (
	absent fileKind = iota
	regular
	symlink
	folderKind
	other // a pipe, a socket, a device
)

// fileState is what lstat says of a path.
type fileState struct {
	kind fileKind
	perm uint32 // permission bits
	size int64
	stat record
}

// permOf are the permissions that a tracked file gets, whatever the umask is.
func permOf(mode uint32) uint32 {
	if mode == objects.ModeExecutable {
		return 0o755
	}
	return 0o644
}

// indexState is what an index says, checked, and what became of its files.
type indexState struct {
	tree  plumbing.Hash // that the entries are
	count int
	// paths whose lstat is not what the index remembers, in its order: edited or only touched
	touched []string
}

// isTouched says whether a file may be another than the index says.
func (s *indexState) isTouched(path []byte) bool {
	if s == nil {
		return false
	}
	_, found := s.search(path)
	return found
}

// after is the first touched path behind a path, nil when there is none.
func (s *indexState) after(path []byte) []byte {
	i, found := s.search(path)
	if found {
		i++
	}
	if i == len(s.touched) {
		return nil
	}
	return []byte(s.touched[i])
}

func (s *indexState) search(path []byte) (int, bool) {
	return slices.BinarySearchFunc(s.touched, path, func(t string, path []byte) int { return -compareToString(path, t) })
}

func compareToString(a []byte, b string) int {
	switch {
	case string(a) < b: // does not allocate
		return -1
	case string(a) > b:
		return 1
	}
	return 0
}

// indexFile is an open index. git replaces the file and never writes into it, so what was checked stays what it is.
type indexFile struct {
	*os.File
	size, mtime int64
	stat        record
}

func openIndex(path string) (*indexFile, error) {
	f, err := files.Open(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, files.ErrIrregular) {
		return nil, fmt.Errorf("%w: %w", errIndex, err)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &indexFile{f, info.Size(), info.ModTime().UnixNano(), stateOf(info).stat}, nil
}

func (f *indexFile) read(checked bool) (*indexReader, error) {
	return readIndex(f, f.size, f.mtime, checked)
}

// EachTracked visits the files that an index tracks, as far as it can be read: their blobs and sizes.
func EachTracked(index string, visit func(id plumbing.Hash, size int64)) {
	f, err := openIndex(index)
	if err != nil {
		return
	}
	defer f.Close()
	all, err := f.read(false)
	if err != nil {
		return
	}
	for e, err := all.next(); e != nil && err == nil; e, err = all.next() {
		if e.mode != objects.ModeSubmodule {
			visit(e.id, int64(e.stat.field(recordSize)))
		}
	}
}

// scan reads the whole index, which is errIndex when it cannot be believed. With look set it compares each file with
// it, by lstat, and tells the dirty set which folders these are in. Nothing is written.
func scan(ctx context.Context, index *indexFile, dir string, look bool, n *DirtySet, progress func()) (*indexState, error) {
	r, err := index.read(true)
	if err != nil {
		return nil, err
	}
	s, err := newStatter(dir)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if look {
		n.watch(s)
	}
	state := &indexState{count: int(r.count)}
	for n := 0; ; n++ {
		e, err := r.next()
		if err != nil {
			return nil, err
		}
		if e == nil {
			break
		}
		if n&0xff == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			progress()
		}
		if !look {
			continue
		}
		if err := state.compare(e, s, r.mtime); err != nil {
			return nil, err
		}
	}
	state.tree, err = r.finish()
	return state, err
}

// checkPaths compares the files at some paths, sorted, with an index that is known to be sound and to be of a tree.
func checkPaths(ctx context.Context, index *indexFile, dir string, paths []string, tree plumbing.Hash, progress func()) (*indexState, error) {
	r, err := index.read(false)
	if err != nil {
		return nil, err
	}
	s, err := newStatter(dir)
	if err != nil {
		return nil, err
	}
	defer s.close()
	state := &indexState{count: int(r.count), tree: tree}
	var e *indexEntry
	for _, path := range paths {
		for e == nil || compareToString(e.path, path) < 0 {
			if err := r.skip([]byte(path), nil); err != nil {
				return nil, err
			}
			if e, err = r.next(); err != nil || e == nil {
				return state, err
			}
		}
		if string(e.path) != path {
			continue // nothing tracked
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		progress()
		if err := state.compare(e, s, r.mtime); err != nil {
			return nil, err
		}
	}
	return state, nil
}

// compare looks at the file of an entry of an index that was written at a time. What changed in the very moment in
// which the index was written may have changed unseen (git's racy rule).
func (s *indexState) compare(e *indexEntry, at *statter, written int64) error {
	now, err := at.lstat(e.path)
	if err != nil {
		return err
	}
	if !now.stat.same(&e.stat) || e.stat.mtime() >= written && e.mode != objects.ModeSubmodule {
		s.touched = append(s.touched, string(e.path))
	}
	return nil
}

// hasher computes the ids of blobs.
type hasher struct {
	sum      hash.Hash
	buf      []byte
	progress func()
}

func (h *hasher) begin(size int64) {
	if h.sum == nil {
		h.sum, h.buf = sha1.New(), make([]byte, 64<<10)
	}
	h.sum.Reset()
	h.sum.Write(pack.AppendLooseHeader(h.buf[:0], plumbing.BlobObject, size))
}

func (h *hasher) id() plumbing.Hash { return plumbing.Hash(h.sum.Sum(nil)) }

func (h *hasher) bytes(b []byte) plumbing.Hash {
	h.begin(int64(len(b)))
	h.sum.Write(b)
	return h.id()
}

// reader computes the id of a file of the size that lstat said. When it has another by now, no id is equal to it.
func (h *hasher) reader(r io.Reader, size int64) (plumbing.Hash, error) {
	h.begin(size)
	for left := size + 1; left > 0; h.progress() {
		n, err := io.CopyBuffer(h.sum, io.LimitReader(r, min(left, 1<<20)), h.buf)
		if left -= n; left == 1 && n == 0 {
			return h.id(), err
		}
		if n == 0 || err != nil {
			return plumbing.ZeroHash, err
		}
	}
	return plumbing.ZeroHash, nil
}
