package control

import (
	"cmp"
	"fmt"
	"regexp"
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
	// lineInterval is the least time between two messages about a group: a push to forty nodes is a few messages, not
	// forty.
	lineInterval = time.Minute
	// lineRepeat is after how long a critical message about a group that stays as it is is repeated.
	lineRepeat = time.Hour
	// lineIDs is the largest number of nodes that are named one by one.
	lineIDs = 3
)

// group is what one message is about: the nodes of one part that are in one state at one version.
type group struct {
	Deployment string `json:"deployment"`
	Part       string `json:"part"`
	Version    string `json:"version"` // of the first repository; "" where it says nothing about the state
	Word       string `json:"word"`    // the state, or missing
}

// gaveUp tells whether nodes that were failing are wedged by now: that none is failing is not good news then.
func (g group) gaveUp(groups map[group]*members) bool {
	if g.Word != string(node.Failing) {
		return false
	}
	g.Word = string(node.Wedged)
	return groups[g] != nil && len(groups[g].ids) > 0
}

// announced is what a room was told of a group.
type announced struct {
	group
	N     int       `json:"n"`     // how many nodes, as the room knows
	Said  time.Time `json:"said"`  // when
	Since time.Time `json:"since"` // when the first node came
}

// members are the nodes of a group as they are.
type members struct {
	ids     []string
	reasons map[string]int
}

// compose compares a fleet with what a room was told, and returns what it was told after the messages that are
// returned, too. A room that was told nothing yet (nil) hears of trouble only. Trouble is reported as it grows,
// shrinks and ends; of groups that are well only growth is, so that a rollout and its end show.
func compose(before []announced, f presence.Fleet, now time.Time) ([]announced, []chat.Message) {
	groups, totals := groupsOf(f, now)
	after := []announced{} // not nil: the room was told
	var messages []chat.Message
	told := map[group]announced{}
	for _, s := range before {
		told[s.group] = s
		if _, is := groups[s.group]; !is {
			groups[s.group] = &members{}
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
		case n == s.N && !(row.Critical && n > 0 && said >= lineRepeat), known && said >= 0 && said < lineInterval:
		default:
			messages = append(messages, chat.Message{Text: sentence(s, is, totals[part{g.Deployment, g.Part}], now), Colour: row.Colour, Critical: row.Critical, Time: now})
			if n == 0 {
				messages[len(messages)-1].Colour = "green"
			}
			s.N, s.Said = n, now
		}
		if s.N > 0 || n > 0 || now.Sub(s.Said) < lineInterval {
			after = append(after, s)
		}
	}
	slices.SortFunc(after, func(a, b announced) int {
		return cmp.Or(cmp.Compare(a.Deployment, b.Deployment), cmp.Compare(a.Part, b.Part), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Word, b.Word))
	})
	slices.SortFunc(messages, func(a, b chat.Message) int { return cmp.Compare(a.Text, b.Text) })
	return after, messages
}

// part is a part of a deployment.
type part struct{ deployment, name string }

// groupsOf sorts the nodes of a fleet into groups, and counts those of each part.
func groupsOf(f presence.Fleet, now time.Time) (map[group]*members, map[part]int) {
	groups, totals := map[group]*members{}, map[part]int{}
	for _, n := range f.Nodes {
		age := n.Age(now)
		if age == presence.Gone && n.State != node.Leaving {
			continue
		}
		totals[part{n.Deployment, n.Nodepart}]++
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
			is = &members{reasons: map[string]int{}}
			groups[g] = is
		}
		is.ids = append(is.ids, n.InstanceID)
		if reason != "" {
			is.reasons[failureCount.ReplaceAllString(human.Safe(reason), "")]++
		}
	}
	return groups, totals
}

// failureCount is what agents put behind a reason. It differs from node to node, and the reason is the same.
var failureCount = regexp.MustCompile(` \([0-9]+ failures in a row\)`)

// wordRow is the row of a state, or of missing, which is as bad as wedged.
func wordRow(word string) node.StateRow {
	if word == string(presence.Missing) {
		return node.StateRow{Colour: "red", Critical: true}
	}
	row, ok := node.Row(node.State(word))
	if !ok {
		row.Colour = "gray" // an agent of another version has more states
	}
	return row
}

// sentence is the message: "37 of 40 fed1/app1 wedged at 1a2b3c4: exit 100".
func sentence(s announced, is *members, total int, now time.Time) string {
	where, at := view.Part(s.Deployment, s.Part), ""
	if s.Version != "" {
		at = " at " + human.ID(s.Version)
	}
	n := len(is.ids)
	if n == 0 {
		return human.Safe(fmt.Sprintf("0 of %d %s %s%s (was %d, for %s)", total, where, s.Word, at, s.N, human.Seconds(now.Sub(s.Since))))
	}
	text := fmt.Sprintf("%d of %d %s %s%s", n, total, where, s.Word, at)
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
