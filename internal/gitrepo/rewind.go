package gitrepo

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/addagent/addagent/internal/gitwire"
)

// judged remembers the last step that was found to be allowed or not, so that a refused tip is not asked about at each
// beat.
type judged struct {
	from, to plumbing.Hash
	err      error
	notice   string
}

// rewound finds out whether a branch went forward. When it was rewritten or moved back that is a notice, or an error
// when the source says refuse.
func (r *Repo) rewound(w *watch, objects *objectReader, s *Sight, from, to plumbing.Hash) error {
	if r.judged.from != from || r.judged.to != to {
		j, err := r.judge(w, objects, from, to)
		if err != nil {
			return err
		}
		r.judged = j
	}
	if r.judged.notice != "" {
		s.Notices = append(s.Notices, r.judged.notice)
	}
	return r.judged.err
}

// errRewound says that a branch was rewritten or moved back and the source says refuse.
var errRewound = errors.New("refused")

func (r *Repo) judge(w *watch, objects *objectReader, from, to plumbing.Hash) (judged, error) {
	j := judged{from: from, to: to}
	now, err := loadCommit(objects, to)
	if err != nil {
		return j, err
	}
	if slices.Contains(now.parents, from) {
		return j, nil
	}
	what := ""
	before, err := loadCommit(objects, from)
	switch {
	case err == nil && slices.Contains(before.parents, to):
		what = fmt.Sprintf("the branch was moved back from %s to its parent %s", short(from.String()), short(to.String()))
	case err == nil && shareParent(before, now):
		what = fmt.Sprintf("history was rewritten: %s took the place of %s", short(to.String()), short(from.String()))
	default:
		if what, err = r.descent(w, from, to); err != nil {
			return j, err
		}
	}
	if what == "" {
		return j, nil
	}
	if r.source.Rewind == "refuse" {
		j.err = fmt.Errorf("%w: %s (rewind: refuse): set rewind to follow for one beat, or move the branch forward", errRewound, what)
		return j, nil
	}
	j.notice = what
	return j, nil
}

func shareParent(a, b commit) bool {
	return slices.ContainsFunc(a.parents, func(p plumbing.Hash) bool { return slices.Contains(b.parents, p) })
}

// nearDepth is how far back a look for the old commit goes when only a notice hangs on it.
const nearDepth = 1000

// descent asks the remote whether one commit is an ancestor of another, and returns a sentence when it is not.
//
// The question is a fetch for which nothing needs to be sent: we have the new commit, so the pack is empty, but we ask
// for its history to some depth. If the old commit, our shallow border, is within that, the server tells us that it is a
// border no more.
func (r *Repo) descent(w *watch, from, to plumbing.Hash) (string, error) {
	m, err := r.dial()
	if err != nil {
		return "", err
	}
	ask := func(depth int) (found, whole bool, err error) {
		pack, err := m.fetch(w.ctx, gitwire.FetchRequest{Want: to.String(), Have: to.String(), Shallow: from.String(),
			Depth: depth, MaxBytes: 1 << 20, Advance: w.advance})
		if err != nil {
			return false, false, fmt.Errorf("ask for history: %w", err)
		}
		defer pack.Close()
		return slices.Contains(pack.Unshallow, from.String()), len(pack.Shallow) == 0, nil
	}
	found, whole, err := ask(nearDepth)
	if r.source.Rewind == "refuse" {
		if err == nil && !found && !whole {
			// Not 1<<31-1, which git takes for "no depth at all" and answers without looking.
			found, _, err = ask(math.MaxInt32 - 1)
		}
		if err != nil {
			return "", err
		}
	}
	switch {
	case found || err != nil: // without proof, and with nothing refused, there is nothing to say
		return "", nil
	case whole || r.source.Rewind == "refuse":
		return fmt.Sprintf("history was rewritten or moved back: %s is not in the history of %s", short(from.String()), short(to.String())), nil
	}
	return fmt.Sprintf("history was rewritten or moved back, or went far ahead: %s is not among the %d commits before %s",
		short(from.String()), nearDepth, short(to.String())), nil
}
