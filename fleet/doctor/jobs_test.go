package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
)

// scribe is the handlers of an event: it keeps what it was given, and ends when it is told to, or may no longer go on.
type scribe struct {
	types []string
	fail  error
	hold  chan struct{} // nil = it does not wait

	mu   sync.Mutex
	got  []string
	cut  []string // why it was stopped
	runs int
}

func (s *scribe) Look(context.Context) ([]string, error) { return s.types, nil }

func (s *scribe) Run(ctx context.Context, e event.Event, done []string, left func() time.Duration) ([]string, error) {
	s.mu.Lock()
	s.got = append(s.got, e.Name+" "+e.State)
	s.runs++
	s.mu.Unlock()
	if s.hold != nil {
		select {
		case <-s.hold:
		case <-ctx.Done():
			s.mu.Lock()
			defer s.mu.Unlock()
			s.cut = append(s.cut, context.Cause(ctx).Error())
			return done, context.Cause(ctx)
		}
	}
	if left() <= 0 {
		return done, errors.New("it ran without a claim")
	}
	return append(slices.Clone(done), "x.sh"), s.fail
}

func (s *scribe) saw() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.got, ", ")
}

func (g *grid) deliveries() (list []event.Delivery) {
	g.Helper()
	q, err := g.doctor("person", nil).Store.Read(g.Context())
	testkit.Must(g, err)
	return q.Deliveries
}

// TestHandlersRun: each event once, also by a doctor that takes over; one that fails is tried three times, and rooms
// hear of it.
func TestHandlersRun(t *testing.T) {
	g := newGrid(t, "i-1", "i-2")
	s := &scribe{types: []string{"nodes"}}
	var alarms []string
	with := func(o *Options) {
		o.Handlers, o.Alarm = s, func(_ context.Context, text string) { alarms = append(alarms, text) }
	}
	d, without := g.doctor("d1", with), g.doctor("d2", nil)
	g.round(d)
	g.states["i-1"] = node.Failing
	g.beat()
	g.round(without) // it takes the event in, and leaves it to one with handlers
	g.want("without handlers", fmt.Sprint(len(g.deliveries()), s.saw()), "1")
	g.round(d)
	g.want("handled", s.saw(), "i-1 failing")
	g.want("left", fmt.Sprint(len(g.deliveries())), "0")
	s.fail = errors.New("nodeevent/nodes/x.sh: exit 1 (log /l)")
	g.states["i-1"] = node.Idle
	for range 30 {
		g.beat()
		g.round(d)
	}
	g.want("tried", s.saw(), "i-1 failing, i-1 idle, i-1 idle, i-1 idle")
	if len(alarms) != 1 || !strings.HasSuffix(alarms[0], "handlers of nodes i-1 idle failed: nodeevent/nodes/x.sh: exit 1 (log /l)") {
		t.Errorf("%q", alarms)
	}
}

// TestEndWithoutSuccess: the doctor prints each action that failed or expired, once, and tells rooms.
func TestEndWithoutSuccess(t *testing.T) {
	g := newGrid(t, "i-1")
	var said, alarms []string
	d := g.doctor("d1", func(o *Options) {
		o.Say = func(text string) { said = append(said, text) }
		o.Alarm = func(_ context.Context, text string) { alarms = append(alarms, text) }
	})
	never := event.Action{ID: "late", EventType: "nodes", EventState: "wedged", DoLevel: "nodes", DoAction: "work", DoGroup: "all", Deadline: "1m"}
	after := event.Action{ID: "after", DoLevel: "nodes", DoAction: "work", DoGroup: "i-1", After: "late"}
	g.add(never, after, event.Action{ID: "none", DoLevel: "nodes", DoAction: "work", DoGroup: "i-9", Attempts: 1})
	for range 4 {
		g.beat()
		g.round(d)
	}
	g.want("phases", g.phases(), "late expired, after failed, none failed")
	g.want("said", strings.Join(said, "; "), `none: nodes work i-9: no present node matches "i-9"; `+
		"late: nodes work all once nodes wedged expired: its condition did not come true in time; "+
		"after: nodes work i-1 after late failed: after late, which expired")
	if len(alarms) != 3 {
		t.Errorf("%q", alarms)
	}
}

// TestClaimIsRenewed: what takes longer than a claim goes on while rounds renew it, is ended when they cannot, and is
// ended when another doctor has taken over.
func TestClaimIsRenewed(t *testing.T) {
	g := newGrid(t, "i-1")
	s := &scribe{types: []string{"nodes"}, hold: make(chan struct{})}
	with := func(o *Options) { o.Handlers, o.Wait = s, time.Millisecond }
	d := g.doctor("d1", with)
	g.round(d)
	g.states["i-1"] = node.Failing
	g.beat()
	g.round(d)
	other := &scribe{types: []string{"nodes"}}
	d2 := g.doctor("d2", func(o *Options) { o.Handlers = other })
	for range 20 { // minutes; a claim lasts five
		g.beat()
		g.round(d)
		g.round(d2)
	}
	g.want("while it is renewed", fmt.Sprint(s.saw(), len(g.deliveries()), other.saw()), "i-1 failing1")
	for range 9 {
		g.beat()
		g.round(d2)
	}
	g.want("taken over", other.saw(), "i-1 failing")
	g.round(d) // it wakes up
	testkit.Eventually(t, "the end of the first", func() bool { return len(d.doing()) == 0 })
	g.want("stopped", fmt.Sprint(s.cut), "[cancelled, or another doctor has taken over]")
	g.round(d)
	g.want("left", fmt.Sprint(len(g.deliveries()), len(d.jobs), s.runs), "0 0 1")

	// A doctor that is told to end gives up its claim; one that finds no server to renew it at stops.
	g.states["i-1"] = node.Idle
	g.beat()
	g.round(d)
	testkit.Must(t, d.Close(g.now))
	g.want("given up", fmt.Sprint(len(g.deliveries()), g.deliveries()[0].By, g.deliveries()[0].Tries), "10")
	l := newLease(t.Context(), time.Now().Add(time.Millisecond))
	<-l.Done()
	if err := l.lost(); !errors.Is(err, errLeaseEnded) {
		t.Errorf("%v", err)
	}
	asleep := newLease(t.Context(), time.Now().Add(-time.Minute))
	if err := asleep.lost(); !errors.Is(err, errLeaseEnded) {
		t.Errorf("one that slept: %v", err)
	}
	close(s.hold)
}
