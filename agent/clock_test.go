package agent

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/schedule"
	"github.com/addagent/addagent/work"
)

// jumps are by how much the clock is set, in each test of time.
var jumps = []time.Duration{-50 * 365 * 24 * time.Hour, -24 * time.Hour, -time.Minute, time.Minute, 24 * time.Hour, 50 * 365 * 24 * time.Hour}

// eachJump runs a test in a bubble of its own for each of the jumps.
func eachJump(t *testing.T, test func(t *testing.T, jump time.Duration)) {
	for _, jump := range jumps {
		t.Run(jump.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, jump) })
		})
	}
}

// set sets the clock of an agent after so long.
func (b *bench) set(after, jump time.Duration) map[time.Duration]func() {
	return map[time.Duration]func(){after: func() { b.clock.set.Add(int64(jump)) }}
}

// TestAClockThatIsSetCostsABeatAtMost: beats go on, and what failed is tried as often as ever.
func TestAClockThatIsSetCostsABeatAtMost(t *testing.T) {
	eachJump(t, func(t *testing.T, jump time.Duration) {
		b := newBench(t, "common")
		b.results["common"] = func(int) (int, time.Duration) { return 3, time.Second }
		b.live(90*time.Minute, b.set(40*time.Minute+30*time.Second, jump))
		if n := len(b.beats); n < 88 || n > 92 {
			t.Errorf("%d beats in 90 minutes", n)
		}
		if b.life.state != node.Wedged || b.hears("wedged after") != 1 {
			t.Errorf("%s, said %q", b.life.state, b.said)
		}
		if n := len(b.runs); n < 6 || n > 9 {
			t.Errorf("%d tries: one for the jump, else as ever", n)
		}
		for _, bt := range b.beats {
			if bt.Ms < 0 || bt.Ms > 60_000 || bt.Dropped > 1 {
				t.Errorf("a beat took %f ms, %d dropped", bt.Ms, bt.Dropped)
			}
		}
	})
}

// TestAnHourOfBlindnessIsAnHour: of time that passed, whatever the clock says, for a daemon and one process a beat.
func TestAnHourOfBlindnessIsAnHour(t *testing.T) {
	eachJump(t, func(t *testing.T, jump time.Duration) {
		for how, live := range map[string]func(*bench, time.Duration, map[time.Duration]func()){"daemon": (*bench).live, "cron": (*bench).cron} {
			b := newBench(t, "common")
			b.live(90*time.Second, nil) // to have reached it once
			b.trouble = "look ops: connection refused"
			live(b, 50*time.Minute, b.set(10*time.Minute+30*time.Second, jump))
			if b.life.state != node.Idle || len(b.wrong.known) != 1 || b.hears("connection refused") != 1 {
				t.Errorf("%s: after 50 minutes %s %q, troubles %v, said %q", how, b.life.state, b.life.reason, b.wrong.known, b.said)
			}
			if got := b.shown[len(b.shown)-1].LastLook; got.IsZero() {
				t.Errorf("%s: the last look that reached it is forgotten", how)
			}
			live(b, 15*time.Minute, nil)
			if b.life.state != node.Wedged || b.life.reason != "node: no repository could be reached for "+b.life.reason[len(b.life.reason)-len("1 h 5 min"):] && b.hears("wedged: node") != 1 {
				t.Errorf("%s: after 65 minutes %s %q", how, b.life.state, b.life.reason)
			}
			if b.hears("connection refused") != 2 {
				t.Errorf("%s: said once and after an hour, not %q", how, b.said)
			}
		}
	})
}

// TestWorkSpreadOutlivesTheProcess: and the clock.
func TestWorkSpreadOutlivesTheProcess(t *testing.T) {
	eachJump(t, func(t *testing.T, jump time.Duration) {
		for how, live := range map[string]func(*bench, time.Duration, map[time.Duration]func()){"daemon": (*bench).live, "cron": (*bench).cron} {
			b := newBench(t, "common")
			b.WorkAfter = 10 * time.Minute
			begun := time.Now()
			live(b, 15*time.Minute, b.set(150*time.Second, jump))
			if len(b.when) != 1 || b.when[0].Sub(begun) < 10*time.Minute || b.when[0].Sub(begun) > 12*time.Minute {
				t.Errorf("%s: ran at %v, begun %v", how, b.when, begun)
			}
			if held := b.shown[len(b.shown)/4].Items[0].Held; held == "" {
				t.Errorf("%s: nothing says why it waits", how)
			}
		}
	})
}

// TestNotNowForAnHourIsAnHour: a clock that was set makes no hour of a minute.
func TestNotNowForAnHourIsAnHour(t *testing.T) {
	eachJump(t, func(t *testing.T, jump time.Duration) {
		b := newBench(t, "common")
		b.results["common"] = func(int) (int, time.Duration) { return work.ExitTempFail, time.Second }
		b.live(40*time.Minute, b.set(3*time.Minute+30*time.Second, jump))
		if b.life.state != node.Idle {
			t.Errorf("after 40 minutes %s %q", b.life.state, b.life.reason)
		}
		b.live(60*time.Minute, nil)
		if b.life.state != node.Failing {
			t.Errorf("after 100 minutes %s %q", b.life.state, b.life.reason)
		}
	})
}

// TestBeatsOnlyWhenATickIsDue: a schedule with pauses is obeyed, whatever the clock does.
func TestBeatsOnlyWhenATickIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.Settings.Schedule = hours{5, 7}
		b.live(24*time.Hour, nil)
		if n := len(b.beats); n != 1+2*60 {
			t.Errorf("%d beats: one at the start and 60 in each of two hours are due", n)
		}
		for _, bt := range b.beats[1:] {
			if h := bt.Start.Hour(); h != 5 && h != 7 {
				t.Errorf("a beat at %s", bt.Start)
			}
		}
		woken := len(b.beats)
		b.live(30*time.Minute, map[time.Duration]func(){10 * time.Minute: func() { b.woken <- struct{}{} }})
		if n := len(b.beats) - woken; n != 2 {
			t.Errorf("%d beats, for a start and a person", n)
		}
	})
}

// hours is a schedule of each minute of some hours.
type hours []int

func (h hours) Next(t time.Time) time.Time {
	for t = schedule.Every(time.Minute).Next(t); ; t = t.Add(time.Minute) {
		for _, hour := range h {
			if t.Hour() == hour {
				return t
			}
		}
	}
}

// cron lives for a time as one process a beat: nothing but the memory of the bench and its last record goes on.
func (b *bench) cron(d time.Duration, steps map[time.Duration]func()) {
	for at, do := range steps {
		time.AfterFunc(at, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			do()
		})
	}
	end := time.Now().Add(d)
	for time.Now().Before(end) {
		var before *journal.Beat
		if len(b.shown) > 0 {
			last := b.shown[len(b.shown)-1]
			before = &last
		}
		c := b.Config
		c.Before, c.By = before, "beat"
		*b.Agent = *New(c)
		b.Once(b.t.Context())
		<-time.NewTimer(time.Until(time.Now().Truncate(time.Minute).Add(time.Minute))).C
	}
}

func TestUntilTick(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 50, 0, time.UTC)
	for every, want := range map[time.Duration]time.Duration{time.Minute: 10 * time.Second, time.Hour: time.Minute} {
		a := Agent{Config: Config{Settings: Settings{Schedule: schedule.Every(every)}}}
		if got := a.untilTick(now); got != want {
			t.Errorf("every %s: waits %s, want %s", every, got, want)
		}
	}
}
