package view

import (
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// TestServices counts endpoints and users by deployment, and puts trouble first.
func TestServices(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(id, deployment string, uses []presence.Use, list ...presence.Service) presence.Node {
		return presence.Node{Record: presence.Record{InstanceID: id, Deployment: deployment, State: node.Idle, IP: "10.0.0.1", BeatSeen: now, BeatNextBy: now.Add(time.Minute), Services: list, Uses: uses}}
	}
	db := func(code string) presence.Service {
		return presence.Service{Name: "db", Code: code, IP: "10.0.0.1", Port: 3306, Role: "na", Mode: "db"}
	}
	web := presence.Service{Name: "web", Code: "000000", IP: "10.0.0.2", Port: 80, Role: "na", Mode: "web"}
	f := presence.Fleet{Nodes: []presence.Node{at("i-1", "fed1", nil, db("000000"), web), at("i-2", "fed1", nil, db("ER0003")), at("i-3", "fed2", nil, db("000000"))}}
	current := presence.SetID(presence.EndpointsOf(nil, f, now).Set(presence.ServiceFilter{Service: "web"}, "fed1"))
	f.Nodes = append(f.Nodes, at("i-4", "fed1", []presence.Use{
		{Item: "ops:a", Service: "web", Set: current}, {Item: "ops:b", Service: "db", Deployment: "all", Set: "old"}, {Item: "ops:c", Service: "cache"}}))
	lines := strings.Join(ServicesTable(presence.ServicesOf(presence.EndpointsOf(nil, f, now), f, now)).Lines(0, false), "\n")
	want := `SERVICE  DEPLOYMENT  AVAILABLE  USERS  NOT AVAILABLE  BEHIND
cache    fed1        0 of 0     1      -              i-4 ops:c
db       fed1        1 of 2     1      i-2 ER0003     i-4 ops:b
db       fed2        1 of 1     1      -              i-4 ops:b
web      fed1        1 of 1     1      -              -`
	if lines != want {
		t.Errorf("got\n%s\nwant\n%s", lines, want)
	}
}
