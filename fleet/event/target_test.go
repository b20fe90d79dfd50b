package event

import (
	"strings"
	"testing"

	"github.com/addagent/addagent/fleet/fleettest"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// TestTargets: what a group and a type mean at the levels whose actions ask nodes.
func TestTargets(t *testing.T) {
	now := fleettest.Noon()
	one := func(id, ip string, services ...presence.Service) presence.Node {
		n := fleettest.One(id, node.Idle, "a", "", now)
		n.IP, n.Addresses, n.Services = ip, []string{ip}, services
		return n
	}
	db, cache := presence.Service{Name: "db", Mode: "mariadb", Code: "000000"}, presence.Service{Name: "cache", Mode: "memcache", Code: "ER0005"}
	gone := one("i-3", "10.0.0.3", db)
	gone.State = node.Leaving
	s := StatusOf(presence.Fleet{Nodes: []presence.Node{one("i-1", "10.0.0.1", db, cache), one("i-2", "10.0.0.2", db), gone}}, Provider{}, now)
	for _, c := range []struct{ level, group, kind, want string }{
		{Nodes, All, "", "i-1, i-2"}, {Nodes, "cache", "", "i-1"}, {Nodes, "10.0.0.2", "", "i-2"}, {Nodes, Local, "", "i-2"}, {Nodes, "web", "", ""},
		{Services, "db", "", "i-1 db, i-2 db"}, {Services, "i-1", All, "i-1 cache, i-1 db"}, {Services, "10.0.0.2", "", "i-2 db"}, {Services, Local, "", "i-2 db"},
		{Services, "fed1", "db", "i-1 db, i-2 db"}, {Services, All, "nosql", "i-1 cache"}, {Services, All, "mariadb", "i-1 db, i-2 db"},
		{Services, "cache", "db", ""}, {Services, "i-3", "", ""}, {Services, "web", "", ""},
	} {
		got := strings.Join(Action{DoLevel: c.level, DoGroup: c.group, DoType: c.kind}.Targets(s, []string{"10.0.0.2"}), ", ")
		if got != c.want {
			t.Errorf("%s %s %s: %s, not %s", c.level, c.group, c.kind, got, c.want)
		}
	}
	long := strings.Repeat("s", 63)
	if id := RequestID(strings.Repeat("a", 40)+"-100", "i-1 "+long); len(id) > 50 || id == RequestID(strings.Repeat("a", 40)+"-100", "i-1 "+long[1:]) {
		t.Error(id)
	}
}
