package clone

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"

	"github.com/addagent/addagent/internal/git/address"
	"github.com/addagent/addagent/internal/git/diskspace"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/pack"
	"github.com/addagent/addagent/internal/git/protocol"
	"github.com/addagent/addagent/internal/git/refs"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/git/worktree"
	"github.com/addagent/addagent/internal/human"
	"github.com/go-git/go-git/v5/plumbing"
)

// Apply makes the clone and its tree what a tip says: it fetches what is missing, finishes a move that a crash
// interrupted, and rebuilds a clone that is broken. The caller holds the lock under which the tree may change.
// progress, which may be nil, is called as bytes, objects and files arrive, ten times a second at most.
func (r *Repo) Apply(ctx context.Context, tip remote.Tip, progress func(Progress)) (Applied, error) {
	w := newWatch(ctx, r.limits, progress)
	defer w.stop()
	s, err := r.apply(w, tip)
	if err != nil {
		return Applied{}, r.failed("apply "+human.ID(tip.ID)+" of", w.explain(err))
	}
	s.Notices = append(r.Notices(), s.Notices...)
	return s, nil
}

func (r *Repo) apply(w *watch, tip remote.Tip) (Applied, error) {
	if _, ok := objects.ParseID(tip.ID); !ok || address.CheckBranch(tip.Branch) != nil {
		return Applied{}, fmt.Errorf("%q of branch %q is no tip", tip.ID, tip.Branch)
	}
	there, err := realFolder(r.dir)
	if err != nil {
		return Applied{}, err
	}
	// Where the folder is a link, all of this happens in the one that it leads to now, whatever becomes of the link.
	if there != r.dir {
		defer func(link string) { r.dir = link }(r.dir)
		r.dir = there
	}
	if err := r.clean(); err != nil {
		return Applied{}, err
	}
	found, err := r.inspect()
	if err != nil {
		return Applied{}, err
	}
	repaired, err := r.repair(&found)
	if err != nil {
		return Applied{}, err
	}
	s, err := r.bring(w, tip, found)
	s.Notices = append(repaired, s.Notices...)
	if err != nil {
		return s, err
	}
	return s, r.accept(tip.ID)
}

// bring makes a clone what a tip says, and makes it anew where it cannot be used.
func (r *Repo) bring(w *watch, tip remote.Tip, found state) (s Applied, err error) {
	if found.exists && found.reason == "" {
		if found.reason, err = tidyPacks(r.gitDir()); err != nil {
			return s, err
		}
		if found.reason == "" && unreadablePacked(r.gitDir()) {
			found.reason = "its packed-refs cannot be read"
		}
		if found.reason == "" {
			found.reason = checkPacks(r.gitDir(), w.advance)
		}
	}
	if !found.exists || found.reason != "" {
		return r.rebuild(w, tip, found)
	}
	s, err = r.step(w, tip, found)
	if errors.Is(err, pack.ErrMissing) {
		found.reason = "it is damaged: " + err.Error()
		return r.rebuild(w, tip, found)
	}
	return s, err
}

// step moves a clone that is sound, as far as is known.
func (r *Repo) step(w *watch, tip remote.Tip, found state) (Applied, error) {
	s := Applied{Version: tip.ID, Branch: tip.Branch, Previous: found.head.ID}
	from, _ := objects.ParseID(found.head.ID) // zero when nothing was applied yet
	to, _ := objects.ParseID(tip.ID)
	verify := false
	if found.unfinished {
		if found.mark.To.IsZero() {
			verify = true // the marker is damaged: anything may have been half done
		} else {
			switch err := r.move(w, &s, found.mark.From, found.mark.To, tip.Branch, false); {
			case errors.Is(err, objects.ErrUnsafe):
				// Such a tree is refused before anything is written, so nothing of it is there.
			case err != nil:
				return s, fmt.Errorf("finish an interrupted move: %w", err)
			default:
				from = found.mark.To
			}
			if !found.mark.From.IsZero() {
				s.Previous = found.mark.From.String()
			}
		}
	} else if at, err := r.handMoved(w, &s, from, to, tip.Branch); err != nil {
		return s, err
	} else if at != from {
		from, s.Previous = at, at.String()
	}
	s.Moved = s.Previous != tip.ID
	if from == to && found.head.Branch == tip.Branch && !verify && found.unfinished {
		return s, nil
	}
	if r.refused.from == from && r.refused.to == to {
		return s, r.refused.err
	}
	done, err := keepDone(r.dir)
	if err != nil {
		return s, err
	}
	stem, err := r.provide(w, &s, from, to, found.other != "")
	if err == nil && len(done) > 0 {
		err = r.connect(w, &s, to, from)
	}
	if err == nil {
		err = r.move(w, &s, from, to, tip.Branch, verify)
	}
	if errors.Is(err, objects.ErrUnsafe) || errors.Is(err, errRewound) {
		r.refused = refusal{from, to, err}
		return s, errors.Join(err, dropPack(stem))
	}
	if err != nil {
		return s, err
	}
	if err := r.settle(&s, found, tip.Branch); err != nil {
		return s, err
	}
	return s, r.repackWhenDue(w, &s, to)
}

// settle makes the rest of .git what it should be after a move.
func (r *Repo) settle(s *Applied, found state, branch string) error {
	if err := adopt(r.gitDir()); err != nil {
		return err
	}
	if made(r.gitDir()) && (found.other != "" || found.head.Branch != branch) {
		if err := repairConfig(r.gitDir(), r.source, branch); err != nil {
			return fmt.Errorf("repair .git/config: %w", err)
		}
		if found.other != "" {
			s.Notices = append(s.Notices, found.other+": now it is "+r.source.Redacted())
		}
	}
	return exclude(r.gitDir())
}

// refusal is a commit that was refused. Its objects were thrown away: it is not fetched again to be refused again.
type refusal struct {
	from, to plumbing.Hash
	err      error
}

// provide ensures that the clone has all objects of a commit, and that going there is allowed. It returns the pack
// that came for it, "" when none did.
func (r *Repo) provide(w *watch, s *Applied, from, to plumbing.Hash, elsewhere bool) (stem string, err error) {
	store, err := objects.Open(r.gitDir())
	if err != nil {
		return "", err
	}
	defer store.Close()
	has, err := store.Has(to)
	if err != nil {
		return "", err
	}
	if !has {
		got, err := r.receive(w, r.gitDir(), r.request(w, from, to), store.Reader)
		if err != nil {
			return "", err
		}
		if err := got.Install(r.gitDir()); err != nil {
			return "", err
		}
		stem = filepath.Join(packFolder(r.gitDir()), got.Stem)
		s.Bytes += got.Bytes
		if got.Bytes > 256<<10 {
			runtime.GC() // what a larger pack took to receive serves the move again
		}
	}
	if err := diskspace.Enough(w.ctx, store, r.dir, from, to); err != nil {
		return stem, errors.Join(err, dropPack(stem))
	}
	known, err := r.last(from)
	if err != nil || known.IsZero() || known == to || elsewhere && r.source.Rewind != "refuse" {
		return stem, err // of another remote it is no rewrite
	}
	return stem, r.rewound(w, store, s, known, to)
}

// request is what to ask for to come from one commit to another.
func (r *Repo) request(w *watch, from, to plumbing.Hash) protocol.FetchRequest {
	request := protocol.FetchRequest{Want: to.String(), Depth: 1, Advance: w.advance}
	if from.IsZero() {
		return request
	}
	request.Have, request.Shallow, request.Thin = from.String(), from.String(), true
	if ends, _ := refs.Shallow(r.gitDir()); len(ends) > 0 || made(r.gitDir()) {
		// One form for all cases. Without the depth a merge of an old branch, or a branch that was moved back, brings
		// all history; without "thin" the depth brings the whole snapshot.
		return request
	}
	// A person's clone that has all history keeps it: what he made there leans on it.
	request.Shallow, request.Depth = "", 0
	if known, err := refs.Read(r.gitDir(), "refs/remotes/origin/"+r.source.Branch); err == nil {
		request.Have = known.String() // unlike a commit that only he has
	}
	return request
}

// receive fetches a pack into a temporary folder below parent.
func (r *Repo) receive(w *watch, parent string, f protocol.FetchRequest, base *pack.Reader) (*pack.Received, error) {
	m, err := r.dial()
	if err != nil {
		return nil, err
	}
	want, _ := objects.ParseID(f.Want)
	if f.Want == f.Have {
		want = plumbing.ZeroHash // it is its history that is wanted
	}
	came := diskspace.Guard(parent, func(bytes int64, objects int) {
		w.so.Bytes, w.so.Objects = bytes, objects
		w.advance()
	})
	for {
		incoming, err := m.fetch(w.ctx, f)
		if err != nil {
			return nil, fmt.Errorf("fetch: %w", err)
		}
		got, err := pack.Receive(w.ctx, incoming, pack.ReceiveOptions{Parent: parent, Want: want, Base: base, Progress: came})
		// Closing a pack that was not read to its end gives up the connection; there is nothing else to learn from it.
		_ = incoming.Close()
		if !m.elsewhere(w.ctx, err) {
			return got, err
		}
	}
}

// move moves the tree, or finishes a move that was interrupted, and records that.
func (r *Repo) move(w *watch, s *Applied, from, to plumbing.Hash, branch string, verify bool) error {
	done, err := worktree.Move(w.ctx, r.dir, from, to, worktree.Options{Verify: verify, Dirty: r.dirty, Progress: w.moved})
	if err != nil {
		return err
	}
	s.Files, s.Notices = s.Files+done.Files, append(s.Notices, done.Notices...)
	return done.Commit(func(git string) error { return recordMove(git, branch, to) })
}
