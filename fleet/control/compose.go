package control

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/fleet/view"
	"github.com/addagent/addagent/internal/chat"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

const (
	// lineRest is how long a line rests before it is said again with another count: a push to forty nodes is a few
	// lines, not forty.
	lineRest = time.Minute
	// lineAgain is after how long a critical line that stays is said again.
	lineAgain = time.Hour
	// lineIDs is up to how many nodes are named one by one.
	lineIDs = 3
)

// group is what one line of a room is about: nodes of one part that are in one state at one version.
type group struct {
	Deployment string `json:"deployment"`
	Part       string `json:"part"`
	Version    string `json:"version"` // of the first repository; "" where it says nothing about the state
	Word       string `json:"word"`    // the state, or missing
}

// gaveUp tells whether nodes that were failing are wedged by now: it is no good news that nobody is failing any more.
func (g group) gaveUp(groups map[group]*present) bool {
	if g.Word != string(node.Failing) {
		return false
	}
	g.Word = string(node.Wedged)
	return groups[g] != nil && len(groups[g].ids) > 0
}

// announced is what a room was told of a group.
type announced struct {
	group
	N     int       `json:"n"`     // how many of them, as far as anybody was told
	Said  time.Time `json:"said"`  // when
	Since time.Time `json:"since"` // when there were none before
}

// present is a group as it is.
type present struct {
	ids     []string
	reasons map[string]int
}

// compose compares a fleet with what rooms were told, and returns what they are to be told now and what they were
// told then. Of a fleet that nobody was told of (nil) only what is wrong is news. Trouble is said as it grows,
// shrinks and ends; of what is well only growth is said, so that a rollout shows and its end does.
func compose(before []announced, f presence.Fleet, now time.Time) ([]announced, []chat.Message) {
	groups, totals := groupsOf(f, now)
	after := []announced{} // not nil: somebody was told
	var messages []chat.Message
	told := map[group]announced{}
	for _, s := range before {
		told[s.group] = s
		if _, is := groups[s.group]; !is {
			groups[s.group] = &present{}
		}
	}
	for g, is := range groups {
		s, known := told[g]
		if !known {
			s = announced{group: g}
		}
		row := wordRow(g.Word)
		trouble := row.Colour == "red"
		n := len(is.ids)
		if n > 0 && s.N == 0 {
			s.Since = now
		}
		said := now.Sub(s.Said)
		switch {
		case before == nil && !trouble, n < s.N && !trouble, n == 0 && g.gaveUp(groups):
			s.N = n
		case n == s.N && !(row.Critical && n > 0 && said >= lineAgain), known && said >= 0 && said < lineRest:
		default:
			messages = append(messages, chat.Message{Text: sentence(s, is, totals[place{g.Deployment, g.Part}], now), Colour: row.Colour, Critical: row.Critical, Time: now})
			if n == 0 {
				messages[len(messages)-1].Colour = "green"
			}
			s.N, s.Said = n, now
		}
		if s.N > 0 || n > 0 || now.Sub(s.Said) < lineRest {
			after = append(after, s)
		}
	}
	slices.SortFunc(after, func(a, b announced) int {
		return cmp.Or(cmp.Compare(a.Deployment, b.Deployment), cmp.Compare(a.Part, b.Part), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Word, b.Word))
	})
	slices.SortFunc(messages, func(a, b chat.Message) int { return cmp.Compare(a.Text, b.Text) })
	return after, messages
}

// place is a part of a deployment.
type place struct{ deployment, part string }

// groupsOf sorts the nodes of a fleet into groups, and counts how many a part has.
func groupsOf(f presence.Fleet, now time.Time) (map[group]*present, map[place]int) {
	groups, totals := map[group]*present{}, map[place]int{}
	for _, n := range f.Nodes {
		age := n.Age(now)
		if age == presence.Gone && n.State != node.Leaving {
			continue
		}
		totals[place{n.Deployment, n.Nodepart}]++
		g := group{Deployment: n.Deployment, Part: n.Nodepart, Word: cmp.Or(string(n.State), "unknown")}
		reason := n.Reason
		switch n.State {
		case node.Idle, node.Working, node.Failing, node.Wedged, node.InitDone:
			if len(n.Repos) > 0 {
				g.Version = n.Repos[0].Version
			}
		}
		if age == presence.Missing {
			g.Version, g.Word, reason = "", string(presence.Missing), ""
		}
		is := groups[g]
		if is == nil {
			is = &present{reasons: map[string]int{}}
			groups[g] = is
		}
		is.ids = append(is.ids, n.InstanceID)
		if reason != "" {
			is.reasons[withoutCount(human.Safe(reason))]++
		}
	}
	return groups, totals
}

// withoutCount leaves out how often a node has failed so far, as agents put it behind a reason: each has tried at
// moments of its own, and all of them fail for the same reason.
func withoutCount(reason string) string {
	var b strings.Builder
	for rest := reason; ; {
		at := strings.Index(rest, " failures in a row)")
		open := strings.LastIndex(rest[:max(at, 0)], " (")
		if at < 0 || open < 0 || strings.Trim(rest[open+2:at], "0123456789") != "" {
			return b.String() + rest
		}
		b.WriteString(rest[:open])
		rest = rest[at+len(" failures in a row)"):]
	}
}

// wordRow is the row of a state; missing, which no node says of itself, is as bad as wedged.
func wordRow(word string) node.StateRow {
	if word == string(presence.Missing) {
		return node.StateRow{Colour: "red", Critical: true}
	}
	row, ok := node.Row(node.State(word))
	if !ok {
		row.Colour = "gray" // of an agent that knows more states
	}
	return row
}

// sentence is the line: "37 of 40 fed1/app1 wedged at 1a2b3c4: exit 100".
func sentence(s announced, is *present, total int, now time.Time) string {
	part, at := view.Part(s.Deployment, s.Part), ""
	if s.Version != "" {
		at = " at " + human.ID(s.Version)
	}
	n := len(is.ids)
	if n == 0 {
		were := fmt.Sprintf("%d were", s.N)
		if s.N == 1 {
			were = "1 was"
		}
		return human.Safe(fmt.Sprintf("no %s is %s%s any more (%s, for %s)", part, s.Word, at, were, human.Seconds(now.Sub(s.Since))))
	}
	text := fmt.Sprintf("%d of %d %s %s%s", n, total, part, s.Word, at)
	if n == s.N {
		text = "still " + text
	}
	if n <= lineIDs {
		text += " (" + strings.Join(is.ids, ", ") + ")"
	}
	most, more := "", 0
	for r, k := range is.reasons {
		if k > is.reasons[most] || k == is.reasons[most] && r < most {
			most = r
		}
		more++
	}
	if most != "" {
		text += ": " + human.Truncate(most, 200)
	}
	if more > 1 {
		text += fmt.Sprintf(" (and %s)", human.Count(more-1, "other reason"))
	}
	return human.Safe(text)
}
