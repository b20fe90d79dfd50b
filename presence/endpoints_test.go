package presence

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/node"
)

// serving is a node that offers db since noon, reported last at a time, and promised the next report in 12 minutes.
func serving(id, role, code string, at time.Time) Node {
	r := record(id, node.Idle, at)
	r.IP, r.Services = "10.0.0."+strings.TrimLeft(id, "n"), []Service{{Name: "db", Port: 3306, Role: role, Code: code}}
	return Node{Record: Normalize(r), Told: at}
}

func inSet(e Endpoints, f ServiceFilter) string {
	var ids []string
	for _, one := range e.Set(f, "fed1") {
		ids = append(ids, one.Node)
	}
	return strings.Join(ids, " ")
}

// TestSetsOfSilentNodes: which nodes are in a set while some of them do not report, over time.
func TestSetsOfSilentNodes(t *testing.T) {
	now := noon()
	long := now.Add(-time.Hour)
	at := map[byte]time.Time{'p': now, 'l': now.Add(-15 * time.Minute), 's': now.Add(-40 * time.Minute), 'o': now.Add(-3 * time.Hour)}
	for _, c := range []struct{ what, nodes, before, want string }{
		{"all report", "p p p", "", "n1 n2 n3"},
		{"late counts as here", "p l l", "", "n1 n2 n3"},
		{"one of three is silent", "p p s", "", "n1 n2"},
		{"half is silent", "p p s s", "", "n1 n2"},
		{"more than half is silent", "p s s", "", "n1 n2 n3"},
		{"for over an hour", "p o o", "", "n1"},
		{"all are silent", "s s", "", "n1 n2"},
		{"all, for over an hour: the last one stays", "o o", "", "n2"},
		{"the last one", "o", "", "n1"},
		{"one that has left stays away while another goes", "p s s", "n3", "n1"},
		{"until it reports", "p s p", "n3", "n1 n3"},
		{"none", "", "", ""},
	} {
		var f Fleet
		for i, kind := range strings.Fields(c.nodes) {
			f.Nodes = append(f.Nodes, serving(fmt.Sprint("n", i+1), "na", "000000", at[kind[0]]))
		}
		before := Endpoints{}
		for _, id := range strings.Fields(c.before) {
			before["db"] = append(before["db"], Endpoint{Node: id, Left: true, Silent: long})
		}
		got := EndpointsOf(before, f, now)
		if set := inSet(got, ServiceFilter{Service: "db"}); set != c.want || len(got["db"]) != len(f.Nodes) {
			t.Errorf("%s: %q of %d, not %q", c.what, set, len(got["db"]), c.want)
		}
		if again := EndpointsOf(got, f, now); !again.Equal(got) {
			t.Errorf("%s: read again it is %+v", c.what, again)
		}
	}
}

// TestSetsOfRoles: a silent master that is the only one stays, whatever the slaves do; codes, deployments and nodes
// that leave on purpose.
func TestSetsOfRoles(t *testing.T) {
	now := noon()
	f := Fleet{Nodes: []Node{serving("n1", "master", "000000", now.Add(-3*time.Hour)), serving("n2", "slave", "000000", now), serving("n3", "slave", "ER0003", now),
		serving("n4", "slave", "000000", now), serving("n5", "slave", "000000", now)}}
	f.Nodes[3].Deployment, f.Nodes[4].State = "fed2", node.Leaving
	e := EndpointsOf(nil, f, now)
	for filter, want := range map[ServiceFilter]string{
		{"db", "", ""}: "n1 n2", {"db", "master", ""}: "n1", {"db", "slave", ""}: "n2", {"db", "", "fed2"}: "n4",
		{"db", "", "all"}: "n1 n2 n4", {"db", "", "no"}: "", {"web", "", ""}: "",
	} {
		if got := inSet(e, filter); got != want {
			t.Errorf("%+v: %q, not %q", filter, got, want)
		}
	}
	// Emptied on purpose, it is empty.
	f.Nodes[0].State, f.Nodes[1].State = node.Leaving, node.Leaving
	if got := inSet(EndpointsOf(e, f, now), ServiceFilter{Service: "db"}); got != "" {
		t.Errorf("they left, and %q stay", got)
	}
	if a, b := SetID(e.Set(ServiceFilter{"db", "", ""}, "fed1")), SetID(e.Set(ServiceFilter{"db", "", "all"}, "")); a == b || len(a) != 16 {
		t.Errorf("ids %s, %s", a, b)
	}
}

func TestEndpointsDocument(t *testing.T) {
	now := noon()
	e := EndpointsOf(nil, Fleet{Nodes: []Node{serving("n1", "master", "000000", now.Add(-time.Hour)), serving("n2", "slave", "ER0003", now)}}, now)
	data, err := EncodeEndpoints(e["db"])
	if err != nil || strings.Count(string(data), "\n") != 7 {
		t.Fatalf("%s, %v", data, err)
	}
	if back, err := DecodeEndpoints(data); err != nil || !slices.Equal(back, e["db"]) {
		t.Errorf("%+v, %v", back, err)
	}
	back, err := DecodeEndpoints([]byte(`{"filetype":"nodeservices","value":[{"node":"a;b"},{"node":"a","ip":"1;2","port":99999,"role":"x y","code":"000000\n"},
		{"node":"a","ip":"10.0.0.1"},{"node":"b","silent":"9999-12-31T23:59:59-12:00"}]}`))
	if err != nil || len(back) != 1 || back[0] != (Endpoint{Node: "a", Role: "na", Code: "ER0023"}) {
		t.Errorf("%+v, %v", back, err)
	}
}
