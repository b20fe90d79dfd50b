package gitstore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/node"
)

func TestLoopQuietNode(t *testing.T) {
	r := newRefsOnly(0)
	inBubble(t, r, func(t *testing.T, g *Sink) {
		for range 24 * 60 {
			if err := beat(t, g, now(node.Idle), time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		for i, at := range r.pushes[1:] {
			if gap := at.Sub(r.pushes[i]); gap > 11*time.Minute {
				t.Errorf("nothing for %s", gap)
			}
		}
		if n := r.pushed(); n < 143 || n > 147 {
			t.Errorf("%d pushes in a day", n)
		}
		if n := r.asked[RefPrefix]; n < 4 || n > 6 || r.asked[ourRef] != 0 {
			t.Errorf("asked %v", r.asked)
		}
	})
}

func TestLoopSmallFleetTellsAtOnce(t *testing.T) {
	r := newRefsOnly(0)
	inBubble(t, r, func(t *testing.T, g *Sink) {
		for i := range 100 {
			state := node.Idle
			if i%2 == 1 {
				state = node.Working
			}
			if err := beat(t, g, now(state), 15*time.Second); err != nil {
				t.Fatal(err)
			}
			if r.pushed() != i+1 {
				t.Fatalf("%d pushes after %d transitions", r.pushed(), i+1)
			}
		}
	})
}

func TestLoopLargeFleet(t *testing.T) {
	r := newRefsOnly(999)
	inBubble(t, r, func(t *testing.T, g *Sink) {
		inTime := func(g *Sink) {
			g.mu.Lock()
			defer g.mu.Unlock()
			if late := time.Since(g.state.Told.Next); late > time.Minute+time.Second {
				t.Errorf("late by %s", late)
			}
		}
		// Work each minute, all day: one of 1,000 nodes gets its share of 6 pushes a minute.
		for i := range 24 * 60 {
			state := node.Idle
			if i%2 == 1 {
				state = node.Working
			}
			if err := beat(t, g, now(state), time.Minute); err != nil {
				t.Fatal(err)
			}
			inTime(g)
		}
		if n := r.pushed(); n < 9 || n > 11 {
			t.Errorf("%d pushes in a day", n)
		}
		// What is urgent does not wait, and takes along what does.
		n := r.pushed()
		for _, state := range []node.State{node.Working, node.Wedged, node.Idle, node.Disabled, node.Leaving} {
			if err := beat(t, g, now(state), time.Second); err != nil {
				t.Fatal(err)
			}
		}
		if got := r.pushed() - n; got != 4 {
			t.Errorf("%d pushes of four that are urgent", got)
		}
		g.mu.Lock()
		if len(g.queue) != 0 || g.state.Told.Record.State != node.Leaving {
			t.Errorf("left: %s", show(g.queue))
		}
		g.mu.Unlock()
		// A quiet one speaks every 10,000 s at most, and keeps what it promised.
		n = r.pushed()
		for range 24 * 60 {
			if err := beat(t, g, now(node.Leaving), time.Minute); err != nil {
				t.Fatal(err)
			}
			inTime(g)
		}
		if got := r.pushed() - n; got < 8 || got > 10 {
			t.Errorf("%d refreshes in a day", got)
		}
	})
}

// A token comes without a beat.
func TestLoopWaitsForAToken(t *testing.T) {
	r := newRefsOnly(11)
	inBubble(t, r, func(t *testing.T, g *Sink) {
		if err := beat(t, g, now(node.Idle), time.Second); err != nil {
			t.Fatal(err)
		}
		if err := beat(t, g, now(node.Working), time.Second); err != nil {
			t.Fatal(err)
		}
		if err := beat(t, g, now(node.Idle), time.Second); err != nil || r.pushed() != 2 {
			t.Errorf("%d pushes, %v", r.pushed(), err)
		}
		<-time.After(2 * time.Minute)
		synctest.Wait()
		if r.pushed() != 3 {
			t.Errorf("%d pushes, and there is a token each 2 min", r.pushed())
		}
	})
}

func TestLoopClockJumps(t *testing.T) {
	r := newRefsOnly(0)
	inBubble(t, r, func(t *testing.T, g *Sink) {
		for _, jump := range []time.Duration{0, 365 * 24 * time.Hour, -2 * 365 * 24 * time.Hour, time.Hour, -time.Hour, 8 * time.Minute, -8 * time.Minute} {
			for i := range 60 {
				n := r.pushed()
				rec := now(node.Idle)
				rec.BeatSeen, rec.BeatNextBy = rec.BeatSeen.Add(jump), rec.BeatNextBy.Add(jump)
				if err := beat(t, g, rec, time.Minute); err != nil {
					t.Fatal(err)
				}
				if i == 0 && jump != 0 && jump != 8*time.Minute && r.pushed() == n {
					t.Errorf("after a jump to %s nothing is told", jump)
				}
			}
			if last := r.pushes[len(r.pushes)-1]; time.Since(last) > 11*time.Minute {
				t.Errorf("an hour after a jump to %s nothing was told for %s", jump, time.Since(last))
			}
		}
		if n := r.pushed(); n > 7*8 {
			t.Errorf("%d pushes", n)
		}
	})
}

func TestLoopBacksOff(t *testing.T) {
	r := newRefsOnly(0)
	down := errors.New("dial: no route")
	r.set(func(context.Context, string) error { return down })
	tries := map[string]int{}
	inBubble(t, r, func(t *testing.T, g *Sink) {
		r.set(func(_ context.Context, what string) error { tries[what]++; return down })
		began := time.Now()
		for i := range 120 {
			err := beat(t, g, now(node.Idle), time.Minute)
			if i > 0 && (err == nil || err.Error() != "presence repository: dial: no route") {
				t.Fatalf("trouble %v", err)
			}
		}
		// A minute's worth of doubling and then one in 2.5 min on average.
		if all := tries["refs"] + tries["push"]; all < 30 || all > 110 || tries["push"] != 1 {
			t.Errorf("tried %v", tries)
		}
		r.set(nil)
		<-time.After(backoffMost)
		if err := beat(t, g, now(node.Idle), time.Second); err != nil || time.Since(began) > 3*time.Hour {
			t.Errorf("healed: %v", err)
		}
		if g.state.Told.Record == nil {
			t.Error("nothing was told")
		}
	})
}

func TestLoopTriesSlowlyWhatAPersonMustMend(t *testing.T) {
	r := newRefsOnly(0)
	n := 0
	inBubble(t, r, func(t *testing.T, g *Sink) {
		r.set(func(context.Context, string) error { n++; return fmt.Errorf("401: %w", remote.ErrAccess) })
		for range 24 * 60 {
			_ = beat(t, g, now(node.Idle), time.Minute) // the trouble; what counts is how often it was tried
		}
		if n < 70 || n > 97 {
			t.Errorf("tried %d times in a day", n)
		}
	})
}

func TestLoopSaysThatItCannotCount(t *testing.T) {
	r := newRefsOnly(0)
	n := 0
	inBubble(t, r, func(t *testing.T, g *Sink) {
		r.set(func(_ context.Context, what string) error {
			if what == "refs" {
				n++
				return errors.New("too many")
			}
			return nil
		})
		for i := range 60 {
			if err := beat(t, g, now(node.Idle), time.Minute); i > 0 && (err == nil || err.Error() != "presence repository: count the nodes: too many") {
				t.Fatalf("trouble %v", err)
			}
		}
		if n < 4 || n > 5 || r.pushed() < 5 {
			t.Errorf("counted %d times, %d pushes", n, r.pushed())
		}
		r.set(nil)
		<-time.After(20 * time.Minute)
		_ = beat(t, g, now(node.Idle), time.Second) // this one wakes it
		if err := beat(t, g, now(node.Idle), time.Second); err != nil || g.state.Fleet != 1 {
			t.Errorf("%v, %d nodes", err, g.state.Fleet)
		}
	})
}

func TestLoopEachPushHasItsDeadline(t *testing.T) {
	r := newRefsOnly(0)
	inBubble(t, r, func(t *testing.T, g *Sink) {
		r.set(func(ctx context.Context, _ string) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		if err := beat(t, g, now(node.Idle), 19*time.Second); err != nil {
			t.Fatal(err)
		}
		if err := beat(t, g, now(node.Idle), 2*time.Second); err != nil {
			t.Errorf("before the deadline: %v", err)
		}
		if err := beat(t, g, now(node.Idle), 0); !errors.Is(err, errSlow) {
			t.Errorf("after it: %v", err)
		}
	})
}

func TestLoopFlush(t *testing.T) {
	r := newRefsOnly(999)
	inBubble(t, r, func(t *testing.T, g *Sink) {
		if err := g.Flush(t.Context()); err != nil || r.pushed() != 0 {
			t.Errorf("before the first record: %v", err)
		}
		for i, state := range []node.State{node.Idle, node.Working, node.Idle, node.Working} {
			if err := g.Tell(t.Context(), now(state)); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if err := g.Flush(t.Context()); err != nil || r.pushed() != i+1 || time.Since(began) != 0 {
				t.Errorf("%v, %d pushes in %s", err, r.pushed(), time.Since(began))
			}
		}
		// One that ends in vain says why.
		r.set(func(context.Context, string) error { return errors.New("down") })
		if err := g.Tell(t.Context(), now(node.Leaving)); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
		defer cancel()
		if err := g.Flush(short); err == nil || err.Error() != "presence repository: down" {
			t.Errorf("%v", err)
		}
		if wait := time.Until(g.rests()); wait <= 0 || wait > backoffMost {
			t.Errorf("it waits %s", wait)
		}
		// However long it was to rest, the next one tries at once.
		r.set(nil)
		began := time.Now()
		if err := g.Flush(t.Context()); err != nil || time.Since(began) != 0 {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		// While the answer is not there yet.
		r.set(func(ctx context.Context, _ string) error { <-ctx.Done(); return context.Cause(ctx) })
		if err := g.Tell(t.Context(), now(node.Idle)); err != nil {
			t.Fatal(err)
		}
		gone, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Flush(gone); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

func TestLoopClose(t *testing.T) {
	r := newRefsOnly(0)
	inBubble(t, r, func(t *testing.T, g *Sink) {
		r.set(func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() })
		if err := g.Tell(t.Context(), now(node.Idle)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ended := make(chan error)
		go func() { ended <- g.Flush(t.Context()) }()
		synctest.Wait()
		began := time.Now()
		g.Close()
		if err := <-ended; !errors.Is(err, errClosed) || time.Since(began) != 0 {
			t.Errorf("flush: %v after %s", err, time.Since(began))
		}
		if err := g.Tell(t.Context(), now(node.Idle)); !errors.Is(err, errClosed) {
			t.Errorf("tell: %v", err)
		}
		if err := g.Flush(t.Context()); !errors.Is(err, errClosed) {
			t.Errorf("flush: %v", err)
		}
		if m, err := loadState(g.o.StateFile, ourRef, ""); err != nil || m.Pending == nil {
			t.Errorf("what was pending is forgotten: %+v, %v", m, err)
		}
	})
}

// A full disk must not keep a node from saying just that.
func TestLoopTellsWithoutADisk(t *testing.T) {
	r := newRefsOnly(0)
	inBubble(t, r, func(t *testing.T, g *Sink) {
		g.o.StateFile = filepath.Join(t.TempDir(), strings.Repeat("x", 300)) // a name that no file may have
		_ = beat(t, g, now(node.Failing), time.Second)
		if err := beat(t, g, now(node.Wedged), time.Second); err == nil || !strings.Contains(err.Error(), "presence memory: ") {
			t.Errorf("trouble %v", err)
		}
		if r.pushed() != 2 {
			t.Errorf("%d pushes", r.pushed())
		}
	})
}

func TestLoopIsForOneNode(t *testing.T) {
	r := newRefsOnly(0)
	inBubble(t, r, func(t *testing.T, g *Sink) {
		if err := beat(t, g, now(node.Idle), time.Second); err != nil {
			t.Fatal(err)
		}
		other := now(node.Idle)
		other.InstanceID = "n2"
		if err := g.Tell(t.Context(), other); err == nil || !strings.Contains(err.Error(), "n2") {
			t.Errorf("%v", err)
		}
	})
}

// A long reason is cut, and is no news at the next beat.
func TestLoopCutsReasons(t *testing.T) {
	r := newRefsOnly(0)
	inBubble(t, r, func(t *testing.T, g *Sink) {
		rec := now(node.Wedged)
		rec.Reason = strings.Repeat("exit 100; ", 1000)
		for range 2 {
			if err := beat(t, g, rec, time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(g.state.Told.Record.Reason); n > reasonLimit || r.pushed() != 1 {
			t.Errorf("%d bytes, %d pushes", n, r.pushed())
		}
	})
}
