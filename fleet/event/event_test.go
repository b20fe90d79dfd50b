package event_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/fleet/fleettest"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
	"github.com/addagent/addagent/presence/history"
)

// grid has a node that is heard, one that has left, one that is missing, and one machine whose agent was never heard.
func grid() (presence.Fleet, event.Provider) {
	now := fleettest.Noon()
	f := fleettest.Of(now, "1 idle a", "1 leaving a", "1 missing a")
	db := presence.Service{Name: "db", Code: "000000", Mode: "mariadb", Role: "master", Port: 3306, Time: now.Add(-time.Hour)}
	for i := range f.Nodes {
		f.Nodes[i].Services = []presence.Service{db}
	}
	cache := presence.Service{Name: "cache", Code: "ER0005", IP: "10.9.9.9", Mode: "memcache", Role: "na"}
	f.Nodes[0].Services = append(f.Nodes[0].Services, cache)
	return f, event.Provider{At: now, Instances: []event.Provided{{"i-1", "10.1.1.1", event.Running}, {"i-3", "10.1.1.3", event.Running},
		{"i-4", "", event.Running}, {"i-5", "10.1.1.5", event.ShuttingDown}}}
}

func TestStatus(t *testing.T) {
	f, p := grid()
	for _, c := range []struct {
		name     string
		provider event.Provider
		want     event.Seen
	}{
		{"without a provider", event.Provider{}, event.Seen{"i-1": "running", "i-2": "stopping", "i-3": "stopped"}},
		{"a machine runs when its agent is heard", p, event.Seen{"i-1": "running", "i-2": "stopping", "i-3": "pending", "i-4": "pending", "i-5": "shutting-down"}},
	} {
		if got := event.StatusOf(f, c.provider, fleettest.Noon()).SeenIn(); !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, not %v", c.name, got, c.want)
		}
	}
}

// TestHeartbeat: the golden file stands beside the ancestor's sample, key by key.
func TestHeartbeat(t *testing.T) {
	f, p := grid()
	host := event.Host{RAM: 2048, Interfaces: []event.Interface{{Name: "eth0", IP: "10.0.0.1", Up: true}, {Name: "eth1"}}}
	data, err := event.Heartbeat(event.StatusOf(f, p, fleettest.Noon()), host, event.Cloud{Driver: "EC2", Region: "eu-west-1"})
	testkit.Must(t, err)
	testkit.Golden(t, "testdata/heartbeat.json", data)
	var b map[string]any
	testkit.Must(t, json.Unmarshal(data, &b))
	if keys := slices.Sorted(maps.Keys(b)); !slices.Equal(keys, []string{"command", "host", "instances_status", "level", "services_status"}) {
		t.Errorf("keys %v", keys)
	}
	texts(t, "", b)
}

// texts: all values are strings, but an address that may be null.
func texts(t *testing.T, path string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, one := range v {
			texts(t, path+"."+key, one)
		}
	case []any:
		for _, one := range v {
			if keys, ok := one.(map[string]any); !ok || len(keys) != 1 {
				t.Errorf("%s: %v is no object with one key", path, one)
			}
			texts(t, path, one)
		}
	case string:
	default:
		if value != nil || path != ".instances_status.instances.i-4.ip" {
			t.Errorf("%s is %v", path, value)
		}
	}
}

func TestEvents(t *testing.T) {
	f, p := grid()
	s := event.StatusOf(f, p, fleettest.Noon())
	line := fold.Transition{Time: fleettest.Noon(), ID: "i-1", From: "working", To: string(node.Idle)}
	one := event.FromHistory([]fold.Transition{line}, s)[0]
	if one.Type != event.Nodes || one.Name != "i-1" || one.IP != "10.0.0.1" || one.State != "idle" || one.PreviousState != "working" || one.ID == "" {
		t.Errorf("%+v", one)
	}
	line.From = "" // a reader with less history
	if again := event.FromHistory([]fold.Transition{line}, event.Status{})[0]; again.ID != one.ID {
		t.Errorf("another reader has the id %s, not %s", again.ID, one.ID)
	}
	was := event.Seen{"i-1": "pending", "i-3": "pending", "i-9": "running"}
	var got []string
	for _, e := range was.Changes(s) {
		got = append(got, e.Name+" "+e.PreviousState+">"+e.State)
	}
	if want := []string{"i-1 pending>running", "i-2 >stopping", "i-4 >pending", "i-5 >shutting-down", "i-9 running>terminated"}; !slices.Equal(got, want) {
		t.Errorf("%q, not %q", got, want)
	}
	if again := s.SeenIn().Changes(s); len(again) > 0 {
		t.Errorf("the same view twice: %v", again)
	}
}

// TestServiceThatIsGone: a service that its node tells no longer has not stopped: it was taken away.
func TestServiceThatIsGone(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	e := event.FromHistory([]fold.Transition{{Time: at, ID: "i-1", Kind: history.KindCode, Service: "web", From: "ER0024", To: "gone"}}, event.Status{})[0]
	if e.Type != event.Services || e.State != "gone" || e.PreviousState != "uninstalled" {
		t.Errorf("%+v", e)
	}
}
