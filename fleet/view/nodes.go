// Package view words a fleet for people: tables, one line for all nodes, one node in full, changes, and a screen that
// follows them.
//
// Values go in and text comes out: it knows no repository and no config. Begin with Nodes in nodes.go.
package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// Filter narrows a list of nodes. An empty list lets all pass.
type Filter struct{ Parts, States, Stacktypes, Deployments []string }

// Matches tells whether a node passes. Its age counts as a state.
func (l *Filter) Matches(n presence.Node, now time.Time) bool {
	in := func(list []string, words ...string) bool {
		return len(list) == 0 || slices.ContainsFunc(words, func(w string) bool { return slices.Contains(list, w) })
	}
	return in(l.Parts, n.Nodepart) && in(l.Stacktypes, n.Stacktype) && in(l.Deployments, n.Deployment) &&
		in(l.States, string(n.State), string(n.Age(now)))
}

// Nodes are those that pass, trouble first.
func (l *Filter) Nodes(f presence.Fleet, now time.Time) []presence.Node {
	return slices.DeleteFunc(presence.Troubled(f, now), func(n presence.Node) bool { return !l.Matches(n, now) })
}

// Find returns the node that a person means by its id, by the beginning of its id or hostname, or by an address. An
// exact match wins.
func Find(f presence.Fleet, word string) (presence.Node, error) {
	if n, ok := f.Node(word); ok {
		return n, nil
	}
	for _, meant := range []func(presence.Node) bool{
		func(n presence.Node) bool { return n.Hostname == word || slices.Contains(n.Addresses, word) },
		func(n presence.Node) bool {
			return strings.HasPrefix(n.InstanceID, word) || strings.HasPrefix(n.Hostname, word)
		},
	} {
		var ids []string
		var found presence.Node
		for _, n := range f.Nodes {
			if word != "" && meant(n) {
				ids, found = append(ids, n.InstanceID), n
			}
		}
		switch {
		case len(ids) == 1:
			return found, nil
		case len(ids) > 6:
			return found, fmt.Errorf("%s matches %s, such as %s", word, human.Count(len(ids), "node"), strings.Join(ids[:6], ", "))
		case len(ids) > 1:
			return found, fmt.Errorf("%s matches %s: %s", word, human.Count(len(ids), "node"), strings.Join(ids, ", "))
		}
	}
	return presence.Node{}, fmt.Errorf("no node %s among %s (addctl nodes lists them)", word, human.Count(len(f.Nodes), "node"))
}

// Part is a deployment and a part in one word.
func Part(deployment, part string) string {
	return cmp.Or(human.Safe(strings.Trim(deployment+"/"+part, "/")), "-")
}

// Nodes is a line a node, in the order given.
func Nodes(nodes []presence.Node, now time.Time) Table {
	t := Table{
		Head:   []string{"ID", "PART", "STATE", "SINCE", "AGE", "VERSIONS", "REASON"},
		shrink: []shrink{{6, 20}, {5, 12}, {6, 8}, {0, 10}, {1, 8}, {5, 8}},
	}
	for _, n := range nodes {
		row, _ := node.Row(n.State) // an agent of another version may have a state that is not there
		t.Rows = append(t.Rows, []Cell{
			{Text: n.InstanceID}, {Text: Part(n.Deployment, n.Nodepart)}, {cmp.Or(human.Safe(string(n.State)), "-"), row.Colour},
			{Text: since(n, now)}, ageCell(n, now), {Text: versions(n)}, {Text: human.Safe(reason(n))},
		})
	}
	return t
}

// reason is why a node is in its state, and what needs a person there.
func reason(n presence.Node) string {
	text := n.Reason
	for _, t := range n.Troubles {
		text = strings.TrimPrefix(text+"; needs a person: "+t, "; ")
	}
	return text
}

// since is for how long a node has been in its state: ">" where only its last record is known, and the state may be
// older.
func since(n presence.Node, now time.Time) string {
	switch {
	case !n.Since.IsZero():
		return human.Column(now.Sub(n.Since))
	case !n.Told.IsZero():
		return ">" + human.Column(now.Sub(n.Told))
	}
	return "-"
}

// ageCell is a node's age and, unless it is present, how long ago it reported.
func ageCell(n presence.Node, now time.Time) Cell {
	age := n.Age(now)
	text := string(age)
	switch at := reported(n); {
	case age == presence.Present || at.IsZero():
	case at.After(now.Add(presence.Skew)):
		text += ", ahead " + human.Column(at.Sub(now)) // its clock is, or ours is behind
	default:
		text += " " + human.Column(now.Sub(at))
	}
	return Cell{text, AgeColour(age)}
}

// AgeColour is the colour of an age; "" = none.
func AgeColour(a presence.Age) string {
	return map[presence.Age]string{presence.Late: "yellow", presence.Missing: "red", presence.Gone: "gray"}[a]
}

// reported is when a node reported last; zero when that is not known.
func reported(n presence.Node) time.Time {
	if !n.BeatSeen.IsZero() {
		return n.BeatSeen
	}
	return n.Told
}

// versions are what a node has of its repositories.
func versions(n presence.Node) string { return human.Safe(n.Deployed(" ")) }

// Summary is the fleet in a line: how many nodes are in which state, and how fresh that is. Shown are those that
// passed a filter.
func Summary(shown []presence.Node, f presence.Fleet, now time.Time) string {
	counts := map[string]int{}
	for _, c := range presence.Counts(presence.Fleet{Nodes: shown}, now) {
		counts[c.State] += c.N
	}
	words := make([]string, 0, len(counts))
	for w := range counts {
		words = append(words, w)
	}
	slices.SortFunc(words, func(a, b string) int { return cmp.Or(counts[b]-counts[a], cmp.Compare(a, b)) })
	for i, w := range words {
		words[i] = fmt.Sprintf("%d %s", counts[w], human.Safe(w))
	}
	text := human.Count(len(f.Nodes), "node")
	if len(shown) < len(f.Nodes) {
		text = fmt.Sprintf("%d of %s", len(shown), text)
	}
	if len(words) > 0 {
		text += ": " + strings.Join(words, ", ")
	}
	if f.From == presence.FromFold {
		// Ages are as of that time, too, so it is the one that counts, whenever the fold was read.
		return text + fmt.Sprintf("; read from the fold, as of %s ago", human.Seconds(max(now.Sub(f.Folded), time.Second)))
	}
	text += "; read from the nodes' refs"
	if old := now.Sub(f.At); old >= 30*time.Second {
		text += fmt.Sprintf(" %s ago", human.Seconds(old))
	}
	return text
}
