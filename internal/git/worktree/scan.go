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

// finding is a tracked path whose lstat is not what the index remembers.
type finding struct {
	path   string
	edited bool   // else only touched: the content is the tracked one
	stat   record // what it is now, when it was only touched
}

// indexState is what an index says, checked, and what became of its files.
type indexState struct {
	tree     plumbing.Hash // that the entries are
	count    int
	findings []finding // in the order of the index
}

func (s *indexState) find(path []byte) *finding {
	if s == nil {
		return nil
	}
	i, ok := s.search(path)
	if !ok {
		return nil
	}
	return &s.findings[i]
}

func (s *indexState) search(path []byte) (int, bool) {
	return slices.BinarySearchFunc(s.findings, path, func(f finding, path []byte) int { return -compareToString(path, f.path) })
}

// after is the first finding behind a path, nil when there is none.
func (s *indexState) after(path []byte) *finding {
	i, found := s.search(path)
	if found {
		i++
	}
	if i == len(s.findings) {
		return nil
	}
	return &s.findings[i]
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
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", errIndex, err)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: not a file", errIndex)
	}
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

// scan reads the whole index and compares each file with it: by lstat, and by content only where lstat says that it
// may have changed. Nothing is written. An index that cannot be believed is errIndex. With look false, files are not
// looked at; else the notes are told which folders are looked into.
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
	h := hasher{progress: progress}
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
		if err := state.compare(e, s, &h, r.mtime); err != nil {
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
	h := hasher{progress: progress}
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
		if err := state.compare(e, s, &h, r.mtime); err != nil {
			return nil, err
		}
	}
	return state, nil
}

// compare looks at the file of an entry of an index that was written at a time.
func (s *indexState) compare(e *indexEntry, at *statter, h *hasher, written int64) error {
	now, err := at.lstat(e.path)
	if err != nil {
		return err
	}
	if now.stat.same(&e.stat) && (e.stat.mtime() < written || e.mode == objects.ModeSubmodule) {
		return nil
	}
	edited, err := isEdited(e, now, at, h)
	if err != nil {
		return err
	}
	s.findings = append(s.findings, finding{string(e.path), edited, now.stat})
	return nil
}

// isEdited decides about a file whose lstat is not the one remembered, or that may have changed in the very moment in
// which the index was written (git's racy rule).
func isEdited(e *indexEntry, now fileState, s *statter, h *hasher) (bool, error) {
	switch e.mode {
	case objects.ModeSubmodule:
		return now.kind != folderKind, nil
	case objects.ModeSymlink:
		if now.kind != symlink {
			return true, nil
		}
		target, err := s.target()
		if err != nil {
			return false, fmt.Errorf("read link %s: %w", objects.QuotePath(e.path), err)
		}
		return h.bytes(target) != e.id, nil
	}
	if now.kind != regular || now.perm != permOf(e.mode) {
		return true, nil
	}
	// git marks a file that it is not sure of with size 0
	if size := e.stat.field(recordSize); size != uint32(now.size) && size != 0 {
		return true, nil
	}
	f, err := s.open()
	if err != nil {
		return true, nil // gone or not ours to read: written anew
	}
	id, err := h.reader(f, now.size)
	_ = f.Close() // only read from
	if err != nil {
		return false, fmt.Errorf("read %s: %w", objects.QuotePath(e.path), err)
	}
	return id != e.id, nil
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
	for left := size; ; {
		n, err := r.Read(h.buf)
		h.sum.Write(h.buf[:n])
		if left -= int64(n); left < 0 {
			return plumbing.ZeroHash, nil
		}
		if errors.Is(err, io.EOF) {
			if left != 0 {
				return plumbing.ZeroHash, nil
			}
			return h.id(), nil
		}
		if err != nil {
			return plumbing.ZeroHash, err
		}
		h.progress()
	}
}
