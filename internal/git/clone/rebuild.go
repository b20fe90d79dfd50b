package clone

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/diskspace"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/pack"
	"github.com/addagent/addagent/internal/git/protocol"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/git/worktree"
	"github.com/go-git/go-git/v5/plumbing"
)

// rebuildPrefix begins the name of a clone that is being made beside .git, and for a moment that of the one that it
// replaced.
const rebuildPrefix = ".git.rebuild-"

// rebuild makes the clone anew beside the old one, which stays as it is until the new one is whole, and swaps it in.
// The tree stays too: the old index is kept, so what was tracked is known, and only what differs is written.
// The first clone is the same, with nothing there before.
func (r *Repo) rebuild(w *watch, tip remote.Tip, found state) (Applied, error) {
	s := Applied{Version: tip.ID, Branch: tip.Branch, Previous: found.head.ID, Rebuilt: found.reason, Moved: found.head.ID != tip.ID}
	to, _ := objects.ParseID(tip.ID)
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return s, err
	}
	if r.source.Rewind == "refuse" {
		known, err := r.last(plumbing.NewHash(found.head.ID))
		if err == nil && !known.IsZero() && known != to {
			err = r.rewound(w, nil, &s, known, to)
		}
		if err != nil {
			return s, err
		}
	}
	beside, err := r.build(w, &s, tip)
	if err != nil {
		return s, err
	}
	if err := r.replace(w, beside, to, found.exists); err != nil {
		return s, errors.Join(err, os.RemoveAll(beside))
	}
	r.config = configCheck{}
	if err := r.connect(w, &s, to, slices.Collect(maps.Values(succeeded(r.dir)))...); err != nil {
		return s, err
	}
	if _, err := keepDone(r.dir); err != nil {
		return s, err
	}
	if err := r.move(w, &s, plumbing.ZeroHash, to, tip.Branch, found.unfinished); err != nil {
		if errors.Is(err, pack.ErrMissing) {
			err = fmt.Errorf("the remote sent an incomplete pack: %w", err)
		}
		return s, err
	}
	return s, nil
}

// replace puts a new clone in place: the first one when its tree fits onto the disk, another when it is whole.
func (r *Repo) replace(w *watch, beside string, to plumbing.Hash, exists bool) error {
	store, err := objects.Open(beside)
	if err != nil {
		return err
	}
	defer store.Close()
	if !exists {
		err = diskspace.Enough(w.ctx, store, r.dir, plumbing.ZeroHash, to)
	} else if err = whole(store, to); err != nil {
		err = fmt.Errorf("the remote sent an incomplete pack: %w", err)
	} else {
		err = keepIndex(r.gitDir(), beside)
	}
	if err != nil {
		return err
	}
	if err := r.swap(beside, exists); err != nil {
		return fmt.Errorf("put the new clone in place: %w", err)
	}
	return nil
}

// build makes a shallow clone without a tree in a new folder beside .git.
func (r *Repo) build(w *watch, s *Applied, tip remote.Tip) (dir string, err error) {
	dir, err = os.MkdirTemp(r.dir, rebuildPrefix)
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if err := os.Chmod(dir, 0o755); err != nil {
		return dir, err
	}
	if err := os.WriteFile(filepath.Join(dir, freshMark), nil, 0o644); err != nil {
		return dir, err
	}
	if err := layout(dir, r.source, tip.Branch); err != nil {
		return dir, err
	}
	got, err := r.receive(w, dir, protocol.FetchRequest{Want: tip.ID, Depth: 1, Advance: w.advance}, nil)
	if err != nil {
		return dir, err
	}
	s.Bytes += got.Bytes
	return dir, got.Install(dir)
}

// layout writes what makes a folder a git directory.
func layout(dir string, s remote.Source, branch string) error {
	for _, sub := range []string{"objects/pack", "objects/info", "refs/heads", "refs/tags", "info"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	if err := writeConfig(dir, s, branch); err != nil {
		return err
	}
	for name, data := range map[string]string{"HEAD": "ref: refs/heads/" + branch + "\n",
		"info/exclude": "/" + worktree.OwnFolder + "/\n"} {
		if err := objects.WriteFile(dir, name, []byte(data)); err != nil {
			return err
		}
	}
	return nil
}

// whole checks that every object of a commit's tree is there.
func whole(store *objects.Reader, at plumbing.Hash) error {
	tree, err := store.TreeOf(at)
	if err != nil {
		return err
	}
	d := objects.Differ{Objects: store, Visit: func(c objects.Change) error {
		if c.Is.Mode == objects.ModeSubmodule {
			return nil
		}
		return store.Present(c.Is.ID)
	}}
	return d.Walk(plumbing.ZeroHash, tree)
}

// keepIndex carries the record of what is tracked over to the new clone.
func keepIndex(from, to string) error {
	info, err := os.Lstat(filepath.Join(from, "index"))
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	data, err := os.ReadFile(filepath.Join(from, "index"))
	if err != nil {
		return nil // an unreadable index is as good as none
	}
	// The time of the index decides which files have to be compared: it must not become younger.
	target := filepath.Join(to, "index")
	if err := os.WriteFile(target, data, 0o644); err != nil {
		return err
	}
	return os.Chtimes(target, info.ModTime(), info.ModTime())
}

// swap puts a git directory in place of .git, in one step where the filesystem can do that.
func (r *Repo) swap(beside string, exists bool) error {
	if !exists {
		if err := os.Rename(beside, r.gitDir()); err != nil {
			return err
		}
		return errors.Join(os.Remove(filepath.Join(r.gitDir(), freshMark)), files.SyncFolder(r.dir))
	}
	old := beside
	if err := worktree.Exchange(beside, r.gitDir()); err != nil {
		old += "-was"
		if err := worktree.MoveFolder(r.dir, ".git", filepath.Base(old)); err != nil {
			return err
		}
		if err := os.Rename(beside, r.gitDir()); err != nil {
			return errors.Join(err, os.Rename(old, r.gitDir()))
		}
	}
	if err := files.SyncFolder(r.dir); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(r.gitDir(), freshMark)); err != nil {
		return err
	}
	return r.discard(old)
}
