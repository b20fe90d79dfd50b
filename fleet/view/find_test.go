package view

import (
	"strings"
	"testing"

	"github.com/addagent/addagent/fleet/fleettest"
)

func TestFind(t *testing.T) {
	f := fleettest.Of(fleettest.Noon(), "12 idle a")
	f.Nodes[1].Hostname = "i-1" // another's id
	for word, want := range map[string]string{
		"i-1": "i-1", "i-12": "i-12", "i-2": "i-2", "i-2.example.org": "i-2", "i-2.ex": "i-2", "10.0.0.3": "i-3",
	} {
		if n, err := Find(f, word); err != nil || n.InstanceID != want {
			t.Errorf("%s: %s, %v", word, n.InstanceID, err)
		}
	}
	for word, want := range map[string]string{
		"": "no node  among 12 nodes", "i-": "i- matches 12 nodes, such as i-1, i-10, i-11, i-12, i-2, i-3", "10.0.0": "no node",
	} {
		if n, err := Find(f, word); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %s, %v", word, n.InstanceID, err)
		}
	}
}
