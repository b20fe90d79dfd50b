package view

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
	"github.com/addagent/addagent/presence/history"
	"github.com/addagent/addagent/service"
)

// Snapshot is how the nodes were at a time, by id.
type Snapshot map[string]Entry

// Entry is a node in a snapshot.
type Entry struct {
	presence.Node
	word string // its state or, where it is not present, its age
}

// TakeSnapshot returns the nodes as they are at a time.
func TakeSnapshot(nodes []presence.Node, now time.Time) Snapshot {
	s := make(Snapshot, len(nodes))
	for _, n := range nodes {
		e := Entry{n, string(n.State)}
		if age := n.Age(now); age != presence.Present {
			e.word = string(age)
		}
		s[n.InstanceID] = e
	}
	return s
}

// Changes are what differs in a later snapshot, sorted by id, in the form of the fold's history. A node that came has
// no From; one whose ref was deleted is gone; From and To are the same where only a version or a reason is new.
func (s Snapshot) Changes(after Snapshot, now time.Time) []fold.Transition {
	var list []fold.Transition
	add := func(e Entry, from, to, reason string) {
		t := fold.Transition{Time: now.UTC().Truncate(time.Second), ID: e.InstanceID, Deployment: e.Deployment,
			Nodepart: e.Nodepart, From: from, To: to, Reason: reason}
		if len(e.Repos) > 0 {
			t.Version = e.Repos[0].Version
			if due := e.Repos[0].Due; len(due) > 0 {
				t.Worked = e.Repos[0].Worked[due[0]]
			}
		}
		list = append(list, t)
	}
	for id, is := range after {
		was, known := s[id]
		if !known || was.word != is.word || reason(was.Node) != reason(is.Node) || versions(was.Node) != versions(is.Node) {
			add(is, was.word, is.word, reason(is.Node))
		}
	}
	for id, was := range s {
		if _, still := after[id]; !still && was.word != string(presence.Gone) {
			add(was, was.word, string(presence.Gone), "its ref was deleted")
		}
	}
	slices.SortFunc(list, func(a, b fold.Transition) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

func transitionCells(t fold.Transition) []Cell {
	version := ""
	if t.Version != "" {
		version = human.ID(t.Version)
	}
	if t.Worked != "" && t.Worked != t.Version {
		version = human.ID(t.Worked) + " -> " + version
	}
	colour := AgeColour(presence.Age(t.To))
	if row, ok := node.Row(node.State(t.To)); ok {
		colour = row.Colour
	}
	from, to := human.Safe(t.From), human.Safe(t.To)
	switch t.Kind {
	case history.KindCode:
		from, _ = serviceCode(t.From)
		to, colour = serviceCode(t.To)
		to = t.Service + " " + to
	case history.KindRole:
		to = t.Service + " " + to
	}
	return []Cell{
		{Text: human.Time(t.Time)}, {Text: t.ID}, {Text: Part(t.Deployment, t.Nodepart)}, {Text: cmp.Or(from, "-")},
		{to, colour}, {Text: human.Safe(version)}, {Text: human.Safe(t.Reason)},
	}
}

// serviceCode is the code of a service as people read it: "running", "stopped (ER0023)"; an endpoint that is not told
// any more has none.
func serviceCode(code string) (text, colour string) {
	switch {
	case code == "" || code == string(presence.Gone):
		return code, "gray"
	case service.Code(code).Available():
		return service.Code(code).State(), "green"
	}
	return service.Code(code).State() + " (" + human.Safe(code) + ")", "red"
}

// Transition is one transition in a stream, where the widths of columns are not known.
func Transition(t fold.Transition, colours bool) string {
	c := transitionCells(t)
	text := fmt.Sprintf("%s %s %s ", c[0].Text, c[1].Text, c[2].Text)
	if t.From != t.To {
		text += c[3].Text + " → "
	}
	text += paint(c[4].Text, c[4].Colour, colours)
	if c[5].Text != "" {
		text += " at " + c[5].Text
	}
	if c[6].Text != "" {
		text += ": " + c[6].Text
	}
	return text
}
