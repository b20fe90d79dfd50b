package deploy

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/addagent/addagent/internal/retry"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
)

// Fleet is where the nodes are read.
type Fleet interface {
	Read(ctx context.Context) (presence.Fleet, error)
}

// Requests is where nodes are asked: *doctor.Store.
type Requests interface {
	Ask(ctx context.Context, want map[string][]gitstore.Request, now time.Time) error
	Withdraw(ctx context.Context, ids map[string]string, now time.Time) error
}

// Runner carries a rollout out.
type Runner struct {
	Fleet    Fleet
	Requests Requests
	By       string                         // who asks
	Each     time.Duration                  // how often presence is read
	Ended    func(Node)                     // a node came to its end
	Going    func(r Rollout, asks []string) // after each reading; asks were asked now
	Trouble  func(error)                    // presence or the requests could not be reached; it is tried again
}

// Run asks and waits until all nodes have ended, or ctx has. What was asked and was answered is withdrawn, so that
// nothing stays behind.
func (o Runner) Run(ctx context.Context, r Rollout) (Rollout, error) {
	for {
		now := time.Now()
		f, err := o.Fleet.Read(ctx)
		if err == nil {
			before := r
			var ask []string
			r, ask = r.Next(f, now)
			if r, err = o.ask(ctx, r, ask, now); err != nil && ctx.Err() == nil {
				r = before // what could not be asked is asked with the next reading
			} else {
				o.tell(ctx, before, r, ask)
			}
		}
		switch {
		case ctx.Err() != nil:
			return r, ctx.Err()
		case err != nil:
			o.Trouble(err)
		case len(r.Going()) == 0 && r.Count(Waits) == 0:
			return r, nil
		}
		if !retry.Wait(ctx, o.Each) {
			return r, ctx.Err()
		}
	}
}

// ask asks the nodes; one that cannot take the request does not stop the others.
func (o Runner) ask(ctx context.Context, r Rollout, ids []string, now time.Time) (Rollout, error) {
	for {
		want := map[string][]gitstore.Request{}
		for _, id := range ids {
			want[id] = []gitstore.Request{{ID: r.Request, Action: "work", By: o.By, Until: now.Add(r.Deadline).UTC().Truncate(time.Second)}}
		}
		if len(want) == 0 {
			return r, nil
		}
		err := o.Requests.Ask(ctx, want, now)
		full, only := errors.AsType[*gitstore.FullError](err)
		if !only {
			return r, err
		}
		r = r.Refuse(full.Node, err.Error(), now)
		ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == full.Node })
	}
}

// tell tells what changed, and withdraws the requests that have an end.
func (o Runner) tell(ctx context.Context, before, after Rollout, asked []string) {
	over := map[string]string{}
	for i, n := range after.Nodes {
		if n.Phase == before.Nodes[i].Phase {
			continue
		}
		if n.Phase != Asked {
			o.Ended(n)
		}
		if before.Nodes[i].Phase == Asked {
			over[n.ID] = after.Request
		}
	}
	if len(over) > 0 {
		if err := o.Requests.Withdraw(ctx, over, time.Now()); err != nil && ctx.Err() == nil {
			o.Trouble(err) // they end by themselves
		}
	}
	o.Going(after, asked)
}
