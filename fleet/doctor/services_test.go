package doctor

import (
	"fmt"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
)

// TestServicesAreAsked: each node that offers a service is asked once for each of them, also when the doctor dies
// between any two of its writes; then the requests are gone.
func TestServicesAreAsked(t *testing.T) {
	for dies := range testkit.Rounds(3, 8) {
		t.Run(fmt.Sprint(dies), func(t *testing.T) {
			g := newGrid(t, "i-1", "i-2", "i-3")
			g.services = func(id string, r *presence.Record) {
				if id != "i-3" {
					r.Services = []presence.Service{{Name: "cron", Code: "000000", IP: "10.0.0.1", Role: "na"}, {Name: "db", Code: "000000", IP: "10.0.0.1", Port: 3306, Mode: "mariadb", Role: "master"}}
				}
			}
			g.beat()
			g.add(event.Action{ID: "a", DoLevel: "services", DoAction: "restart", DoGroup: "all", DoType: "db", Deadline: "5h"},
				event.Action{ID: "b", DoLevel: "services", DoAction: "drain", DoGroup: "i-1", After: "a", Deadline: "5h"})
			first := g.doctor("d1", func(o *Options) { o.Store.repo = &mortal{o.Store.repo, dies} })
			for range 4 {
				if first.Round(t.Context(), g.now) != nil {
					break
				}
				g.beat()
			}
			second := g.doctor("d2", nil)
			for range 14 {
				g.beat()
				g.round(second)
			}
			db, cron := event.RequestID("a-1", "i-1 db"), event.RequestID("b-1", "i-1 cron")
			g.want("ended", g.phases(), "a succeeded, b succeeded")
			g.want("obeyed", fmt.Sprint(g.done), fmt.Sprintf("map[i-1:[%s %s %s] i-2:[%s]]", db, cron, event.RequestID("b-1", "i-1 db"), db))
			g.want("refs", g.refs(), "doctor")
		})
	}
}

// TestServiceOfNoNode: it is said, and tried again.
func TestServiceOfNoNode(t *testing.T) {
	g := newGrid(t, "i-1")
	g.add(event.Action{ID: "a", DoLevel: "services", DoAction: "restart", DoGroup: "web"})
	d := g.doctor("d1", nil)
	g.round(d)
	q, err := d.Store.Read(t.Context())
	testkit.Must(t, err)
	g.want("result", q.Actions[0].Result, `no present node offers "web"`)
	if e := q.Actions[0]; e.Phase != event.Waits || e.Next.Before(g.now.Add(time.Second)) {
		t.Errorf("%+v", e)
	}
}
