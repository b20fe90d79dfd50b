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
	Since time.Time    // when its next record was due
}

// Reap deletes the refs of nodes that are gone or missing for longer than olderThan (0 = ReapAfter), each only if it
// has not moved since it was read. Refs whose record cannot be read stay. With dryRun nothing is deleted. The list
// holds the deleted nodes, also beside an error; the next fold writes their end into the history.
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
	// The refs are newer than a fold.
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
	// Some may be deleted and others not: ask. A node that is back is not an error.
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
			errs = append(errs, fmt.Errorf("%s: its ref is kept", d.Node.InstanceID))
		}
	}
	if len(errs) > 0 {
		return went, errors.Join(append([]error{pushErr}, errs...)...)
	}
	return went, nil
}

// reapable decides which nodes to reap.
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
