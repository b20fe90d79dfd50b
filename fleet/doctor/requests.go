package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
)

// ask asks nodes, all in one push, while the claims last. The id of a request is the same whenever this try is
// repeated, so that a node obeys it once.
func (d *Doctor) ask(ctx context.Context, claimed []event.Entry, s event.Status, at instant) {
	if len(claimed) == 0 {
		return
	}
	first := slices.MinFunc(claimed, func(a, b event.Entry) int { return a.Until.Compare(b.Until) })
	l := newLease(ctx, at.end(first.Until))
	defer l.stop(nil)
	defer l.timer.Stop()
	outcomes := make([]event.Outcome, len(claimed))
	for i, e := range claimed {
		outcomes[i] = event.Outcome{ID: e.ID, Asked: e.Targets(s, d.Local), Request: e.ID + "-" + strconv.Itoa(e.Tries+1)}
		if len(outcomes[i].Asked) == 0 {
			outcomes[i].Err = fmt.Errorf("no present node %s %s", map[bool]string{true: "offers", false: "matches"}[e.DoLevel == event.Services], human.Quote(e.DoGroup))
		}
	}
	for again := true; again; {
		want := map[string][]gitstore.Request{}
		for i, e := range claimed {
			for _, target := range outcomes[i].Asked {
				if outcomes[i].Err == nil {
					id, service := event.Target(target)
					want[id] = append(want[id], gitstore.Request{ID: event.RequestID(outcomes[i].Request, target), Action: e.DoAction, Target: service,
						By: requester, Until: e.End()})
				}
			}
		}
		err := d.Store.request(l, want, nil, nil, at.now)
		var full *gitstore.FullError // the other nodes are asked all the same
		full, again = errors.AsType[*gitstore.FullError](err)
		of := func(target string) bool { id, _ := event.Target(target); return again && id == full.Node }
		for i := range outcomes {
			if outcomes[i].Err == nil && (!again || slices.ContainsFunc(outcomes[i].Asked, of)) {
				outcomes[i].Err = err
			}
		}
	}
	for i, e := range claimed {
		j := &job{id: e.ID, what: e.String(), outcome: outcomes[i], lease: l, over: make(chan struct{})}
		close(j.over)
		d.jobs = append(d.jobs, j)
	}
}

// requester is in the requests that a doctor removes again.
const requester = "doctor"

// sweep removes the requests of doctors whose answers are taken in, and those that have expired. Another doctor may
// have asked since the queue was read, so no action may seem to stand behind a request: its answer alone decides. Those
// of an action that a doctor is doing stay: it may be asking again under the same id what a dead one had asked, and the
// answer must stand until it is taken in.
func (d *Doctor) sweep(ctx context.Context, q event.Queue, s event.Status, now time.Time) error {
	done := map[string]bool{}  // node and request
	waits := map[string]bool{} // nodes whose requests all stay, so that their refs are not read
	for _, e := range q.Actions {
		for target, answer := range e.Nodes {
			id, _ := event.Target(target)
			waits[id] = waits[id] || answer == ""
		}
	}
	for _, n := range s.Nodes {
		for _, a := range n.Answers {
			done[n.InstanceID+" "+a.ID] = a.Code != presence.AnswerAccepted
			waits[n.InstanceID] = waits[n.InstanceID] && a.Code == presence.AnswerAccepted
		}
	}
	for _, e := range q.Actions {
		for target, answer := range e.Nodes {
			if id, _ := event.Target(target); answer == "" {
				delete(done, id+" "+event.RequestID(e.Request, target))
			}
		}
	}
	asking := func(r gitstore.Request) bool {
		return slices.ContainsFunc(q.Actions, func(e event.Entry) bool { return e.Phase == event.Runs && strings.HasPrefix(r.ID, e.ID+"-") })
	}
	return d.Store.request(ctx, nil, func(id string, r gitstore.Request) bool {
		return r.By != requester || asking(r) && now.Before(r.Until) || !done[id+" "+r.ID] && now.Before(r.Until)
	}, waits, now)
}

// Ask adds requests to nodes, in one push: all or none. A node that has too many is a gitstore.FullError.
func (s *Store) Ask(ctx context.Context, want map[string][]gitstore.Request, now time.Time) error {
	return s.request(ctx, want, nil, nil, now)
}

// Withdraw removes requests, each of one node, by their ids.
func (s *Store) Withdraw(ctx context.Context, ids map[string]string, now time.Time) error {
	of := map[string][]gitstore.Request{}
	for node := range ids {
		of[node] = nil
	}
	return s.request(ctx, of, func(node string, r gitstore.Request) bool { return r.ID != ids[node] }, nil, now)
}

// request adds requests to the refs of nodes, or keeps of those that are there (of the nodes in want; nil = of all)
// what keep says, but of the nodes in spare all; in one push.
func (s *Store) request(ctx context.Context, want map[string][]gitstore.Request, keep func(id string, r gitstore.Request) bool, spare map[string]bool, now time.Time) error {
	for try := 1; ; try++ {
		tips, err := gitstore.RequestsOf(ctx, s.repo)
		if err != nil {
			return err
		}
		ids := slices.Collect(maps.Keys(want))
		if keep != nil && want == nil {
			ids = slices.Collect(maps.Keys(tips))
		}
		slices.Sort(ids)
		var updates []remote.Update
		for _, id := range ids {
			var list []gitstore.Request
			if spare[id] {
				continue
			}
			if tips[id] != "" {
				list, err = gitstore.ReadRequests(ctx, s.repo, tips[id])
				_, garbage := errors.AsType[*gitstore.MalformedError](err)
				switch {
				case err != nil && keep != nil:
					continue // it stays
				case err != nil && !garbage:
					return err // what a person asks is not lost
				}
			}
			was := slices.Clone(list)
			if keep != nil {
				list = slices.DeleteFunc(list, func(r gitstore.Request) bool { return !keep(id, r) })
			}
			for _, r := range want[id] {
				if !slices.ContainsFunc(list, func(o gitstore.Request) bool { return o.ID == r.ID }) {
					list = append(list, r)
				}
			}
			if len(list) > gitstore.MostRequests { // those of people stand until room is needed
				list = slices.DeleteFunc(list, func(r gitstore.Request) bool { return !now.Before(r.Until) })
			}
			if slices.Equal(list, was) || keep != nil && len(list) > gitstore.MostRequests {
				continue
			}
			u, err := gitstore.RequestsUpdate(id, tips[id], list, s.who, now)
			if err != nil {
				return err
			}
			updates = append(updates, u)
		}
		if len(updates) == 0 {
			return nil
		}
		err = s.repo.Push(ctx, updates...)
		if _, raced := errors.AsType[*remote.Rejected](err); !raced || try == races || !pause(ctx, try) {
			return err
		}
	}
}
