package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/addagent/addagent/internal/gitwire"
)

// Apply makes the clone and its tree what a tip says: it fetches what is missing, finishes a move that a crash
// interrupted, and rebuilds a clone that is broken. The caller holds the lock under which the tree may change.
// progress may be nil.
func (r *Repo) Apply(ctx context.Context, tip Tip, progress func()) (Sight, error) {
	w := newWatch(ctx, r.limits, progress)
	defer w.stop()
	s, err := r.apply(w, tip)
	if err != nil {
		return Sight{}, r.failed("apply "+short(tip.ID)+" of", w.explain(err))
	}
	s.Notices = append(r.Notices(), s.Notices...)
	return s, nil
}

func short(id string) string { return id[:min(7, len(id))] }

func (r *Repo) apply(w *watch, tip Tip) (Sight, error) {
	if _, ok := idOf(tip.ID); !ok || checkBranch(tip.Branch) != nil {
		return Sight{}, fmt.Errorf("%q of branch %q is no tip", tip.ID, tip.Branch)
	}
	if err := r.clean(); err != nil {
		return Sight{}, err
	}
	found, err := r.inspect()
	if err != nil {
		return Sight{}, err
	}
	told := tip
	if tip, err = r.steady(w, tip, found); err != nil {
		return Sight{}, err
	}
	if tip != told && tip == found.head && !found.unfinished {
		return Sight{Version: tip.ID, Branch: tip.Branch}, nil
	}
	if !found.exists || found.reason != "" {
		return r.rebuild(w, tip, found)
	}
	if found.reason, err = tidyPacks(r.gitDir()); err != nil {
		return Sight{}, err
	}
	if found.reason != "" {
		return r.rebuild(w, tip, found)
	}
	s, err := r.step(w, tip, found)
	if errors.Is(err, errMissingObject) {
		found.reason = "it is damaged: " + err.Error()
		return r.rebuild(w, tip, found)
	}
	return s, err
}

// step moves a clone that is sound, as far as is known.
func (r *Repo) step(w *watch, tip Tip, found clone) (Sight, error) {
	s := Sight{Version: tip.ID, Branch: tip.Branch, Previous: found.head.ID}
	from, _ := idOf(found.head.ID) // zero when nothing was applied yet
	to, _ := idOf(tip.ID)
	verify := false
	if found.unfinished {
		if found.mark.To.IsZero() {
			verify = true // the marker is damaged: anything may have been half done
		} else {
			done, err := r.finish(w, found.mark, tip.Branch)
			switch {
			case errors.Is(err, errUnsafe):
				// Such a tree is refused before anything is written, so nothing of it is there.
			case err != nil:
				return s, fmt.Errorf("finish an interrupted move: %w", err)
			default:
				s.add(done)
				from = found.mark.To
			}
			if !found.mark.From.IsZero() {
				s.Previous = found.mark.From.String()
			}
		}
	}
	s.Moved = s.Previous != tip.ID
	if from == to && found.head.Branch == tip.Branch && !verify && found.unfinished {
		return s, nil
	}
	if err := r.provide(w, &s, from, to); err != nil {
		return s, err
	}
	if err := r.move(w, &s, from, to, tip.Branch, verify); err != nil {
		return s, err
	}
	r.fold(w, &s, to)
	return s, adopt(r.gitDir())
}

func (s *Sight) add(m moved) {
	s.Files += m.Files
	s.Notices = append(s.Notices, m.Notices...)
}

// provide sees to it that the clone has all objects of a commit, and that going there is allowed.
func (r *Repo) provide(w *watch, s *Sight, from, to plumbing.Hash) error {
	objects, closing, err := openObjects(r.gitDir())
	if err != nil {
		return err
	}
	defer closing()
	has, err := objects.has(to)
	if err != nil {
		return err
	}
	if !has {
		request := gitwire.FetchRequest{Want: to.String(), Depth: 1, Advance: w.advance}
		if !from.IsZero() {
			// One form for all cases. Without the depth a merge of an old branch, or a branch that was moved back,
			// brings all history; without "thin" the depth brings the whole snapshot.
			request.Have, request.Shallow, request.Thin = from.String(), from.String(), true
		}
		got, err := r.receive(w, r.gitDir(), request, objects.source)
		if err != nil {
			return err
		}
		if err := got.install(r.gitDir()); err != nil {
			return err
		}
		s.Bytes += got.bytes
	}
	if from.IsZero() || from == to {
		return nil
	}
	fresh, done, err := openObjects(r.gitDir())
	if err != nil {
		return err
	}
	defer done()
	return r.rewound(w, fresh, s, from, to)
}

// receive fetches a pack into a temporary folder below parent.
func (r *Repo) receive(w *watch, parent string, f gitwire.FetchRequest, base func(plumbing.Hash) (blobSource, error)) (*received, error) {
	m, err := r.dial()
	if err != nil {
		return nil, err
	}
	want, _ := idOf(f.Want)
	for {
		pack, err := m.fetch(w.ctx, f)
		if err != nil {
			return nil, fmt.Errorf("fetch: %w", err)
		}
		got, err := receive(w.ctx, pack, receiving{want: want, parent: parent, base: base, step: w.advance})
		// Closing a pack that was not read to its end gives up the connection; there is nothing else to learn from it.
		_ = pack.Close()
		if !m.elsewhere(w.ctx, err) {
			return got, err
		}
	}
}

// move moves the tree and records that.
func (r *Repo) move(w *watch, s *Sight, from, to plumbing.Hash, branch string, verify bool) error {
	objects, err := openStore(r.gitDir())
	if err != nil {
		return err
	}
	defer objects.Close()
	var done moved
	if verify {
		r.notes.forget()
		done, err = verifyTree(w.ctx, objects, r.dir, to, w.advance)
	} else {
		done, err = move(w.ctx, objects, r.dir, from, to, false, r.notes, w.advance)
	}
	if err != nil {
		return err
	}
	s.add(done)
	if err := commitMove(r.dir, branch, to); err != nil {
		return err
	}
	r.notes.settle(filepath.Join(r.gitDir(), "index"), done.tree)
	return nil
}

// finish ends a move that was interrupted.
func (r *Repo) finish(w *watch, m unfinished, branch string) (moved, error) {
	objects, err := openStore(r.gitDir())
	if err != nil {
		return moved{}, err
	}
	defer objects.Close()
	done, err := moveTree(w.ctx, objects, r.dir, m.From, m.To, w.advance)
	if err != nil {
		return done, err
	}
	return done, commitMove(r.dir, branch, m.To)
}

// clean removes what a killed process left behind: packs that never came whole, clones that were never swapped in.
func (r *Repo) clean() error {
	if err := r.restore(); err != nil {
		return err
	}
	return errors.Join(
		removeAll(r.gitDir(), receivePrefix),
		removeAll(r.dir, rebuildPrefix),
		removeAll(r.dir, replacedPrefix),
	)
}

// tidyPacks finds a pack that is gone while its index is still there, and returns why the clone is damaged then. A pack
// without an index is what a killed process leaves, between the two steps of putting one there or taking it away.
func tidyPacks(gitDir string) (damage string, err error) {
	dir := filepath.Join(gitDir, "objects", "pack")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "it has no folder of packs", nil
	}
	there := make(map[string]bool, len(entries))
	for _, e := range entries {
		there[e.Name()] = true
	}
	ours := made(gitDir)
	for name := range there {
		if stem, ok := strings.CutSuffix(name, ".idx"); ok && !there[stem+".pack"] {
			return "its " + stem + ".pack is gone", nil
		}
		if stem, ok := strings.CutSuffix(name, ".pack"); ok && !there[stem+".idx"] && ours {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return "", fmt.Errorf("remove what was left behind: %w", err)
			}
		}
	}
	return "", nil
}

func removeAll(dir, prefix string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // nothing there, nothing to remove
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("remove what was left behind: %w", err)
			}
		}
	}
	return nil
}
