package web

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
)

// parts are what the page shows beside nodes, by their keys in /grid.json. An event change has those alone whose value
// changed.
type parts struct {
	Presence string                   `json:"presence"` // the repository, without credentials
	From     string                   `json:"from"`     // presence.FromFold or presence.FromRefs; "" = never read
	Every    float64                  `json:"every"`    // seconds between readings
	Error    *Failure                 `json:"error"`    // of the last reading; null = it succeeded
	Notes    []string                 `json:"notes"`    // what was left out, and why
	Versions []Versions               `json:"versions"`
	Services []presence.ServiceStatus `json:"services"`
	Queue    []Action                 `json:"queue,omitempty"` // what a doctor is to do; absent without a queue
}

// Failure is a reading that failed. What was read before it stays.
type Failure struct {
	Text  string    `json:"text"`
	Since time.Time `json:"since"` // of the first of several in a row
}

// Action is an action of the queue that has not ended.
type Action struct {
	ID     string    `json:"id"`
	Action string    `json:"action"`
	Text   string    `json:"text"` // what it does, and what it waits for
	Phase  string    `json:"phase"`
	Added  time.Time `json:"added"`
	By     string    `json:"by,omitempty"`     // the doctor that has claimed it
	Result string    `json:"result,omitempty"` // of the last try
}

// actions are those of a queue that have not ended.
func actions(q event.Queue) []Action {
	list := []Action{}
	for _, e := range q.Actions {
		if !e.Over() {
			list = append(list, Action{ID: e.ID, Action: e.DoAction, Text: e.String(), Phase: string(e.Phase), Added: e.Added, By: e.By, Result: e.Result})
		}
	}
	return list
}

// Versions tells which versions of a repository and branch the nodes are at.
type Versions struct {
	Repo     string         `json:"repo"`
	Branch   string         `json:"branch"`
	Newest   string         `json:"newest"`         // the version that nodes moved to last
	Since    time.Time      `json:"since,omitzero"` // when the first one did, where that is known
	Versions []VersionCount `json:"versions"`       // the newest first, then by the number of nodes
	Behind   []string       `json:"behind"`         // nodes at another version than the newest, by id
}

// VersionCount is how many nodes are at a version.
type VersionCount struct {
	Version string `json:"version"`
	Nodes   int    `json:"nodes"`
}

// appeared is when a node moved last to each version of a repository and branch that is at a node; zero = it was there
// at the first reading.
type appeared map[[3]string]time.Time

// see takes in what is at nodes now, and forgets what is not: a version that comes back has appeared again.
func (a appeared) see(nodes []presence.Node, now time.Time) {
	there := make(map[[3]string]bool, len(a))
	for _, n := range nodes {
		for _, r := range n.Repos {
			key := [3]string{r.Name, r.Branch, r.Version}
			if _, known := a[key]; !known {
				a[key] = now
			}
			there[key] = true
		}
	}
	maps.DeleteFunc(a, func(key [3]string, _ time.Time) bool { return !there[key] })
}

// recall takes the times of what was there at the first reading from the history, whose lines have the version of a
// node's first repository. The first line of a node does not tell whether it moved then.
func (a appeared) recall(p *past, nodes []presence.Node) {
	first := map[string]presence.Repo{}
	for _, n := range nodes {
		if len(n.Repos) > 0 {
			first[n.InstanceID] = n.Repos[0]
		}
	}
	moved, before := appeared{}, map[string]string{}
	p.all(func(l Line) {
		r, ok := first[l.ID]
		if was, seen := before[l.ID]; ok && seen && was != l.Version {
			moved[[3]string{r.Name, r.Branch, l.Version}] = l.Time
		}
		before[l.ID] = l.Version
	})
	for key, at := range moved {
		if since, known := a[key]; known && since.IsZero() {
			a[key] = at
		}
	}
}

// versionsOf counts the versions of nodes that are not gone.
func versionsOf(nodes []presence.Node, when appeared, now time.Time) []Versions {
	type place [2]string
	at := map[place]map[string][]string{} // the ids of the nodes, by version
	for _, n := range nodes {
		if n.Age(now) == presence.Gone {
			continue
		}
		for _, r := range n.Repos {
			p := place{r.Name, r.Branch}
			if at[p] == nil {
				at[p] = map[string][]string{}
			}
			at[p][r.Version] = append(at[p][r.Version], n.InstanceID)
		}
	}
	list := []Versions{}
	for p, versions := range at {
		v := Versions{Repo: p[0], Branch: p[1], Behind: []string{}}
		since := func(version string) time.Time { return when[[3]string{p[0], p[1], version}] }
		order := slices.SortedFunc(maps.Keys(versions), func(a, b string) int {
			return cmp.Or(since(b).Compare(since(a)), cmp.Compare(len(versions[b]), len(versions[a])), cmp.Compare(a, b))
		})
		v.Newest, v.Since = order[0], since(order[0])
		slices.SortStableFunc(order[1:], func(a, b string) int { return cmp.Compare(len(versions[b]), len(versions[a])) })
		for i, version := range order {
			v.Versions = append(v.Versions, VersionCount{version, len(versions[version])})
			if i > 0 {
				v.Behind = append(v.Behind, versions[version]...)
			}
		}
		slices.Sort(v.Behind)
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b Versions) int { return cmp.Or(cmp.Compare(a.Repo, b.Repo), cmp.Compare(a.Branch, b.Branch)) })
	return list
}

// next is the command to run about a node that needs a person; "" = none.
func next(n presence.Node, rank int, now time.Time) string {
	switch {
	case rank >= presence.Well:
		return ""
	case n.Age(now) == presence.Missing:
		return "addctl log " + n.InstanceID + " --since 7d"
	}
	return "addctl node " + n.InstanceID
}

// encodeNode is a node as in `addctl nodes --json`, with trouble, next and told.
func encodeNode(n presence.Node, now time.Time) (json.RawMessage, error) {
	data, err := presence.EncodeNode(n, now)
	if err != nil {
		return nil, err
	}
	rank := presence.Trouble(n, now)
	more, err := json.Marshal(struct {
		Next    string    `json:"next,omitempty"`
		Told    time.Time `json:"told,omitzero"`
		Trouble int       `json:"trouble"`
	}{next(n, rank, now), n.Told.UTC(), rank})
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", human.Quote(n.InstanceID), err)
	}
	data[len(data)-1] = ','
	return append(data, more[1:]...), nil
}
