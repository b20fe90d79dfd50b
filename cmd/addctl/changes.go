package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
)

// sight is what a change of a node is a change of.
type sight struct {
	word     string // its state or, where it is not present, its age
	versions string
	reason   string
	node     presence.Node
}

// sights are the nodes of a fleet by id, as they are at a time.
func sights(nodes []presence.Node, now time.Time) map[string]sight {
	all := make(map[string]sight, len(nodes))
	for _, n := range nodes {
		s := sight{word: string(n.State), versions: versions(n), reason: n.Reason, node: n}
		if age := n.Age(now); age != presence.Present {
			s.word = string(age)
		}
		all[n.InstanceID] = s
	}
	return all
}

// changes are what differs, sorted by id, in the form of the grid's history. A node
// that came has no From; one whose ref is not there any more is gone; From and To are
// the same where only a version or a reason is new.
func changes(before, after map[string]sight, now time.Time) []fold.Transition {
	var list []fold.Transition
	add := func(s sight, from, to, reason string) {
		t := fold.Transition{Time: now.UTC().Truncate(time.Second), ID: s.node.InstanceID, Deployment: s.node.Deployment,
			Nodepart: s.node.Nodepart, From: from, To: to, Reason: reason}
		if len(s.node.Repos) > 0 {
			t.Version = s.node.Repos[0].Version
		}
		list = append(list, t)
	}
	for id, s := range after {
		was, known := before[id]
		if !known || was.word != s.word || was.versions != s.versions || was.reason != s.reason {
			add(s, was.word, s.word, s.reason)
		}
	}
	for id, s := range before {
		if _, still := after[id]; !still && s.word != string(presence.Gone) {
			add(s, s.word, string(presence.Gone), "its ref is not there any more")
		}
	}
	slices.SortFunc(list, func(a, b fold.Transition) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// logTable is a line a transition.
func logTable(list []fold.Transition) table {
	t := table{head: []string{"TIME", "ID", "PART", "FROM", "TO", "VERSION", "REASON"}, give: []give{{6, 20}, {2, 8}, {1, 10}, {6, 8}}}
	for _, s := range list {
		t.rows = append(t.rows, transitionCells(s))
	}
	return t
}

func transitionCells(t fold.Transition) []cell {
	version := ""
	if t.Version != "" {
		version = human.ID(t.Version)
	}
	return []cell{
		{text: human.Time(t.Time)}, {text: t.ID}, {text: placeOf(t.Deployment, t.Nodepart)},
		{text: cmp.Or(human.Safe(t.From), "-")}, {human.Safe(t.To), wordColour(t.To)}, {text: human.Safe(version)}, {text: human.Safe(t.Reason)},
	}
}

// transitionLine is one transition in a stream, whose columns are not known before.
func transitionLine(t fold.Transition, colours bool) string {
	c := transitionCells(t)
	text := fmt.Sprintf("%s %s %s %s → %s", c[0].text, c[1].text, c[2].text, c[3].text, paint(c[4].text, c[4].colour, colours))
	if t.From == t.To {
		text = fmt.Sprintf("%s %s %s %s", c[0].text, c[1].text, c[2].text, paint(c[4].text, c[4].colour, colours))
	}
	if c[5].text != "" {
		text += " at " + c[5].text
	}
	if c[6].text != "" {
		text += ": " + c[6].text
	}
	return text
}

// wordColour is the colour of a state or an age.
func wordColour(word string) string {
	if row, ok := node.Row(node.State(word)); ok {
		return row.Colour
	}
	return ageColour(presence.Age(word))
}

// placeOf is a deployment and a part in one word.
func placeOf(deployment, part string) string {
	text := strings.Trim(deployment+"/"+part, "/")
	return cmp.Or(human.Safe(text), "-")
}
