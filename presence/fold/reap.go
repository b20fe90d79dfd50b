package fold

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
)

// ReapAfter is how long a node has been gone or missing before it is reaped, by default.
const ReapAfter = 24 * time.Hour

// Reaped is a node whose ref was deleted, or would be.
type Reaped struct {
	Node  presence.Node
	Age   presence.Age // missing or gone
	Since time.Time    // when it was to have spoken again
}

// Reap deletes the refs of nodes that are gone or missing since longer than olderThan (0 = ReapAfter), each only if
// it is still where it was seen: a node that comes back meanwhile wins. Nodes that are present or late, and refs
// whose record cannot be read, stay. With dryRun nothing is deleted. The next fold puts the end of each into the
// history. The list holds those that went, also beside an error.
func (r *Reader) Reap(ctx context.Context, olderThan time.Duration, now time.Time, dryRun bool) ([]Reaped, error) {
	ctx, cancel := r.repo.bounded(ctx)
	defer cancel()
	list, err := r.reap(ctx, olderThan, now, dryRun)
	if err != nil {
		return list, fmt.Errorf("reap: %w", err)
	}
	return list, nil
}

func (r *Reader) reap(ctx context.Context, olderThan time.Duration, now time.Time, dryRun bool) ([]Reaped, error) {
	if olderThan <= 0 {
		olderThan = ReapAfter
	}
	if err := r.begin(); err != nil {
		return nil, err
	}
	// The refs themselves, for a fold is older than they are.
	refs, err := r.repo.ask(ctx, true)
	if err != nil {
		return nil, err
	}
	f, err := r.readRefs(ctx, refs, now)
	if err != nil {
		return nil, err
	}
	due := reapable(f, r.seen, olderThan, now)
	if dryRun || len(due) == 0 {
		return due, nil
	}
	updates := make([]remote.Update, 0, len(due))
	for _, d := range due {
		updates = append(updates, remote.Update{Ref: gitstore.RefName(r.repo.Prefix, d.Node.InstanceID), Old: d.Node.Commit})
	}
	pushErr := r.repo.store.Push(ctx, updates...)
	if pushErr == nil {
		return due, nil
	}
	// Some may have gone and others not: what is there tells. A node that is back is no failure.
	after, err := r.repo.ask(ctx, true)
	if err != nil {
		return nil, errors.Join(pushErr, err)
	}
	var went []Reaped
	var errs []error
	for _, d := range due {
		switch after.tips[d.Node.InstanceID] {
		case "":
			went = append(went, d)
		case d.Node.Commit:
			errs = append(errs, fmt.Errorf("%s: its ref stays", d.Node.InstanceID))
		}
	}
	if len(errs) > 0 {
		return went, errors.Join(append([]error{pushErr}, errs...)...)
	}
	return went, nil
}

// reapable decides who is to go.
func reapable(f presence.Fleet, all map[string]seen, olderThan time.Duration, now time.Time) []Reaped {
	var due []Reaped
	for _, n := range f.Nodes {
		age, since := n.Age(now), n.Promised()
		if age != presence.Missing && age != presence.Gone || all[n.InstanceID].broken != "" || now.Sub(since) <= olderThan {
			continue
		}
		due = append(due, Reaped{Node: n, Age: age, Since: since})
	}
	return due
}
