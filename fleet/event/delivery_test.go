package event_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/fleet/fleettest"
)

// happened is an event of a node so many minutes after noon.
func happened(id, name string, minute int) event.Event {
	return event.Event{ID: id, Type: "nodes", Name: name, Node: name, State: "idle", At: fleettest.Noon().Add(time.Duration(minute) * time.Minute)}
}

// post is a queue of deliveries at a time.
type post struct {
	*testing.T
	q     event.Queue
	lines []string
}

func (p *post) take(list []event.Line) {
	for _, l := range list {
		p.lines = append(p.lines, strings.TrimSpace(fmt.Sprint(l.ID, " ", l.Phase, " ", l.Result)))
	}
}

func (p *post) deliver(minute int, events ...event.Event) {
	var lines []event.Line
	p.q, lines = p.q.Deliver(events, fleettest.Noon().Add(time.Duration(minute)*time.Minute))
	p.take(lines)
}

func (p *post) claim(me string, minute int) string {
	var ids []string
	var list []event.Delivery
	p.q, list = p.q.ClaimHandlers(me, []string{"nodes", "sets"}, 8, 5*time.Minute, fleettest.Noon().Add(time.Duration(minute)*time.Minute))
	for _, d := range list {
		ids = append(ids, d.Event.ID)
	}
	return strings.Join(ids, " ")
}

func (p *post) end(me string, minute int, list ...event.Handled) {
	var lines []event.Line
	p.q, lines = p.q.EndHandlers(me, list, fleettest.Noon().Add(time.Duration(minute)*time.Minute))
	p.take(lines)
}

func (p *post) want(what, got, want string) {
	p.Helper()
	if got != want {
		p.Errorf("%s: %q, not %q", what, got, want)
	}
}

// said are the lines of the log since it was asked last.
func (p *post) said() string {
	defer func() { p.lines = nil }()
	return strings.Join(p.lines, ", ")
}

// TestDeliveries: the newest event of a subject, one at a time for each subject, within the hour.
func TestDeliveries(t *testing.T) {
	p := &post{T: t}
	p.deliver(0, happened("a", "i-1", 0))
	p.want("no doctor has handlers", p.claim("d", 0), "")
	p.q = p.q.Handle([]string{"sets"}).Handle([]string{"nodes"}).Handle(nil)
	p.want("types", fmt.Sprint(p.q.Handled), "[nodes sets]")
	p.deliver(1, happened("b", "i-1", 0), happened("c", "i-1", 1), happened("d", "i-2", 1), event.Event{ID: "r", Type: "roles", Name: "db", At: fleettest.Noon()})
	p.want("the newest", p.claim("d", 1), "c d")
	p.want("said", p.said(), "b cancelled a newer event of the same came")
	p.deliver(2, happened("c", "i-1", 1), happened("e", "i-1", 2))
	p.want("one at a time", p.claim("d", 2), "")
	p.end("d", 3, event.Handled{ID: "c"}, event.Handled{ID: "d", Released: true, Err: errors.New("told to end")})
	p.want("once it has ended", p.claim("d", 3), "d e")
	p.want("said", p.said(), "c succeeded")
	// One that failed while a newer one waits is not tried again.
	p.deliver(4, happened("f", "i-1", 4))
	p.end("d", 4, event.Handled{ID: "e", Err: errors.New("no luck")})
	p.deliver(5)
	p.want("said", p.said(), "e waiting no luck, e cancelled a newer event of the same came")
	p.want("the newer one", p.claim("d", 5), "f")
	// What no doctor took within the hour goes.
	p.deliver(6, happened("g", "i-9", 6))
	p.deliver(67)
	p.want("said", p.said(), "g cancelled it is older than 1h")
	p.deliver(68, happened("h", "i-9", 6))
	p.want("too late", p.claim("d", 68), "d f") // and the claims of the dead doctor
}

// TestDeliveryTries: three tries, what was done stays done, then it has failed.
func TestDeliveryTries(t *testing.T) {
	p := &post{T: t, q: event.Queue{}.Handle([]string{"nodes"})}
	p.deliver(0, happened("a", "i-1", 0))
	minute := 0
	for try := 1; try <= 3; try++ {
		for ; p.claim("d", minute) == ""; minute++ {
			if minute > 59 {
				t.Fatalf("try %d never comes", try)
			}
		}
		p.end("d", minute, event.Handled{ID: "a", Done: []string{"x.sh"}, Err: errors.New("no luck")})
		if try < 3 && (len(p.q.Deliveries) != 1 || len(p.q.Deliveries[0].Done) != 1) {
			t.Errorf("%+v", p.q.Deliveries)
		}
		p.want("at once", p.claim("d", minute), "")
	}
	p.want("said", p.said(), "a waiting no luck, a waiting no luck, a failed no luck")
	if minute == 0 || p.q.Deliveries != nil {
		t.Errorf("minute %d, %+v", minute, p.q.Deliveries)
	}
}

// TestDeliveryTakeover: a claim is renewed, and taken over two minutes after it ended; the first doctor then ends
// nothing.
func TestDeliveryTakeover(t *testing.T) {
	p := &post{T: t, q: event.Queue{}.Handle([]string{"nodes"})}
	p.deliver(0, happened("a", "i-1", 0))
	at := func(minute int) time.Time { return fleettest.Noon().Add(time.Duration(minute) * time.Minute) }
	p.want("claimed", p.claim("d", 0), "a")
	p.q = p.q.Renew("other", []string{"a"}, 5*time.Minute, at(4)).Renew("d", []string{"b"}, 5*time.Minute, at(4)).Renew("d", []string{"a"}, 5*time.Minute, at(1))
	p.want("not renewed", fmt.Sprint(p.q.Untils("d")["a"].Equal(at(5))), "true")
	p.q = p.q.Renew("d", []string{"a"}, 5*time.Minute, at(4))
	p.want("renewed", fmt.Sprint(p.q.Untils("d")["a"].Equal(at(9))), "true")
	p.want("within the grace", p.claim("other", 11), "")
	p.want("after it", p.claim("other", 12), "a")
	p.end("d", 12, event.Handled{ID: "a"})
	p.want("said", p.said(), "")
	p.end("other", 12, event.Handled{ID: "a"})
	p.want("said", p.said(), "a succeeded")
}
