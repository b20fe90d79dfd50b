package presence

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/node"
)

// Count is how many nodes of a part are in a state.
type Count struct {
	Part  string
	State string // the node's state, or the age where that is not present
	N     int
}

// standing is the state of a node while it is present, else its age.
func standing(n Node, now time.Time) string {
	if age := n.Age(now); age != Present {
		return string(age)
	}
	return cmp.Or(string(n.State), unknown)
}

// unknown stands for a state that a record does not name, as the first presence files did.
const unknown = "unknown"

// Counts returns how many nodes of each part are in each state, sorted by part and state. A node that is late, missing
// or gone is counted under its age, because its state is outdated.
func Counts(f Fleet, now time.Time) []Count {
	n := map[Count]int{}
	for _, one := range f.Nodes {
		n[Count{Part: one.Nodepart, State: standing(one, now)}]++
	}
	list := make([]Count, 0, len(n))
	for c, k := range n {
		c.N = k
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.Part, b.Part), cmp.Compare(a.State, b.State))
	})
	return list
}

// Well is the Trouble of a node that is well.
const Well = 5

// Trouble orders nodes: the smaller, the more urgent. 0 is wedged, 1 missing, 2 failing, 3 late, 4 disabled, Well all
// that is well, and Well+1 what left.
func Trouble(n Node, now time.Time) int {
	order := []string{string(node.Wedged), string(Missing), string(node.Failing), string(Late), string(node.Disabled)}
	if n.State == node.Wedged && n.Age(now) != Gone {
		return 0 // also when it is late
	}
	if i := slices.Index(order, standing(n, now)); i >= 0 {
		return i
	}
	if n.Age(now) == Gone {
		return Well + 1
	}
	return Well
}

// Troubled returns the nodes in the order in which a person wants to see them: wedged, missing, failing, late,
// disabled, then all that are well, then those that left; in each the order of deployment, part and id.
func Troubled(f Fleet, now time.Time) []Node {
	type ranked struct { // a node is large, and its trouble takes a while
		trouble int
		*Node
	}
	order := make([]ranked, len(f.Nodes))
	for i := range f.Nodes {
		order[i] = ranked{Trouble(f.Nodes[i], now), &f.Nodes[i]}
	}
	slices.SortFunc(order, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.trouble, b.trouble), cmp.Compare(a.Deployment, b.Deployment),
			cmp.Compare(a.Nodepart, b.Nodepart), cmp.Compare(a.InstanceID, b.InstanceID))
	})
	nodes := make([]Node, len(order))
	for i, one := range order {
		nodes[i] = *one.Node
	}
	return nodes
}

// Set is the fingerprint of the set of nodes that others can count on: those that are present or late, have finished
// their init and do not leave. It changes when such a node comes, goes, or has other addresses, and with nothing else.
// Filter narrows it: the keys part, stacktype and deployment; any other key matches no node.
func Set(f Fleet, filter map[string]string, now time.Time) string {
	var lines []string
	for _, n := range f.Nodes {
		if age := n.Age(now); age != Present && age != Late || !Initialised(n) || !matches(n, filter) {
			continue
		}
		addresses := slices.Clone(n.Addresses)
		slices.Sort(addresses)
		// An id has no space; quoting keeps a strange address from looking like two.
		lines = append(lines, fmt.Sprintf("%s %q\n", n.InstanceID, addresses))
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	return hex.EncodeToString(sum[:])
}

// Initialised says whether a node has finished its init, by the statelog or, where that is cut or of an old agent, by a
// state that only comes after the init.
func Initialised(n Node) bool {
	switch n.State {
	case node.InitDone, node.Idle, node.Working:
		return true
	}
	return strings.HasPrefix(n.StateLog, string(node.InitDone)+":") || strings.Contains(n.StateLog, ";"+string(node.InitDone)+":")
}

func matches(n Node, filter map[string]string) bool {
	for key, want := range filter {
		have := map[string]string{"part": n.Nodepart, "stacktype": n.Stacktype, "deployment": n.Deployment}
		if got, known := have[key]; !known || got != want {
			return false
		}
	}
	return true
}

// settleBeats is after how many beats a set that keeps changing is let through: what waits for it must not starve.
const settleBeats = 5

// Settled lets a changed set through once it has been the same for one beat, after five beats at most: while a fleet
// boots, the set changes with each node, and work for each change would be wasted. The zero value lets the first set
// through.
type Settled struct {
	Set     string `json:"set"`               // what was let through last
	Pending string `json:"pending,omitempty"` // what was seen since; "" = the same
	Beats   int    `json:"beats,omitempty"`   // for how many beats another set was seen
	New     bool   `json:"new,omitempty"`     // none was let through yet: see First
	Seen    bool   `json:"seen,omitempty"`    // of a new one: Pending is a set, be it that of no node
}

// Next takes the set of a beat and returns the next value, whose Set is the one to use.
func (s Settled) Next(set string) Settled {
	switch {
	case s.Set == "" || set == s.Set:
		return Settled{Set: set}
	case set == s.Pending || s.Beats+1 >= settleBeats:
		return Settled{Set: set}
	}
	return Settled{Set: s.Set, Pending: set, Beats: s.Beats + 1}
}

// First is Next for a new node: work that waits for a set should not run for one that is about to change. It lets the
// first set through when that has been the same for a beat, after five beats in any case. A set counts only when whole
// is true: what was read shows the node itself.
func (s Settled) First(set string, whole bool) Settled {
	beats := s.Beats + 1
	switch {
	case beats >= settleBeats || whole && s.Seen && set == s.Pending:
		return Settled{Set: set}
	case !whole:
		return Settled{New: true, Beats: beats}
	}
	return Settled{New: true, Seen: true, Pending: set, Beats: beats}
}

// Await says why the first set was not let through yet; "" if it was.
func (s Settled) Await() string {
	what := "until presence shows this node"
	switch {
	case !s.New:
		return ""
	case s.Seen:
		what = "until the set of nodes is stable for a beat"
	}
	return fmt.Sprintf("waiting %s (beat %d of at most %d)", what, s.Beats, settleBeats)
}

// Shows says whether a node is in the fleet and has finished its init.
func Shows(f Fleet, id string) bool {
	return slices.ContainsFunc(f.Nodes, func(n Node) bool { return n.InstanceID == id && Initialised(n) })
}
