package presence

import (
	"testing"
	"time"

	"github.com/addagent/addagent/internal/node"
)

// TestUserOfAllDeployments: it uses a service too that no node offers and only a later node's use names.
func TestUserOfAllDeployments(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	one := func(id, deployment, of string) Node {
		return Node{Record: Record{InstanceID: id, State: node.Idle, Deployment: deployment, BeatSeen: now, BeatNextBy: now.Add(time.Minute),
			Uses: []Use{{Service: "db", Deployment: of, Item: "ops:root"}}}}
	}
	all := ServicesOf(nil, Fleet{Nodes: []Node{one("i-1", "fed1", AllDeployments), one("i-2", "fed2", "")}}, now)
	if len(all) != 1 || all[0].Deployment != "fed2" || len(all[0].Users) != 2 {
		t.Errorf("%+v", all)
	}
}
