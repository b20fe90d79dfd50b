package doctor

import (
	"strings"
	"testing"

	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
)

// TestSetIsAwaited: an action waits until all users of a service have worked with its endpoints, by the index of the
// fold; what changed is in the log, once, whatever doctors look.
func TestSetIsAwaited(t *testing.T) {
	g := newGrid(t, "i-1", "i-2")
	used := ""
	g.services = func(id string, r *presence.Record) {
		if id == "i-1" {
			r.Services = []presence.Service{{Name: "db", Code: "000000", IP: "10.0.0.1", Port: 3306, Role: "master"}}
			return
		}
		r.Uses = []presence.Use{{Service: "db", Item: "ops:proxy", Set: used}}
	}
	d, other := g.doctor("d1", nil), g.doctor("d2", nil)
	g.round(d)
	g.add(event.Action{ID: "told", EventType: "sets", EventName: "db", EventState: "settled", DoLevel: "nodes", DoAction: "work", DoGroup: "i-2"})
	began := g.now
	g.beat()
	g.round(d)
	g.round(other)
	g.want("before the proxy has worked", g.phases(), "told waiting")
	ends, err := d.Fleet.Endpoints(t.Context(), g.now)
	testkit.Must(t, err)
	used = presence.SetID(ends.Set(presence.ServiceFilter{Service: "db"}, "fed1"))
	g.beat()
	g.round(other)
	g.round(d)
	g.want("once it has", g.phases(), "told asked")
	list, err := d.Store.Events(t.Context(), began)
	testkit.Must(t, err)
	var said []string
	for _, e := range list {
		said = append(said, e.Type+" "+e.Name+" "+e.PreviousState+" "+e.State)
	}
	g.want("the log", strings.Join(said, ", "), "sets db  changing, sets db changing settled")
}
