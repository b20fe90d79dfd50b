package event_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/fleet/fleettest"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// TestSets: a set has settled once each present node that uses the service has worked with its present endpoints.
func TestSets(t *testing.T) {
	now := fleettest.Noon()
	offers := func(n *presence.Node, name, role string) {
		n.Services = append(n.Services, presence.Service{Name: name, Code: "000000", IP: n.Addresses[0], Port: 1, Role: role})
	}
	var fleet presence.Fleet
	uses := func(n *presence.Node, u presence.Use, behind bool) {
		if !behind {
			u.Set = presence.SetID(presence.EndpointsOf(nil, fleet, now).Set(presence.ServiceFilter{Service: u.Service, Role: u.Role, Deployment: u.Deployment}, n.Deployment))
		}
		n.Uses = append(n.Uses, u)
	}
	silent := func(n *presence.Node) { n.BeatSeen, n.BeatNextBy = now.Add(-time.Hour), now.Add(-50*time.Minute) }
	for _, c := range []struct {
		what  string
		users func(a, b *presence.Node)
		want  string
	}{
		{"no one uses it", func(_, _ *presence.Node) {}, "db settled"},
		{"all have worked", func(a, b *presence.Node) {
			uses(a, presence.Use{Service: "db"}, false)
			uses(b, presence.Use{Service: "db"}, false)
		}, "db settled"},
		{"one has not", func(a, b *presence.Node) {
			uses(a, presence.Use{Service: "db"}, false)
			uses(b, presence.Use{Service: "db"}, true)
		}, "db changing"},
		{"one of its items has not", func(a, _ *presence.Node) {
			uses(a, presence.Use{Service: "db", Item: "ops:a"}, true)
			uses(a, presence.Use{Service: "db", Item: "ops:b"}, false)
		}, "db changing"},
		{"the one that has not is silent", func(a, b *presence.Node) { uses(a, presence.Use{Service: "db"}, true); silent(a) }, "db settled"},
		{"it leaves", func(a, _ *presence.Node) { uses(a, presence.Use{Service: "db"}, true); a.State = node.Leaving }, "db settled"},
		{"of one role", func(a, _ *presence.Node) { uses(a, presence.Use{Service: "db", Role: "slave"}, false) }, "db settled"},
		{"in all deployments", func(a, _ *presence.Node) { uses(a, presence.Use{Service: "db", Deployment: "all"}, false) }, "db settled"},
		{"what no node offers", func(a, _ *presence.Node) {
			uses(a, presence.Use{Service: "six"}, false)
			uses(a, presence.Use{Service: "seven"}, true)
		},
			"db settled, seven changing, six settled"},
	} {
		fleet = presence.Fleet{At: now}
		for i, id := range []string{"i-1", "i-2", "i-3", "i-4", "i-5"} {
			n := fleettest.One(id, node.Idle, "a", "", now)
			if i < 3 {
				offers(&n, "db", []string{"master", "slave", "slave"}[i])
			}
			if i == 2 {
				n.Deployment = "fed2"
			}
			fleet.Nodes = append(fleet.Nodes, n)
		}
		c.users(&fleet.Nodes[3], &fleet.Nodes[4])
		s := event.StatusOf(fleet, event.Provider{}, now).WithSets(presence.EndpointsOf(nil, fleet, now))
		var got []string
		for _, one := range s.Sets {
			got = append(got, one.Service+" "+one.State)
		}
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("%s: %s, not %s", c.what, text, c.want)
		}
	}
}

// TestSetEvents: nothing that happens to a set between two views is missed, and a view that is older than one that
// another doctor took in changes nothing.
func TestSetEvents(t *testing.T) {
	now := fleettest.Noon()
	view := func(minute int, sets ...event.Set) event.Status {
		return event.Status{At: now.Add(time.Duration(minute) * time.Minute), Sets: append([]event.Set{}, sets...)}
	}
	var q event.Queue
	for _, c := range []struct {
		what string
		s    event.Status
		want string
	}{
		{"the first view", view(0, event.Set{Service: "db", State: "settled", ID: "a"}), "[]"},
		{"the same", view(1, event.Set{Service: "db", State: "settled", ID: "a"}), "[]"},
		{"an endpoint came", view(3, event.Set{Service: "db", State: "changing", ID: "b"}), "[db settled a → changing b]"},
		{"seen before", view(2, event.Set{Service: "db", State: "settled", ID: "a"}), "[]"},
		{"all have worked", view(4, event.Set{Service: "db", State: "settled", ID: "b"}), "[db changing b → settled b]"},
		{"another one, and all have worked", view(5, event.Set{Service: "db", State: "settled", ID: "c"}), "[db settled b → settled c]"},
		{"a clock that was a day ahead", view(-1440, event.Set{Service: "db", State: "changing", ID: "c"}), "[db settled c → changing c]"},
		{"a new service", view(6, event.Set{Service: "db", State: "changing", ID: "c"}, event.Set{Service: "web", State: "settled", ID: "w"}), "[web  0 → settled w]"},
		{"what is not known", event.Status{At: now.Add(7 * time.Minute)}, "[]"},
	} {
		var got []string
		news := q.News(c.s)
		for _, e := range news {
			got = append(got, fmt.Sprintf("%s %s %s → %s %s", e.Name, e.PreviousState, e.PreviousCode, e.State, e.Code))
		}
		if text := "[" + strings.Join(got, ", ") + "]"; text != c.want {
			t.Errorf("%s: %s, not %s", c.what, text, c.want)
		}
		q = q.TakeIn(news, "", c.s, c.s.At)
	}
	if len(q.Sets) != 2 {
		t.Errorf("%v", q.Sets)
	}

	b := newBench(t)
	b.add(work("by-state", "g1", func(a *event.Action) { a.EventType, a.EventName, a.EventState = "sets", "db", "settled" }),
		work("by-event", "g2", func(a *event.Action) { a.EventType, a.EventState = "sets", "changing" }),
		work("another", "g3", func(a *event.Action) { a.EventType, a.EventName, a.EventState = "sets", "web", "settled" }))
	b.s.Sets = []event.Set{{Service: "db", State: "settled", ID: "a"}}
	b.want("by the status", b.claim(), "by-state")
	b.want("by an event", b.claim(event.Event{Type: "sets", Name: "db", State: "changing"}), "by-event")
}
