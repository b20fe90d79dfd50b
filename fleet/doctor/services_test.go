package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
)

// TestServicesAreAsked: each node that offers a service is asked once for each of them, also when the doctor dies
// between any two of its writes; then the requests are gone.
func TestServicesAreAsked(t *testing.T) {
	for dies := range testkit.Rounds(1, 8) {
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

// TestInstancesAreStartedFirst: a service is started once its stopped instance was started, and another one was made;
// each once, wherever the doctor dies, and however long the nodes take.
func TestInstancesAreStartedFirst(t *testing.T) {
	for dies := range testkit.Rounds(1, 8) {
		t.Run(fmt.Sprint(dies), func(t *testing.T) {
			g := newGrid(t, "i-1")
			c := newSky()
			c.instances["i-2"], c.ips["i-2"] = event.Stopped, "10.0.0.2"
			g.services = func(id string, r *presence.Record) {
				if r.IP = c.ips[id]; id != "i-1" {
					r.Services = []presence.Service{{Name: "db", Code: "ER0023", IP: r.IP, Port: 3306, Role: "master"}}
				}
			}
			with := func(o *Options) {
				o.Cloud, o.Expect = c, []event.Expected{{Name: "db2", IP: "10.0.0.2", Services: []string{"db"}},
					{Name: "db3", IP: "10.0.0.3", Services: []string{"db", "cron"}, Launch: event.Launch{Template: "lt-1"}},
					{Name: "web", IP: "10.0.0.4", Services: []string{"web"}, Launch: event.Launch{Template: "lt-1"}}}
			}
			g.add(event.Action{ID: "a", DoLevel: "services", DoAction: "start", DoGroup: "db", Deadline: "5h"},
				event.Action{ID: "b", DoLevel: "services", DoAction: "stop", DoGroup: "web", Attempts: 1})
			first := g.doctor("d1", func(o *Options) { with(o); o.Store.repo = &mortal{o.Store.repo, dies} })
			for range 2 {
				if first.Round(t.Context(), g.now) != nil {
					break
				}
				g.beat()
			}
			second := g.doctor("d2", with)
			for n := range 16 {
				for id, state := range c.instances {
					if n > 11 && state == event.Running { // it took this long until the nodes report
						g.states[id] = node.Idle
					}
				}
				g.beat()
				if g.round(second); n == 11 {
					q, err := second.Store.Read(t.Context())
					testkit.Must(t, err)
					g.want("meanwhile", fmt.Sprintf("%s %s %s", q.Actions[0].Awaits, q.Actions[0].Result, q.Actions[0].ConsoleOf(g.now).Return), "[db2 db3] ER0017 delayed until instance creation: db3 ER0017")
				}
			}
			slices.Sort(c.effects)
			g.want("effects", fmt.Sprintf("%d %s", len(c.effects), c.effects[1]), "2 start i-2")
			g.want("ended", strings.Join(strings.Split(g.phases(), ", ")[:2], ", "), "a succeeded, b failed")
			g.want("asked", fmt.Sprint(len(g.done["i-1"]), len(g.done["i-2"]), len(g.done)), "0 1 2")
		})
	}
}

// TestInstanceThatCannotBeStarted: the action that needs it fails with that.
func TestInstanceThatCannotBeStarted(t *testing.T) {
	g := newGrid(t, "i-1")
	c := newSky()
	c.instances["i-2"], c.refuse["start"] = event.Stopped, errors.New("no capacity")
	g.add(event.Action{ID: "a", DoLevel: "services", DoAction: "restart", DoGroup: "i-2", Deadline: "5h"})
	d := g.doctor("d1", func(o *Options) { o.Cloud, o.Expect = c, []event.Expected{{Name: "i-2", Services: []string{"db"}}} })
	for range 30 {
		g.round(d)
		g.now = g.now.Add(time.Minute)
	}
	q, err := d.Store.Read(t.Context())
	testkit.Must(t, err)
	g.want("why", q.Actions[0].Result, "i-2 could not be started: i-2: no capacity")
}

// TestScriptThatFails: the node is not asked again, but where that was wanted.
func TestScriptThatFails(t *testing.T) {
	g := newGrid(t, "i-1")
	code := presence.AnswerDone
	g.services = func(_ string, r *presence.Record) {
		r.Services = []presence.Service{{Name: "db", Code: "000000", IP: "10.0.0.1", Role: "na"}}
		for i := range r.Answers {
			r.Answers[i].Code, r.Answers[i].State = code, "exit 3"
		}
	}
	g.beat()
	g.add(event.Action{ID: "a", DoLevel: "services", DoAction: "restart", DoGroup: "db"},
		event.Action{ID: "b", DoLevel: "services", DoAction: "install", DoGroup: "i-1"},
		event.Action{ID: "c", DoLevel: "services", DoAction: "stop", DoGroup: "10.0.0.1", Attempts: 2})
	code = presence.AnswerFailed
	d := g.doctor("d1", nil)
	g.round(d)
	g.beat()
	g.round(d)
	g.want("once", g.phases(), "a failed, b waiting, c waiting")
	for range 5 {
		g.beat()
		g.round(d)
	}
	g.want("twice", strings.Join([]string{strings.Split(g.phases(), ", ")[0], strings.Split(g.phases(), ", ")[2]}, ", "), "a failed, c failed")
	g.want("asked", fmt.Sprint(strings.Count(fmt.Sprint(g.done["i-1"]), "a-"), strings.Count(fmt.Sprint(g.done["i-1"]), "c-")), "1 2")
}
