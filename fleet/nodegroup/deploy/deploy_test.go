package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/fleettest"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
)

// fleet is nodes i-1, i-2, ... that obey requests, as they were at now.
func fleet(now time.Time, n int, change func(id string, n *presence.Node)) (f presence.Fleet) {
	for i := range n {
		id := fmt.Sprint("i-", i+1)
		one := fleettest.One(id, node.Idle, "a", "", now)
		if one.Obeys = []string{"work"}; change != nil {
			change(id, &one)
		}
		f.Nodes = append(f.Nodes, one)
	}
	return f
}

func (r Rollout) String() string {
	var all []string
	for _, n := range r.Nodes {
		all = append(all, strings.TrimPrefix(n.ID, "i-")+" "+string(n.Phase))
	}
	return strings.Join(all, ", ")
}

// TestNext: at most two at a time, in order; at the first that does not do it the others are left, and those that were
// asked are waited for.
func TestNext(t *testing.T) {
	now := fleettest.Noon()
	answers := map[string]string{}
	step := func(r Rollout, after time.Duration, change func(string, *presence.Node)) (Rollout, string) {
		now = now.Add(after)
		next, ask := r.Next(fleet(now, 6, func(id string, n *presence.Node) {
			if code := answers[id]; code != "" {
				n.Answers = []presence.Answer{{ID: "other", Code: presence.AnswerFailed}, {ID: "d", Code: code, State: "as it says"}}
			}
			if change != nil {
				change(id, n)
			}
		}), now)
		return next, strings.Join(ask, " ")
	}
	want := func(r Rollout, ask, wantAsk, want string) {
		t.Helper()
		if ask != wantAsk || r.String() != want {
			t.Errorf("asked %q: %s, not %q: %s", ask, r, wantAsk, want)
		}
	}
	nodes, empty := Plan(fleet(now, 5, func(id string, n *presence.Node) {
		if id == "i-3" {
			n.Deployment = "fed2"
		}
	}), []Group{{Name: "none"}, {Name: "app1", Deployment: "fed1"}}, now)
	if !slices.Equal(empty, []string{"none"}) {
		t.Errorf("%q", empty)
	}
	first := Rollout{Nodes: nodes, Request: "d", Most: 2, Deadline: time.Hour}
	r, ask := step(first, 0, nil)
	want(r, ask, "i-1 i-2", "1 asked, 2 asked, 4 waiting, 5 waiting")
	r, ask = step(r, time.Minute, nil)
	want(r, ask, "", "1 asked, 2 asked, 4 waiting, 5 waiting")
	answers["i-1"], answers["i-2"] = presence.AnswerAccepted, presence.AnswerDone
	r, ask = step(r, time.Minute, nil)
	want(r, ask, "i-4", "1 asked, 2 done, 4 asked, 5 waiting")
	answers["i-4"] = presence.AnswerFailed
	r, ask = step(r, time.Minute, func(id string, n *presence.Node) {
		if id == "i-4" {
			n.State = node.Wedged
		}
	})
	want(r, ask, "", "1 asked, 2 done, 4 failed, 5 left")
	if !r.Wedged() {
		t.Error("a node is wedged")
	}
	r, ask = step(r, time.Hour, nil)
	want(r, ask, "", "1 unanswered, 2 done, 4 failed, 5 left")

	// A brake that was set meanwhile, or a record that is gone, skips a node.
	answers = map[string]string{}
	second, asks := first.Next(fleet(now, 4, func(id string, n *presence.Node) {
		if id == "i-1" {
			n.State = node.Disabled
		}
	}), now)
	want(second, strings.Join(asks, " "), "i-2 i-4", "1 skipped, 2 asked, 4 asked, 5 skipped")
}

// shaky is a fleet and its requests that fail now and then: i-2 is full.
type shaky struct {
	calls     int
	asked     []string
	withdrawn []string
}

func (s *shaky) Read(context.Context) (presence.Fleet, error) {
	if s.calls++; s.calls%3 == 0 {
		return presence.Fleet{}, errors.New("the line is cut")
	}
	return fleet(time.Now(), 3, func(id string, n *presence.Node) {
		if slices.Contains(s.asked, id) {
			n.Answers = []presence.Answer{{ID: "d", Code: presence.AnswerDone, State: "done"}}
		}
	}), nil
}

func (s *shaky) Ask(_ context.Context, want map[string][]gitstore.Request, _ time.Time) error {
	if s.calls == 1 {
		return errors.New("refused")
	}
	if want["i-2"] != nil {
		return &gitstore.FullError{Node: "i-2"}
	}
	for id := range want {
		s.asked = append(s.asked, id)
	}
	return nil
}

func (s *shaky) Withdraw(_ context.Context, ids map[string]string, _ time.Time) error {
	for id, request := range ids {
		s.withdrawn = append(s.withdrawn, id+" "+request)
	}
	return nil
}

// TestRun: what fails is tried again, a node that cannot take a request stops the rollout like one that fails, and
// nothing stays behind.
func TestRun(t *testing.T) {
	s := &shaky{}
	var ended []string
	troubles := 0
	nodes, _ := Plan(fleet(time.Now(), 3, nil), []Group{{Name: "app1"}}, time.Now())
	r, err := Runner{Fleet: s, Requests: s, Each: time.Millisecond, By: "ann", Ended: func(n Node) { ended = append(ended, n.ID+" "+string(n.Phase)) },
		Going: func(Rollout, []string) {}, Trouble: func(error) { troubles++ }}.Run(t.Context(), Rollout{Nodes: nodes, Request: "d", Most: 2, Deadline: time.Hour})
	slices.Sort(ended)
	if err != nil || r.String() != "1 done, 2 failed, 3 left" || strings.Join(ended, ", ") != "i-1 done, i-2 failed, i-3 left" || troubles != 2 {
		t.Errorf("%v %s %q, %d troubles", err, r, ended, troubles)
	}
	if slices.Sort(s.withdrawn); !slices.Equal(s.withdrawn, []string{"i-1 d"}) {
		t.Errorf("%q", s.withdrawn)
	}
}
