package fold

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold/page"
)

// zoo is a fleet with a node in each kind of trouble.
func zoo(now time.Time) presence.Fleet {
	one := func(id, part string, s node.State, ago time.Duration) presence.Node {
		r := record(id, s, now.Add(-ago))
		r.Nodepart = part
		return presence.Node{Record: r, Told: now.Add(-ago), Commit: fmt.Sprintf("%040x", len(id))}
	}
	failing := one("failing", "app1", node.Failing, 0)
	failing.Reason = "ops part.app1: exit 100: \"no <such> file | dir\"\n# `größe`"
	f := presence.Fleet{From: presence.FromRefs, At: now, Nodes: []presence.Node{
		one("idle-b", "app1", node.Idle, 0), one("idle-a", "app1", node.Idle, time.Minute), one("db", "db", node.Idle, 0),
		one("wedged", "db", node.Wedged, 0), failing, one("left", "app1", node.Leaving, 0),
		one("missing", "app1", node.Working, time.Hour), one("late", "app1", node.Working, 20*time.Minute),
		one("disabled", "db", node.Disabled, 0), one("setup", "db", node.Setup, 0),
	}}
	for i := range f.Nodes {
		if f.Nodes[i].InstanceID == "wedged" { // it pulled what it cannot work
			f.Nodes[i].Repos[0].Due, f.Nodes[i].Repos[0].Worked = []string{"root"}, map[string]string{"root": "6942aad4d5e6f708192a3b4c5d6e7f8091a2b3c4"}
		}
		if f.Nodes[i].InstanceID == "setup" {
			f.Nodes[i].StateLog = "setup:20260301-080000;"
		}
	}
	slices.SortFunc(f.Nodes, func(a, b presence.Node) int { return strings.Compare(a.InstanceID, b.InstanceID) })
	return f
}

func TestReadme(t *testing.T) {
	f := zoo(noon())
	for i, id := range []string{"db", "failing", "idle-a"} { // one is behind, one uses what has no endpoint
		n := &f.Nodes[slices.IndexFunc(f.Nodes, func(n presence.Node) bool { return n.InstanceID == id })]
		n.IP, n.Services = "10.0.0.1", []presence.Service{{Name: "db", Code: []string{"000000", "ER0003", "000000"}[i], Port: 3306, Role: "na"}}
		n.Uses = []presence.Use{{Service: []string{"db", "db|`x", "cache"}[i], Item: "ops:part.app1", Set: "00ff"}}
	}
	f.Notes = []string{"x: presence record: filetype \"<b>\", not \"nodepresence\""}
	testkit.Golden(t, "testdata/README.md", page.Of(f, presence.EndpointsOf(nil, f, noon()), func(string) time.Time { return noon().Add(-time.Hour) }, noon()))
	testkit.Golden(t, "testdata/README-empty.md", page.Of(presence.Fleet{}, nil, nil, noon()))
}
