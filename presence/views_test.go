package presence

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
)

// zoo is a fleet with a node in each kind of trouble.
func zoo(now time.Time) Fleet {
	one := func(id, part string, s node.State, ago time.Duration) Node {
		r := record(id, s, now.Add(-ago))
		r.Nodepart = part
		return Node{Record: r, Told: now.Add(-ago), Commit: fmt.Sprintf("%040x", len(id))}
	}
	failing := one("failing", "app1", node.Failing, 0)
	failing.Reason = "ops part.app1: exit 100: \"no <such> file | dir\"\n# `größe`"
	f := Fleet{From: FromRefs, At: now, Nodes: []Node{
		one("idle-b", "app1", node.Idle, 0), one("idle-a", "app1", node.Idle, time.Minute), one("db", "db", node.Idle, 0),
		one("wedged", "db", node.Wedged, 0), failing, one("left", "app1", node.Leaving, 0),
		one("missing", "app1", node.Working, time.Hour), one("late", "app1", node.Working, 20*time.Minute),
		one("disabled", "db", node.Disabled, 0), one("setup", "db", node.Setup, 0),
	}}
	for i := range f.Nodes {
		if f.Nodes[i].InstanceID == "setup" {
			f.Nodes[i].StateLog = "setup:20260301-080000;"
		}
	}
	slices.SortFunc(f.Nodes, func(a, b Node) int { return strings.Compare(a.InstanceID, b.InstanceID) })
	return f
}

func TestCounts(t *testing.T) {
	want := []Count{{"app1", "failing", 1}, {"app1", "gone", 1}, {"app1", "idle", 2}, {"app1", "late", 1}, {"app1", "missing", 1},
		{"db", "disabled", 1}, {"db", "idle", 1}, {"db", "setup", 1}, {"db", "wedged", 1}}
	if got := Counts(zoo(noon()), noon()); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	first := Node{Record: Record{InstanceID: "i-1", Nodepart: "app1"}, Told: noon()} // which says no state
	if got := Counts(Fleet{Nodes: []Node{first}}, noon()); !reflect.DeepEqual(got, []Count{{"app1", "unknown", 1}}) {
		t.Errorf("of one of the first presence files %v", got)
	}
	if got := Counts(Fleet{}, noon()); len(got) != 0 {
		t.Errorf("of nothing %v", got)
	}
}

func TestNode(t *testing.T) {
	f := zoo(noon())
	for _, n := range f.Nodes {
		if got, ok := f.Node(n.InstanceID); !ok || got.Commit != n.Commit || got.InstanceID != n.InstanceID {
			t.Errorf("%s: %+v, %v", n.InstanceID, got, ok)
		}
	}
	if got, ok := f.Node("nobody"); ok {
		t.Errorf("an unknown node is %+v", got)
	}
}

func TestTroubled(t *testing.T) {
	var got []string
	for _, n := range Troubled(zoo(noon()), noon()) {
		got = append(got, n.InstanceID)
	}
	want := []string{"wedged", "missing", "failing", "late", "disabled", "idle-a", "idle-b", "db", "setup", "left"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestSet(t *testing.T) {
	now := noon()
	base := Set(zoo(now), nil, now)
	change := func(id string, f func(*Node)) Fleet {
		z := zoo(now)
		for i := range z.Nodes {
			if z.Nodes[i].InstanceID == id {
				f(&z.Nodes[i])
			}
		}
		return z
	}
	state := func(s node.State) func(*Node) { return func(n *Node) { n.State = s } }
	for _, c := range []struct {
		what  string
		f     Fleet
		other bool
	}{
		{"nothing", zoo(now), false},
		{"idle works", change("idle-a", state(node.Working)), false},
		{"idle is wedged", change("idle-a", state(node.Wedged)), false},
		{"idle leaves", change("idle-a", state(node.Leaving)), true},
		{"idle is set up again", change("idle-a", func(n *Node) { n.State, n.StateLog = node.Setup, "setup:20260301-080000;" }), true},
		{"another address", change("idle-a", func(n *Node) { n.Addresses = []string{"10.0.0.8"} }), true},
		{"one more address", change("idle-a", func(n *Node) { n.Addresses = append(n.Addresses, "10.0.0.8") }), true},
		{"another version", change("idle-a", func(n *Node) { n.Repos = nil }), false},
		{"another beat", change("idle-a", func(n *Node) { n.BeatSeen = now }), false},
		{"late is present", change("late", func(n *Node) { n.BeatSeen, n.BeatNextBy = now, now.Add(time.Hour) }), false},
		{"late is missing", change("late", func(n *Node) { n.BeatSeen, n.BeatNextBy = now.Add(-time.Hour), now.Add(-time.Hour) }), true},
		{"missing is back", change("missing", func(n *Node) { n.BeatNextBy = now.Add(time.Hour) }), true},
		{"setup is done", change("setup", state(node.InitDone)), true},
		{"setup fails", change("setup", state(node.Failing)), false},
	} {
		if got := Set(c.f, nil, now); (got != base) != c.other {
			t.Errorf("%s: the set differs: %v", c.what, got != base)
		}
	}
	all := map[string]bool{}
	for _, filter := range []map[string]string{nil, {"part": "app1"}, {"part": "db"}, {"part": "app1", "stacktype": "other"}} {
		all[Set(zoo(now), filter, now)] = true
	}
	if len(all) != 4 {
		t.Errorf("%d different sets of 4 filters", len(all))
	}
	empty := Set(Fleet{}, nil, now)
	for _, filter := range []map[string]string{{"deployment": "x"}, {"nodepart": "app1"}} {
		if Set(zoo(now), filter, now) != empty {
			t.Errorf("%v matches a node", filter)
		}
	}
	if Set(zoo(now), map[string]string{"deployment": "fed1", "stacktype": "lad1"}, now) != base {
		t.Error("a filter that matches all narrows the set")
	}
	two := Fleet{Nodes: []Node{change("db", func(n *Node) { n.Addresses = []string{"a", "b"} }).Nodes[0]}}
	two.Nodes[0].Addresses = []string{"b", "a"}
	one := Set(two, nil, now)
	two.Nodes[0].Addresses = []string{"a", "b"}
	if Set(two, nil, now) != one {
		t.Error("the order of addresses matters")
	}
}

func TestSettled(t *testing.T) {
	for _, c := range []struct{ what, sets, want string }{
		{"the first is taken", "aaa", "aaa"},
		{"quiet for one beat", "aabbb", "aaabb"},
		{"there and back", "aabaa", "aaaaa"},
		{"and then another", "aabacc", "aaaaac"},
		{"never at rest", "abcdefgh", "aaaaafff"},
		{"at rest late", "abcdddd", "aaaaddd"},
		{"a change after another", "abbcc", "aabbc"},
	} {
		got, s := "", Settled{}
		for _, set := range c.sets {
			// Between two beats it may be written down and read again.
			data, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			var again Settled
			if err := json.Unmarshal(data, &again); err != nil {
				t.Fatal(err)
			}
			s = again.Next(string(set))
			got += s.Set
		}
		if got != c.want {
			t.Errorf("%s: %s gives %s, not %s", c.what, c.sets, got, c.want)
		}
	}
}

// TestSettledFirst: a small letter is a set of a reading that shows the node itself, a large one of one that does
// not, "-" no reading; "." is a beat at which the set is still waited for.
func TestSettledFirst(t *testing.T) {
	for _, c := range []struct{ what, sets, want string }{
		{"quiet for one beat", "aaa", ".aa"},
		{"read late", "--aab", "...aa"},
		{"without the node itself, and with it", "AAbb", "...b"},
		{"no node of that part", "Aoo", "..o"},
		{"another, and then quiet", "abb", "..b"},
		{"never at rest", "abcdef", "....ee"},
		{"at rest in the last moment", "-Abcc", "....c"},
		{"never read", "------", "....oo"},
		{"never shown", "AAAAAA", "....AA"},
	} {
		got, s := "", Settled{}
		for i, set := range c.sets {
			data, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			s = Settled{}
			if err := json.Unmarshal(data, &s); err != nil {
				t.Fatal(err)
			}
			id := strings.Trim(string(set), "-o") // no node at all
			switch {
			case i == 0 || s.New:
				s = s.First(id, set >= 'a')
			case set != '-':
				s = s.Next(id)
			}
			if (s.Await() != "") != s.New {
				t.Errorf("%s: new %v, and %q", c.what, s.New, s.Await())
			}
			switch {
			case s.New:
				got += "."
			case s.Set == "":
				got += "o"
			default:
				got += s.Set
			}
		}
		if got != c.want {
			t.Errorf("%s: %s gives %s, not %s", c.what, c.sets, got, c.want)
		}
	}
	for s, want := range map[Settled]string{
		{}:                                "",
		{Set: "a", Pending: "b"}:          "",
		{New: true, Beats: 1}:             "waiting until presence shows this node (beat 1 of at most 5)",
		{New: true, Seen: true, Beats: 3}: "waiting until the set of nodes is stable for a beat (beat 3 of at most 5)",
	} {
		if got := s.Await(); got != want {
			t.Errorf("%+v: %q, want %q", s, got, want)
		}
	}
}

func TestShows(t *testing.T) {
	f := Fleet{Nodes: []Node{{Record: Record{InstanceID: "i-1", State: node.Setup, StateLog: "setup:20260301-080022;"}},
		{Record: Record{InstanceID: "i-2", State: node.Working}}}}
	for id, want := range map[string]bool{"i-1": false, "i-2": true, "i-3": false} {
		if got := Shows(f, id); got != want {
			t.Errorf("%s: %v", id, got)
		}
	}
}

func TestEncodeNodes(t *testing.T) {
	data, err := EncodeNodes(zoo(noon()), noon())
	if err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, "testdata/nodes.json", data)
	if data, err := EncodeNodes(Fleet{}, noon()); err != nil || string(data) != "[]\n" {
		t.Errorf("of nothing %q, %v", data, err)
	}
	// The keys are sorted, and but for the age they are those of the record.
	var list []map[string]any
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	for i, n := range zoo(noon()).Nodes {
		age, _ := list[i]["age"].(string)
		if Age(age) != n.Age(noon()) {
			t.Errorf("%s: age %q", n.InstanceID, age)
		}
		delete(list[i], "age")
		data, err := Encode(n.Record)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct{ Value map[string]any }
		if err := json.Unmarshal(data, &doc); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(list[i], doc.Value) {
			t.Errorf("%s: %v\nnot %v", n.InstanceID, list[i], doc.Value)
		}
	}
}
