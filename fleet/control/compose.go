package control

import (
	"cmp"
	"fmt"
	"maps"
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

// group is what one message is about: the nodes of one part that are in one state at one version, or a service.
type group struct {
	Deployment string `json:"deployment"`
	Part       string `json:"part"`
	Version    string `json:"version"` // of the first repository; "" where it says nothing about the state
	Word       string `json:"word"`    // the state, or missing; of a service hasEndpoint or noEndpoint

	Service string `json:"service,omitempty"`
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
	ids     []string  // of a service its name
	since   time.Time // when the first of them came into this state
	reasons map[string]int
	service presence.ServiceStatus
}

// compose compares a fleet and its services with what a room was told, and returns what it was told after the messages
// that are returned, too. A room that was told nothing yet (nil) hears of trouble only. Trouble is reported as it
// grows, shrinks and ends; of groups that are well only growth is, so that a rollout and its end show.
func compose(before []announced, f presence.Fleet, services []presence.ServiceStatus, onlyCritical bool, now time.Time) ([]announced, []chat.Message) {
	groups, totals := groupsOf(f, now)
	ofNodes := maps.Clone(groups) // of those of services there may be thousands
	addServices(groups, before, services, now)
	after := []announced{} // not nil: the room was told
	var messages []chat.Message
	var ofServices []aboutService
	told := map[group]announced{}
	for _, s := range before {
		told[s.group] = s
		if _, is := groups[s.group]; !is {
			groups[s.group] = &members{}
		}
	}
	for g, is := range groups {
		s := told[g]
		s.group = g
		row := wordRow(g.Word)
		trouble := row.Colour == "red"
		n := len(is.ids)
		if n > 0 && (s.N == 0 || is.since.Before(s.Since)) {
			s.Since = is.since
		}
		said := now.Sub(s.Said)
		soon := said >= 0 && said < lineInterval && (s.N > 0 || !row.Critical)
		left, critical := "", false
		if g.Service == "" {
			left, critical = troubleOf(ofNodes, g)
		}
		switch {
		case g.Word == hasEndpoint && g.Service != "":
			s.N = n // no message: it is remembered, so that its loss is one
		case onlyCritical && !row.Critical:
			continue
		case before == nil && !trouble, n < s.N && !trouble, n == 0 && trouble && !row.Critical && critical:
			s.N = n // that none is failing is no good news where nodes are wedged by now
		case n == s.N && !(row.Critical && n > 0 && said >= lineRepeat), soon:
		default:
			m := chat.Message{Text: sentence(s, is, totals[part{g.Deployment, g.Part}], now), Colour: row.Colour, Critical: row.Critical, Time: now}
			switch {
			case n == 0 && left == "":
				m.Colour = "green"
			case n == 0:
				m.Text += "; " + left
			}
			if g.Service == "" {
				messages = append(messages, m)
			} else {
				ofServices = append(ofServices, aboutService{g, kindOf(s, is.service, n), m})
			}
			s.N, s.Said = n, now
		}
		if s.N > 0 || n > 0 || now.Sub(s.Said) < lineInterval {
			after = append(after, s)
		}
	}
	slices.SortFunc(after, func(a, b announced) int { return a.compare(b.group) })
	messages = append(messages, joined(ofServices)...)
	slices.SortFunc(messages, func(a, b chat.Message) int { return cmp.Compare(a.Text, b.Text) })
	return after, messages
}

func (g group) compare(o group) int {
	return cmp.Or(cmp.Compare(g.Deployment, o.Deployment), cmp.Compare(g.Part, o.Part), cmp.Compare(g.Service, o.Service),
		cmp.Compare(g.Version, o.Version), cmp.Compare(g.Word, o.Word))
}

// troubleOf words the trouble of a part, and tells whether some of it is critical.
func troubleOf(groups map[group]*members, of group) (words string, critical bool) {
	var list []string
	for _, g := range slices.SortedFunc(maps.Keys(groups), group.compare) {
		row := wordRow(g.Word)
		if n := len(groups[g].ids); n > 0 && row.Colour == "red" && g.Deployment == of.Deployment && g.Part == of.Part {
			list = append(list, human.Safe(fmt.Sprintf("%d %s%s", n, g.Word, g.at())))
			critical = critical || row.Critical
		}
	}
	return strings.Join(list, ", "), critical
}

// at is where a group is, in words.
func (g group) at() string {
	if g.Version == "" {
		return ""
	}
	return " at " + human.ID(g.Version)
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
		if len(n.Troubles) > 0 && age != presence.Missing && age != presence.Gone {
			needs := group{Deployment: n.Deployment, Part: n.Nodepart, Word: inTrouble}
			groups[needs] = groups[needs].with(n.InstanceID, strings.Join(n.Troubles, "; "), now)
		}
		switch n.State {
		case node.Idle, node.Working, node.Failing, node.Wedged, node.InitDone:
			if len(n.Repos) > 0 {
				g.Version = n.Repos[0].Version
			}
			for _, r := range slices.Backward(n.Repos) {
				if failed := r.FailedAt(); len(failed) > 0 && (n.State == node.Failing || n.State == node.Wedged) {
					g.Version = failed[0] // and not what is tried meanwhile
				}
			}
		}
		if age == presence.Missing {
			g.Version, g.Word, reason = "", string(presence.Missing), ""
		}
		since := n.Since
		if age == presence.Missing || since.IsZero() || since.After(now) {
			since = now
		}
		groups[g] = groups[g].with(n.InstanceID, reason, since)
	}
	return groups, totals
}

// with adds a node.
func (m *members) with(id, reason string, since time.Time) *members {
	if m == nil {
		m = &members{since: since, reasons: map[string]int{}}
	}
	if since.Before(m.since) {
		m.since = since
	}
	m.ids = append(m.ids, id)
	if reason != "" {
		m.reasons[failureCount.ReplaceAllString(human.Safe(reason), "")]++
	}
	return m
}

// inTrouble is the word of the nodes that need a person, whatever their state: a bad config, no access.
const inTrouble = "in trouble"

// failureCount is what agents put behind a reason. It differs from node to node, and the reason is the same.
var failureCount = regexp.MustCompile(` \([0-9]+ failures in a row\)`)

// wordRow is the row of a state, or of what is as bad as wedged: missing, in need of a person, a service without an
// endpoint.
func wordRow(word string) node.StateRow {
	if word == string(presence.Missing) || word == inTrouble || word == noEndpoint {
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
	n := len(is.ids)
	if s.Service != "" {
		return human.Safe(serviceSentence(s, is.service, n, now))
	}
	text := fmt.Sprintf("%d of %d %s %s%s", n, total, view.Part(s.Deployment, s.Part), s.Word, s.at())
	if n == 0 {
		return human.Safe(fmt.Sprintf("%s (was %d, for %s)", text, s.N, human.Seconds(now.Sub(s.Since))))
	}
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
