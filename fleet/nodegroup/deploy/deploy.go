// Package deploy asks the nodes of groups to do all their work again, a few at a time, and stops at the first one that
// fails.
//
// What comes next is decided by Rollout.Next, which is pure; Run in run.go asks and waits.
package deploy

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// Group is whose nodes are meant.
type Group struct {
	Name       string // their nodepart
	Deployment string // "" = any
}

// Phase is how far a node is.
type Phase string

// The phases. All but the first two are the end.
const (
	Waits      Phase = "waiting"
	Asked      Phase = "asked"
	Done       Phase = "done"
	Failed     Phase = "failed"
	Unanswered Phase = "unanswered" // within the deadline
	Skipped    Phase = "skipped"    // it cannot be asked
	Left       Phase = "left"       // another node failed before it was asked
)

// Node is one node of a rollout.
type Node struct {
	Group  string    `json:"group"`
	ID     string    `json:"node"`
	Phase  Phase     `json:"phase"`
	Reason string    `json:"reason,omitempty"`
	Asked  time.Time `json:"asked,omitzero"`
	Ended  time.Time `json:"ended,omitzero"`
	Wedged bool      `json:"wedged,omitempty"` // when it ended
}

// Rollout is a value: Next returns what follows from it.
type Rollout struct {
	Nodes    []Node // in the order in which they are asked
	Request  string // the id of the request, to each node the same
	Most     int    // how many are asked at a time
	Deadline time.Duration
}

// Plan lists the nodes of groups, in the order of the groups and then of the ids. Those that cannot be asked are
// skipped. empty are the groups that have no node.
func Plan(f presence.Fleet, groups []Group, now time.Time) (list []Node, empty []string) {
	for _, g := range groups {
		before := len(list)
		for _, n := range f.Nodes {
			if n.Nodepart != g.Name || g.Deployment != "" && n.Deployment != g.Deployment {
				continue
			}
			one := Node{Group: g.Name, ID: n.InstanceID, Phase: Waits, Reason: obstacle(n, now)}
			if one.Reason != "" {
				one.Phase = Skipped
			}
			list = append(list, one)
		}
		if slices.SortFunc(list[before:], func(a, b Node) int { return cmp.Compare(a.ID, b.ID) }); len(list) == before {
			empty = append(empty, g.Name)
		}
	}
	return list, empty
}

// obstacle is why a node cannot be asked; "" = it can.
func obstacle(n presence.Node, now time.Time) string {
	switch age := n.Age(now); {
	case age == presence.Missing || age == presence.Gone:
		return string(age) + ", last heard " + human.When(n.BeatSeen, now)
	case n.State == node.Disabled:
		return human.Line("disabled: " + n.Reason)
	case len(n.Obeys) == 0:
		return "obeys no requests: requests.url is not in its config"
	case !slices.Contains(n.Obeys, "work"):
		return "obeys no request for work: its requests.allow has " + human.List(n.Obeys, "and")
	}
	return ""
}

// Next takes in what the nodes say. ask are the nodes to ask now.
func (r Rollout) Next(f presence.Fleet, now time.Time) (next Rollout, ask []string) {
	r.Nodes = slices.Clone(r.Nodes)
	stopped, going := "", 0
	for i := range r.Nodes {
		n := &r.Nodes[i]
		if n.Phase == Asked {
			n.hear(f, r, now)
		}
		if n.Phase == Asked {
			going++
		}
		if n.Phase == Failed || n.Phase == Unanswered {
			stopped = cmp.Or(stopped, n.ID)
		}
	}
	for i := range r.Nodes {
		n := &r.Nodes[i]
		if n.Phase != Waits {
			continue
		}
		at := slices.IndexFunc(f.Nodes, func(o presence.Node) bool { return o.InstanceID == n.ID })
		switch {
		case stopped != "":
			n.Phase, n.Reason = Left, stopped+" did not do it"
		case at < 0:
			n.Phase, n.Reason = Skipped, "its record is gone"
		case obstacle(f.Nodes[at], now) != "":
			n.Phase, n.Reason = Skipped, obstacle(f.Nodes[at], now)
		case going < r.Most:
			n.Phase, n.Asked = Asked, now.UTC().Truncate(time.Second)
			ask = append(ask, n.ID)
			going++
		}
	}
	return r, ask
}

// hear takes in what presence says of a node that was asked.
func (n *Node) hear(f presence.Fleet, r Rollout, now time.Time) {
	end := func(p Phase, reason string) {
		n.Phase, n.Reason, n.Ended = p, human.Line(reason), now.UTC().Truncate(time.Second)
	}
	i := slices.IndexFunc(f.Nodes, func(o presence.Node) bool { return o.InstanceID == n.ID })
	var answer presence.Answer
	if i >= 0 {
		n.Wedged = f.Nodes[i].State == node.Wedged
		if a := slices.IndexFunc(f.Nodes[i].Answers, func(a presence.Answer) bool { return a.ID == r.Request }); a >= 0 {
			answer = f.Nodes[i].Answers[a]
		}
	}
	switch {
	case answer.Code == presence.AnswerDone:
		end(Done, answer.State)
	case answer.Code != "" && answer.Code != presence.AnswerAccepted:
		end(Failed, answer.State)
	case now.Sub(n.Asked) <= r.Deadline:
	case i < 0 || f.Nodes[i].Age(now) == presence.Missing || f.Nodes[i].Age(now) == presence.Gone:
		end(Unanswered, fmt.Sprintf("it is no longer heard; no answer within %s", human.Setting(r.Deadline)))
	default:
		end(Unanswered, fmt.Sprintf("no answer within %s: addctl node %s", human.Setting(r.Deadline), n.ID))
	}
}

// Going are the nodes that were asked and have not ended.
func (r Rollout) Going() (all []string) {
	for _, n := range r.Nodes {
		if n.Phase == Asked {
			all = append(all, n.ID)
		}
	}
	return all
}

// Count is how many nodes are in a phase.
func (r Rollout) Count(p Phase) (n int) {
	for _, one := range r.Nodes {
		if one.Phase == p {
			n++
		}
	}
	return n
}

// Refuse ends nodes that were to be asked and could not be.
func (r Rollout) Refuse(id, why string, now time.Time) Rollout {
	r.Nodes = slices.Clone(r.Nodes)
	for i := range r.Nodes {
		if n := &r.Nodes[i]; n.ID == id && n.Phase == Asked {
			n.Phase, n.Reason, n.Ended = Failed, human.Line(why), now.UTC().Truncate(time.Second)
		}
	}
	return r
}

// Wedged says that a node which failed is wedged.
func (r Rollout) Wedged() bool {
	return slices.ContainsFunc(r.Nodes, func(n Node) bool { return n.Wedged && (n.Phase == Failed || n.Phase == Unanswered) })
}
