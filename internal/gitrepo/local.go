package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/addagent/addagent/internal/gitpack"
	"github.com/addagent/addagent/internal/gitwire"
)

// localRemote is a repository on a disk of this machine. It is read as it lies there, without a git program: what is
// wanted comes as a pack stream, as from any other remote.
type localRemote struct{ path string }

func (l *localRemote) close() {}

// gitDir finds the git directory: of a bare repository, or of a work tree.
func (l *localRemote) gitDir() (string, error) {
	for _, dir := range []string{l.path, filepath.Join(l.path, ".git")} {
		if info, err := os.Stat(filepath.Join(dir, "objects")); err == nil && info.IsDir() {
			if _, err := os.Stat(filepath.Join(dir, "HEAD")); err == nil {
				return dir, nil
			}
		}
	}
	if _, err := os.Stat(l.path); err != nil {
		return "", err
	}
	return "", fmt.Errorf("%s is no git repository", l.path)
}

func (l *localRemote) tip(_ context.Context, branch string) (Tip, error) {
	gitDir, err := l.gitDir()
	if err != nil {
		return Tip{}, err
	}
	name := "refs/heads/" + branch
	if branch == "" {
		if name, err = readHead(gitDir); err != nil {
			return Tip{}, err
		}
		if !strings.HasPrefix(name, "refs/heads/") {
			return Tip{}, errors.New("the remote's HEAD is on no branch: set branch")
		}
	}
	short := strings.TrimPrefix(name, "refs/heads/")
	if short == ".invalid" {
		return Tip{}, fmt.Errorf("%s keeps its refs in a reftable, which cannot be read as files: use ssh or https", l.path)
	}
	if err := checkBranch(short); err != nil {
		return Tip{}, err
	}
	id, err := readRef(gitDir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return Tip{}, noBranch(branch, localHeads(gitDir))
	}
	if err != nil {
		return Tip{}, err
	}
	return Tip{Branch: short, ID: id.String()}, nil
}

// localHeads returns the first few branches, for an error.
func localHeads(gitDir string) []string {
	var heads []string
	top := filepath.Join(gitDir, "refs", "heads")
	_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if rel, err := filepath.Rel(top, path); err == nil {
				heads = append(heads, filepath.ToSlash(rel))
			}
		}
		if len(heads) > 10 {
			return fs.SkipAll
		}
		return nil
	})
	packed, _ := os.ReadFile(filepath.Join(gitDir, "packed-refs"))
	for line := range strings.Lines(string(packed)) {
		if _, ref, ok := strings.Cut(strings.TrimSpace(line), " refs/heads/"); ok && len(heads) < 10 {
			heads = append(heads, ref)
		}
	}
	return heads
}

// fetch makes a pack of the wanted commit and what its tree has more than that of the commit we have.
// With more depth than one commit it is only asked what became of the shallow border.
func (l *localRemote) fetch(ctx context.Context, f gitwire.FetchRequest) (*gitwire.Pack, error) {
	gitDir, err := l.gitDir()
	if err != nil {
		return nil, err
	}
	objects, closing, err := openObjects(gitDir)
	if err != nil {
		return nil, err
	}
	if f.Depth > 1 {
		defer closing()
		nothing, err := gitpack.Encode(nil)
		if err != nil {
			return nil, err
		}
		p := gitwire.NewPack(io.NopCloser(bytes.NewReader(nothing)))
		reached, whole, err := reaches(ctx, objects, f.Want, f.Shallow, f.Depth)
		if reached {
			p.Unshallow = []string{f.Shallow}
		}
		if !whole {
			p.Shallow = []string{f.Want}
		}
		return p, err
	}
	list := listObjects
	if f.Depth == 0 {
		list = listHistory
	}
	wanted, err := list(objects, f.Want, f.Have)
	if err != nil {
		closing()
		return nil, fmt.Errorf("%s: %w", l.path, err)
	}
	r, w := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = w.CloseWithError(objects.WritePack(ctx, w, wanted))
	}()
	p := gitwire.NewPack(r)
	p.OnClose(func() error {
		_ = r.Close()
		<-ended
		closing()
		return nil
	})
	return p, nil
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

// reaches walks history from a commit and says whether another is in it. whole is false when the walk was cut at depth.
func reaches(ctx context.Context, objects *objectReader, from, to string, depth int) (reached, whole bool, err error) {
	seen := make(map[plumbing.Hash]bool)
	start, ok := idOf(from)
	if !ok {
		return false, false, fmt.Errorf("%q is no commit", from)
	}
	level := []plumbing.Hash{start}
	for range depth {
		var next []plumbing.Hash
		for _, id := range level {
			if id.String() == to {
				return true, true, nil
			}
			if seen[id] {
				continue
			}
			seen[id] = true
			c, err := loadCommit(objects, id)
			if errors.Is(err, gitpack.ErrMissing) {
				continue // the source is shallow itself
			}
			if err != nil {
				return false, false, err
			}
			next = append(next, c.parents...)
		}
		if len(next) == 0 {
			return false, true, nil
		}
		if err := ctx.Err(); err != nil {
			return false, false, err
		}
		level = next
	}
	return false, false, nil
}

// listObjects finds what a pack must hold: the commit, and the trees and blobs that are not at the same place in the
// tree of the commit we have (when the source knows that).
func listObjects(objects *objectReader, want, have string) ([]gitpack.Listed, error) {
	id, ok := idOf(want)
	if !ok {
		return nil, fmt.Errorf("%q is no commit", want)
	}
	tree, err := objects.treeOf(id)
	if err != nil {
		return nil, err
	}
	l := lister{trees: trees{objects: objects}, seen: make(map[plumbing.Hash]struct{})}
	var old plumbing.Hash
	if known, ok := idOf(have); ok {
		if old, err = objects.treeOf(known); err != nil && !errors.Is(err, gitpack.ErrMissing) {
			return nil, err
		}
	}
	l.list = append(l.list, gitpack.Listed{ID: id, Kind: plumbing.CommitObject})
	err = l.into(tree, old, 0)
	return l.list, err
}

type lister struct {
	trees
	seen map[plumbing.Hash]struct{}
	list []gitpack.Listed
}

func (l *lister) add(id plumbing.Hash, kind plumbing.ObjectType) bool {
	if _, ok := l.seen[id]; ok {
		return false
	}
	l.seen[id] = struct{}{}
	l.list = append(l.list, gitpack.Listed{ID: id, Kind: kind})
	return true
}

func (l *lister) into(is, was plumbing.Hash, depth int) error {
	if is == was || !l.add(is, plumbing.TreeObject) {
		return nil
	}
	if depth > 2000 {
		return errors.New("folders are nested too deep")
	}
	now, err := l.lines(1, depth, is)
	if err != nil {
		return err
	}
	before, err := l.lines(0, depth, was)
	if err != nil {
		return err
	}
	var e, old treeEntry
	more, err := before.next(&old)
	if err != nil {
		return err
	}
	for {
		ok, err := now.next(&e)
		if !ok || err != nil {
			return err
		}
		for more && compareNames(&old, &e) < 0 {
			if more, err = before.next(&old); err != nil {
				return err
			}
		}
		var same plumbing.Hash
		if more && compareNames(&old, &e) == 0 {
			same = old.id
		}
		switch {
		case e.mode == modeSubmodule:
		case e.folder():
			err = l.into(e.id, same, depth+1)
		case e.id != same:
			l.add(e.id, plumbing.BlobObject)
		}
		if err != nil {
			return err
		}
	}
}
