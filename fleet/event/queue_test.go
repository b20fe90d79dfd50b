package event_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/fleet/fleettest"
	"github.com/addagent/addagent/internal/testkit"
)

// bench is a queue at a time, over a fleet of two nodes.
type bench struct {
	*testing.T
	q   event.Queue
	s   event.Status
	now time.Time
}

func newBench(t *testing.T) *bench {
	now := fleettest.Noon()
	return &bench{t, event.Queue{}, event.StatusOf(fleettest.Of(now, "1 idle a", "1 failing a"), event.Provider{}, now), now}
}

func work(id, group string, more ...func(*event.Action)) event.Action {
	a := event.Action{ID: id, DoLevel: "nodes", DoAction: "work", DoGroup: group, Deadline: "100h"}
	for _, m := range more {
		m(&a)
	}
	return a
}

func (b *bench) add(list ...event.Action) []string {
	b.Helper()
	next, ids, err := b.q.Add(list, b.now)
	testkit.Must(b, err)
	b.q = next
	return ids
}

// claim takes in what happened, and claims.
func (b *bench) claim(events ...event.Event) string {
	b.q = b.q.TakeIn(events, "", b.s, b.now)
	var all []string
	next, claimed := b.q.Claim("d", b.s, time.Minute, b.now)
	b.q = next
	for _, e := range claimed {
		all = append(all, e.ID)
	}
	return strings.Join(all, " ")
}

func (b *bench) phase(id string) string {
	e, _ := b.q.Find(id)
	return strings.TrimSpace(fmt.Sprint(e.Phase, " ", e.Result))
}

func (b *bench) want(what, got, want string) {
	b.Helper()
	if got != want {
		b.Errorf("%s: %q, not %q", what, got, want)
	}
}

func TestQueueConditions(t *testing.T) {
	b := newBench(t)
	on := func(kind, name, ip, state string) func(*event.Action) {
		return func(a *event.Action) { a.EventType, a.EventName, a.EventIP, a.EventState = kind, name, ip, state }
	}
	b.add(work("none", "g1"), work("na", "g2", on("na", "na", "na", "na")), work("node", "g3", on("nodes", "i-1", "", "idle")),
		work("initdone", "g4", on("nodes", "i-1", "", "initdone")), work("ip", "g5", on("instances", "", "10.0.0.1", "running")),
		work("other-ip", "g6", on("instances", "", "10.0.0.9", "running")), work("state", "g7", on("nodes", "i-1", "", "wedged")),
		work("early", "g8", on("nodes", "i-2", "", "initdone")))
	b.want("by the status", b.claim(), "none na node initdone ip")
	b.want("by an event", b.claim(event.Event{Type: "nodes", Name: "i-1", State: "wedged"}), "state")
	// An event that came while its action could not run is not lost.
	b = newBench(t)
	b.add(work("first", "g"), work("second", "g", on("nodes", "i-1", "", "wedged")))
	b.want("one at a time", b.claim(event.Event{Type: "nodes", Name: "i-1", State: "wedged"}), "first")
	b.q = b.q.End("d", []event.Outcome{{ID: "first"}}, b.now)
	b.want("then the next", b.claim(), "second")
}

func TestQueueOrder(t *testing.T) {
	b := newBench(t)
	after := func(id string) func(*event.Action) { return func(a *event.Action) { a.After = id } }
	b.add(work("a", "g1"), work("b", "g2", after("a")), work("c", "g3", after("b")))
	b.want("the first", b.claim(), "a")
	b.want("while it runs", b.claim(), "")
	b.q = b.q.End("d", []event.Outcome{{ID: "a", Err: errors.New("no"), Final: true}}, b.now)
	b.claim()
	b.claim()
	b.want("b", b.phase("b"), "failed after a, which failed")
	b.want("c", b.phase("c"), "failed after b, which failed")
}

func TestQueueRetriesAndDeadlines(t *testing.T) {
	b := newBench(t)
	b.add(work("a", "g", func(a *event.Action) { a.Attempts = 3 }), work("late", "h", func(a *event.Action) { a.EventState, a.Deadline = "never", "10m" }))
	var waited []time.Duration
	for try := 1; try <= 3; try++ {
		for began := b.now; b.claim() == ""; b.now = b.now.Add(time.Second) {
			if b.now.Sub(began) > time.Hour {
				t.Fatalf("try %d never comes: %s", try, b.phase("a"))
			}
		}
		waited = append(waited, b.now.Sub(fleettest.Noon()))
		b.q = b.q.End("d", []event.Outcome{{ID: "a", Err: errors.New("no luck")}}, b.now)
	}
	b.want("after three", b.phase("a"), "failed no luck")
	if waited[0] != 0 || waited[1] < 15*time.Second || waited[2]-waited[1] <= waited[1] {
		t.Errorf("tried after %v", waited)
	}
	b.now = b.now.Add(10 * time.Minute)
	b.claim()
	b.want("late", b.phase("late"), "expired its condition did not come true in time")
	b.now = b.now.AddDate(0, 0, 8)
	b.claim()
	if len(b.q.Actions) > 0 {
		t.Errorf("a week later: %+v", b.q.Actions)
	}
}

func TestQueueClaims(t *testing.T) {
	b := newBench(t)
	b.add(work("a", "g"))
	b.want("claimed", b.claim(), "a")
	b.now = b.now.Add(2 * time.Minute)
	b.want("within the grace", b.claim(), "")
	b.now = b.now.Add(2 * time.Minute)
	b.q, _ = b.q.Claim("other", b.s, time.Minute, b.now)
	// The first doctor wakes up: its claim is another's now.
	b.q = b.q.End("d", []event.Outcome{{ID: "a", Result: "stale"}}, b.now)
	b.want("after the first woke up", b.phase("a"), "running")
	b.q = b.q.End("other", []event.Outcome{{ID: "a", Result: "mine"}}, b.now)
	b.want("ended", b.phase("a"), "succeeded mine")
	b.q = b.q.End("other", []event.Outcome{{ID: "a", Err: errors.New("again")}}, b.now)
	b.want("an action that ended", b.phase("a"), "succeeded mine")
}

func TestQueueAdd(t *testing.T) {
	b := newBench(t)
	twins := b.add(work("twin", "z"), work("other", "z"), work("follows", "y", func(a *event.Action) { a.After = "other" }))
	if e, _ := b.q.Find(twins[2]); twins[1] != "twin" || e.After != "twin" {
		t.Errorf("after one that equals another: %q, %+v", twins, e)
	}
	b.q = event.Queue{}
	same := work("", "g")
	ids := b.add(same, same)
	if ids[0] != ids[1] || len(b.q.Actions) != 1 {
		t.Errorf("equal actions: %q", ids)
	}
	b.claim()
	if again := b.add(same); again[0] != ids[0] {
		t.Errorf("equal to one that runs: %q", again)
	}
	b.q = b.q.End("d", []event.Outcome{{ID: ids[0]}}, b.now)
	if again := b.add(same); again[0] == ids[0] {
		t.Error("equal to one that ended")
	}
	for what, list := range map[string][]event.Action{
		"an id that is taken":  {work(ids[0], "x")},
		"after what is absent": {work("x", "x", func(a *event.Action) { a.After = "nowhere" })},
	} {
		if _, _, err := b.q.Add(list, b.now); err == nil {
			t.Errorf("%s is added", what)
		}
	}
	var many []event.Action
	for n := range 1001 {
		many = append(many, work("", fmt.Sprint("g", n)))
	}
	if _, _, err := b.q.Add(many, b.now); err == nil {
		t.Error("a thousand and two wait")
	}
	b.add(work("gone", "y"))
	q, err := b.q.Cancel("gone", b.now)
	testkit.Must(t, err)
	if _, err := q.Cancel("gone", b.now); err == nil {
		t.Error("it is cancelled twice")
	}
}

func TestParseActions(t *testing.T) {
	list, problems := event.ParseActions("a.yaml", []byte(`
- { id: a, event_type: cloud, event_state: running, do_level: nodes, do_action: work, do_group: i-1, deadline: 2h, attempts: 3 }
- { do_level: nodes, do_action: work, after: a }
`))
	if len(problems) > 0 || len(list) != 2 || list[0].EventType != "instances" || list[0].Deadline != "2h" || list[1].DoGroup != "all" || list[1].After != "a" {
		t.Errorf("%+v %q", list, problems)
	}
	if list, problems := event.ParseActions("a.json", []byte(`[{"do_level": "nodes", "do_action": "work", "do_group": "all"}]`)); len(problems) > 0 || len(list) != 1 {
		t.Errorf("JSON: %+v %q", list, problems)
	}
	_, problems = event.ParseActions("a.yaml", []byte(`
- { do_levl: nodes, do_action: work }
- { do_level: services, do_action: explode }
- { id: "../x", do_level: nodes, do_action: work, event_type: moons, attempts: many }
- nodes
- { id: t, do_level: nodes, do_action: work }
- { id: t, do_level: nodes, do_action: work, event_ip: 10.0.0, deadline: 3 }
`))
	if _, wrong := event.ParseActions("a.yaml", []byte(`
- { event_type: sets, event_state: moved, do_level: nodes, do_action: work }
- { event_type: sets, event_ip: 10.0.0.1, do_level: nodes, do_action: work }
`)); len(wrong) != 2 {
		t.Errorf("sets: %q", wrong)
	}
	testkit.Golden(t, "testdata/mistakes.txt", strings.Join(problems, "\n")+"\n")
}

func TestParseExpected(t *testing.T) {
	list, problems := event.ParseExpected("e.yaml", []byte("- { name: db1, ip: 10.0.0.5, part: db, services: [ db ], launch: { template: lt-1, subnet: s } }\n- { name: db2 }\n"))
	if len(problems) > 0 || len(list) != 2 || list[0].Launch.Template != "lt-1" || list[0].Services[0] != "db" {
		t.Errorf("%+v %q", list, problems)
	}
	_, problems = event.ParseExpected("e.yaml", []byte(`
- { name: db1, ip: 10.0.0.5, launch: { templat: lt-1 } }
- { name: db1, ip: 10.0.0.5 }
- { ip: 10.0.0, services: [ db, "D B" ] }
- { nam: db2, launch: lt-1 }
- db3
`))
	testkit.Golden(t, "testdata/mistakes-expect.txt", strings.Join(problems, "\n")+"\n")
}

// TestCleanLeavesOut: what another machine wrote and is no action, or in no known phase, is never shown or done.
func TestCleanLeavesOut(t *testing.T) {
	var q event.Queue
	for id, phase := range map[string]event.Phase{"good": event.Waits, "odd": "\x1b[2Jdancing", "none": "", "sets": event.Waits} {
		a := work(id, "g", func(a *event.Action) {
			if id == "sets" {
				a.EventType, a.EventState = event.Sets, "moving"
			}
		})
		q.Actions = append(q.Actions, event.Entry{Action: a, Phase: phase})
	}
	if q = q.Clean(); len(q.Actions) != 1 || q.Actions[0].ID != "good" {
		t.Errorf("%+v", q.Actions)
	}
}

// TestWithoutAProvider: what was seen of the instances stays, and what must exist and is not seen is not terminated.
func TestWithoutAProvider(t *testing.T) {
	b := newBench(t)
	expected := []event.Expected{{Name: "db1"}}
	for _, p := range []event.Provider{{}, {At: b.now}, {}} {
		b.s = event.StatusOf(fleettest.Of(b.now, "1 idle a"), p, b.now).With(expected)
		gone := event.Action{EventType: event.Instances, EventName: "db1", EventState: event.Terminated}
		if asked := !p.At.IsZero(); gone.Holds(b.s) != asked {
			t.Errorf("asked %v: terminated %v", asked, !asked)
		}
		b.claim()
	}
	b.want("seen", fmt.Sprint(b.q.Instances), "map[db1:terminated i-1:running]")
}
