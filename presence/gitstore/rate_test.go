package gitstore

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/addagent/addagent/internal/node"
)

// kept fails when a node has not spoken by the time that it named, and returns that time.
func kept(t *testing.T, g *Sink) time.Time {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	by := g.state.Told.Record.BeatNextBy
	if now := time.Now(); now.After(by) {
		t.Errorf("at %s it is late: it was to speak by %s", now, by)
	}
	return by
}

// TestLoopOwnServer: in a fleet of 1,000 on a server that takes 300 pushes a minute a quiet node speaks each ten
// minutes, promises no longer interval, and tells the end of work within minutes.
func TestLoopOwnServer(t *testing.T) {
	r := newRefsOnly(999)
	paced(t, r, 300, func(t *testing.T, g *Sink) {
		for minute := range 24 * 60 {
			if err := beat(t, g, now(node.Idle), time.Minute); err != nil {
				t.Fatal(err)
			}
			if ahead := time.Until(kept(t, g)); minute > 60 && ahead > 14*time.Minute {
				t.Fatalf("it promises to speak within %s", ahead)
			}
		}
		if n := r.pushed(); n < 143 || n > 148 {
			t.Errorf("%d pushes in a day", n)
		}
		for _, state := range []node.State{node.Working, node.Idle, node.Working, node.Idle} {
			for range 4 { // a token comes each 200 s
				if err := beat(t, g, now(state), time.Minute); err != nil {
					t.Fatal(err)
				}
			}
			g.mu.Lock()
			if said := g.state.Told.Record.State; said != state {
				t.Errorf("after four minutes it reads %s and is %s", said, state)
			}
			g.mu.Unlock()
		}
	})
}

// TestLoopOtherRate: a config with another rate counts from the next start on, and what was promised before is kept.
func TestLoopOtherRate(t *testing.T) {
	r := newRefsOnly(999)
	memory := filepath.Join(t.TempDir(), "presence.json")
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			pushes      int
			least, most int // refreshes in two days, the first of which may still be as promised before
		}{{0, 16, 19}, {300, 270, 292}, {6, 16, 20}, {1, 2, 12}, {6000, 200, 292}} {
			g := New(Options{Remote: r, StateFile: memory, Refresh: 10 * time.Minute, Pushes: c.pushes})
			before := r.pushed()
			for range 2 * 24 * 60 {
				if err := beat(t, g, now(node.Idle), time.Minute); err != nil {
					t.Fatal(err)
				}
				kept(t, g)
			}
			if n := r.pushed() - before; n < c.least || n > c.most {
				t.Errorf("at %d a minute %d refreshes in two days", c.pushes, n)
			}
			g.Close()
		}
	})
}
