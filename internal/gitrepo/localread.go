package gitrepo

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/addagent/addagent/internal/gitpack"
	"github.com/addagent/addagent/internal/gitwire"
)

// read takes commits and what is behind them straight from the objects on the disk.
func (l *localRemote) read(ctx context.Context, f gitwire.FetchRequest, into *Content) error {
	gitDir, err := l.filesDir()
	if err != nil {
		return err
	}
	objects, closing, err := openObjects(gitDir)
	if err != nil {
		return err
	}
	defer closing()
	r := localReader{ctx: ctx, objects: objects, into: into.objects, f: f}
	return r.commits()
}

type localReader struct {
	ctx     context.Context
	objects *objectReader
	into    *gitpack.Memory
	f       gitwire.FetchRequest
	buf     []byte
}

// commits goes from the wanted ones back, all lines by a commit at a time.
func (r *localReader) commits() error {
	stop := make(map[plumbing.Hash]bool)
	for _, id := range r.f.Known {
		h, _ := idOf(id)
		stop[h] = true
	}
	var level []plumbing.Hash
	for _, id := range append([]string{r.f.Want}, r.f.Also...) {
		h, _ := idOf(id)
		level = append(level, h)
	}
	for depth := 0; len(level) > 0; depth++ {
		var next []plumbing.Hash
		for _, id := range level {
			if stop[id] {
				continue
			}
			stop[id] = true // so that it is done once
			parents, err := r.commit(id, depth == 0)
			if err != nil {
				return err
			}
			next = append(next, parents...)
		}
		if r.f.Depth > 0 && depth+1 == r.f.Depth {
			return nil
		}
		level = next
	}
	return nil
}

func (r *localReader) commit(id plumbing.Hash, wanted bool) ([]plumbing.Hash, error) {
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	data, err := r.objects.Load(id, plumbing.CommitObject, gitpack.MaxTree, r.buf)
	if errors.Is(err, gitpack.ErrMissing) && !wanted {
		return nil, nil // the source is shallow itself
	}
	if err != nil {
		return nil, err
	}
	r.buf = data
	if !wanted && !r.f.Since.IsZero() {
		info, err := parseInfo(data)
		if err != nil {
			return nil, fmt.Errorf("commit %s: %w", id, err)
		}
		if info.Committer.When.Before(r.f.Since) {
			return nil, nil
		}
	}
	c, err := parseCommit(data)
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w", id, err)
	}
	if _, err := r.into.Add(id, plumbing.CommitObject, data); err != nil {
		return nil, err
	}
	if r.f.Filter == "tree:0" {
		return c.parents, nil
	}
	return c.parents, r.tree(c.tree, 0)
}

func (r *localReader) tree(id plumbing.Hash, depth int) error {
	if r.into.Has(id) {
		return nil
	}
	if depth > 2000 {
		return errors.New("folders are nested too deep")
	}
	lines, err := r.load(id, plumbing.TreeObject)
	if err != nil {
		return err
	}
	var e treeEntry
	for rest := (treeLines{lines}); ; {
		ok, err := rest.next(&e)
		if !ok || err != nil {
			return err
		}
		switch {
		case e.mode == modeSubmodule:
		case e.folder():
			err = r.tree(e.id, depth+1)
		case r.f.Filter != "blob:none":
			if !r.into.Has(e.id) {
				_, err = r.load(e.id, plumbing.BlobObject)
			}
		}
		if err != nil {
			return err
		}
	}
}

func (r *localReader) load(id plumbing.Hash, kind plumbing.ObjectType) ([]byte, error) {
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	data, err := r.objects.Load(id, kind, r.into.Left(), r.buf)
	if err != nil {
		return nil, err
	}
	r.buf = data
	return r.into.Add(id, kind, data)
}
