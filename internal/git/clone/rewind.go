package clone

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/protocol"
	"github.com/addagent/addagent/internal/git/refs"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/human"
	"github.com/go-git/go-git/v5/plumbing"
)

// judged remembers the last step that was looked into: the same tip is not asked about at each beat.
type judged struct {
	from, to plumbing.Hash
	back     string // why it does not go forward; "" = it does
}

// rewound finds out whether a branch went forward. When it was rewritten or moved back that is a notice, or an error
// when the source says refuse.
func (r *Repo) rewound(w *watch, store *objects.Reader, s *Applied, from, to plumbing.Hash) error {
	if r.source.Rewind == remote.RewindUnasked {
		return nil
	}
	if r.judged.from != from || r.judged.to != to {
		back, err := r.judge(w, store, from, to)
		if err != nil {
			return err
		}
		r.judged = judged{from, to, back}
	}
	switch {
	case r.judged.back == "":
	case r.source.Rewind == "refuse":
		return fmt.Errorf("%w: %s (rewind: refuse): set rewind to follow for one beat, or move the branch forward", errRewound, r.judged.back)
	default:
		s.Notices = append(s.Notices, r.judged.back)
	}
	return nil
}

// errRewound says that a branch was rewritten or moved back and the source says refuse.
var errRewound = errors.New("refused")

// Remember names the file that holds the last commit that was accepted: where rewinds are refused, this must hold when
// the clone is gone, and with another URL.
func (r *Repo) Remember(path string) {
	r.accepted = files.Remembered[string]{Path: path, Durable: true, Parse: func(data []byte) (string, error) {
		id := strings.TrimSpace(string(data))
		if _, ok := objects.ParseID(id); !ok {
			return "", errors.New("not the id of a commit")
		}
		return id, nil
	}}
}

// last is the commit that a rewind is measured from: where rewinds are refused, the last one that was accepted.
func (r *Repo) last(from plumbing.Hash) (plumbing.Hash, error) {
	if r.source.Rewind != "refuse" || r.accepted.Path == "" {
		return from, nil
	}
	id, known, err := r.accepted.Recall()
	if corrupt := (*files.Corrupt)(nil); errors.As(err, &corrupt) || err == nil && !known {
		return from, nil
	}
	return plumbing.NewHash(id), err
}

// accept remembers a commit, where one was remembered before or rewinds are refused.
func (r *Repo) accept(id string) error {
	if r.accepted.Path == "" {
		return nil
	}
	was, known, _ := r.accepted.Peek() // what cannot be read is written anew
	if was == id || !known && r.source.Rewind != "refuse" {
		return nil
	}
	return r.accepted.Put([]byte(id + "\n"))
}

// judge says why a step does not go forward, "" when it does.
func (r *Repo) judge(w *watch, store *objects.Reader, from, to plumbing.Hash) (back string, err error) {
	if store == nil { // there is no clone
		return r.descent(w, from, to, r.source.Rewind == "refuse")
	}
	now, err := store.Commit(to)
	if err != nil || slices.Contains(now.Parents, from) {
		return "", err
	}
	before, err := store.Commit(from)
	switch {
	case err == nil && slices.Contains(before.Parents, to):
		return fmt.Sprintf("the branch was moved back from %s to its parent %s", human.ID(from.String()), human.ID(to.String())), nil
	case err == nil && slices.ContainsFunc(before.Parents, func(p plumbing.Hash) bool { return slices.Contains(now.Parents, p) }):
		return fmt.Sprintf("history was rewritten: %s took the place of %s", human.ID(to.String()), human.ID(from.String())), nil
	}
	return r.history(w, store, from, to, r.source.Rewind == "refuse")
}

// history says in a sentence that a commit does not descend from another; nothing when it does. A clone that has all
// history knows it, else the remote is asked.
func (r *Repo) history(w *watch, store *objects.Reader, from, to plumbing.Hash, prove bool) (string, error) {
	if ends, _ := refs.Shallow(r.gitDir()); len(ends) > 0 || made(r.gitDir()) {
		return r.descent(w, from, to, prove)
	}
	reached, err := reaches(w.ctx, store, to, from, math.MaxInt)
	if reached || err != nil {
		return "", err
	}
	return fmt.Sprintf("history was rewritten or moved back: %s is not in the history of %s", human.ID(from.String()), human.ID(to.String())), nil
}

// reaches says whether a commit is among the nearest that another leads to, so many of them.
func reaches(ctx context.Context, store *objects.Reader, from, to plumbing.Hash, most int) (found bool, err error) {
	err = store.Ancestors([]plumbing.Hash{from}, func(id plumbing.Hash, _, _ []plumbing.Hash) bool {
		found = found || id == to
		most--
		return !found && most > 0 && ctx.Err() == nil
	})
	return found, cmp.Or(err, ctx.Err())
}

// How far back a look for the old commit goes: in steps of four times as far, to nearDepth when only a notice hangs
// on it, to the root of history when something is to be refused.
const (
	firstDepth = 4
	nearDepth  = 256
)

// descent asks the remote whether one commit is an ancestor of another, and returns a sentence when it is not.
//
// The question is a fetch for which little needs to be sent: we have the new commit, but we ask for its history to
// some depth. If the old commit, our shallow border, is within that, the server tells us that it is no longer a
// border. It then also sends what lies behind it down to that depth: with such steps about as much as what was pushed
// since, or a few times that.
//
// With prove set the answer must be a proof, however far that is; else a failure to find out says nothing.
func (r *Repo) descent(w *watch, from, to plumbing.Hash, prove bool) (string, error) {
	m, err := r.dial()
	if err != nil {
		return "", err
	}
	whole := false
	for depth := firstDepth; prove && depth < 1<<30 || depth <= nearDepth; depth *= 4 {
		pack, err := m.fetch(w.ctx, protocol.FetchRequest{Want: to.String(), Have: to.String(), Shallow: from.String(),
			Depth: depth, Thin: true, Advance: w.advance})
		if err != nil && prove {
			return "", fmt.Errorf("ask for history: %w", err)
		}
		if err != nil {
			return "", nil // nothing is refused, so without proof there is nothing to say
		}
		// Read to its end the connection can be used again; but only a little is read for that.
		_, _ = io.CopyN(io.Discard, pack, 64<<10)
		_ = pack.Close()
		if slices.Contains(pack.Unshallow, from.String()) {
			return "", nil
		}
		// No border at all means that this was all history; or that the old commit is itself the border at just this
		// depth, of which the server says nothing. It cannot be so at two depths.
		if whole && len(pack.Shallow) == 0 {
			return fmt.Sprintf("history was rewritten or moved back: %s is not in the history of %s", human.ID(from.String()), human.ID(to.String())), nil
		}
		whole = len(pack.Shallow) == 0
	}
	return fmt.Sprintf("history was rewritten or moved back, or went far ahead: %s is not among the %s before %s", human.ID(from.String()), human.Count(nearDepth, "commit"), human.ID(to.String())), nil
}
