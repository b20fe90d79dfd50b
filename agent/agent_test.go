package agent

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/work"
	"github.com/addagent/addagent/work/run"
)

func TestAPushIsWorkedOnceAndThenItIsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common", "part.app1")
		b.live(10*time.Minute, map[time.Duration]func(){
			5*time.Minute + 10*time.Second: func() { b.version = strings.Repeat("b", 40) },
		})
		want := "[common@aaaaaaa part.app1@aaaaaaa common@bbbbbbb part.app1@bbbbbbb]"
		if got := fmt.Sprint(b.runs); got != want {
			t.Errorf("ran %s, want %s", got, want)
		}
		if b.most != 1 {
			t.Errorf("%d at once", b.most)
		}
		if n := len(b.asked); n < 9 || n > 11 {
			t.Errorf("%d looks in ten minutes", n)
		}
		if got := fmt.Sprint(b.states); got != "[working idle working idle]" {
			t.Errorf("states %s", got)
		}
		if b.took != 0 {
			t.Errorf("the lock is still taken %d times", b.took)
		}
	})
}

func TestNoLookWhileWorkRunsButItGoesOnTicking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.results["common"] = func(int) (int, time.Duration) { return 0, 5*time.Minute + time.Second }
		b.live(9*time.Minute, map[time.Duration]func(){2 * time.Minute: func() { b.version = strings.Repeat("b", 40) }})
		for _, at := range b.asked[1:] {
			if d := at.Sub(b.when[0]); d > 0 && d < 5*time.Minute {
				t.Errorf("asked %s into the work", d)
			}
		}
		if got := fmt.Sprint(b.runs); got != "[common@aaaaaaa common@bbbbbbb]" {
			t.Errorf("ran %s: the push during work is picked up after it", got)
		}
		busy := 0
		for _, bt := range b.beats {
			if bt.InHand != nil {
				busy++
			}
		}
		if busy < 5 {
			t.Errorf("%d beats reported the work in hand", busy)
		}
	})
}

func TestAFailingScriptNeitherSpinsNorStarvesTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common", "part.app1")
		b.results["common"] = func(int) (int, time.Duration) { return 3, time.Second }
		b.live(2*time.Hour, map[time.Duration]func(){
			90*time.Minute + 5*time.Second: func() { b.version = strings.Repeat("b", 40); b.results["common"] = nil },
		})
		tries, parts := 0, 0
		for _, r := range b.runs {
			if r == "common@aaaaaaa" {
				tries++
			}
			if strings.HasPrefix(r, "part.app1") {
				parts++
			}
		}
		// 1 + 1 after a minute + 1 after two, then each quarter of an hour.
		if tries < 7 || tries > 10 {
			t.Errorf("%d tries in 90 minutes", tries)
		}
		if parts != 2 {
			t.Errorf("the healthy item ran %d times", parts)
		}
		if b.hears("wedged after") != 1 || b.hears("wedged:") != 0 || b.hears("recovered after ") != 1 {
			t.Errorf("wedged and well again are said once each: %q", b.said)
		}
		if got := b.runs[len(b.runs)-2]; got != "common@bbbbbbb" {
			t.Errorf("the new version was not tried at once: %v", b.runs)
		}
		if b.life.state != node.Idle {
			t.Errorf("still %s: %s", b.life.state, b.life.reason)
		}
		for _, bt := range b.beats {
			if bt.State == node.Working && (bt.InHand.Attempt > 1 || bt.InHand.Item == "common" && bt.Seq > 2) {
				t.Errorf("a retry showed as working: %+v", bt.InHand)
			}
		}
		if got := fmt.Sprint(b.states); got != "[working failing wedged working idle]" {
			t.Errorf("states %s", got)
		}
	})
}

func TestNotNowIsNoFailureUntilAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.results["common"] = func(int) (int, time.Duration) { return 75, time.Second }
		b.live(50*time.Minute, nil)
		for _, s := range b.states {
			if s == node.Failing || s == node.Wedged {
				t.Errorf("states %v within the hour", b.states)
			}
		}
		b.states = nil
		b.live(30*time.Minute, nil)
		if b.life.state != node.Failing || !strings.Contains(b.life.reason, "waiting") {
			t.Errorf("after the hour: %s %q", b.life.state, b.life.reason)
		}
	})
}

func TestAHoldStopsWorkAndSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.holds = []work.Hold{{Repo: "ops", File: "nodework/hold.yaml", Reason: "migration", By: "ann"}}
		b.live(5*time.Minute, map[time.Duration]func(){3*time.Minute + time.Second: func() { b.holds = nil }})
		if len(b.runs) != 1 || b.beats[0].State != node.Disabled || !strings.Contains(b.beats[0].Reason, "migration") {
			t.Errorf("ran %v, first beat %s %q", b.runs, b.beats[0].State, b.beats[0].Reason)
		}
		if b.beats[0].Items[0].Held == "" {
			t.Error("the decision record does not say what holds the item")
		}
		if len(b.asked) < 5 {
			t.Error("a held node does not look")
		}
	})
}

func TestAServerThatIsDownIsSaidOnceAndAfterAnHourItIsAWedge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.live(70*time.Minute, map[time.Duration]func(){time.Minute / 2: func() { b.trouble = "look ops: connection refused" }})
		if n := b.hears("connection refused"); n != 2 { // once, and once after an hour
			t.Errorf("said %d times: %q", n, b.said)
		}
		if b.life.state != node.Wedged || !strings.Contains(b.life.reason, "no repository could be reached") {
			t.Errorf("after 70 minutes: %s %q", b.life.state, b.life.reason)
		}
		b.trouble = ""
		b.live(2*time.Minute, nil)
		if b.life.state != node.Idle {
			t.Errorf("after it came back: %s %q", b.life.state, b.life.reason)
		}
	})
}

func TestItemsBehindTheOneInHandWaitInSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common", "part.app1")
		b.results["common"] = func(int) (int, time.Duration) { return 0, 5 * time.Minute }
		b.live(9*time.Minute, nil)
		if got := fmt.Sprint(b.runs); got != "[common@aaaaaaa part.app1@aaaaaaa]" {
			t.Errorf("ran %s", got)
		}
		if b.hears("work blocked") != 0 {
			t.Errorf("said %q", b.said)
		}
	})
}

func TestATroubleOfLookingIsNotOverWhileNobodyLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.results["common"] = func(n int) (int, time.Duration) { return 1, time.Duration(n) * 90 * time.Second } // tried again and again, ever longer
		b.live(30*time.Minute, map[time.Duration]func(){time.Minute / 2: func() { b.trouble = "look ops: connection refused" }})
		if n := b.hears("connection refused"); n != 1 || b.hears("resolved after") != 0 {
			t.Errorf("said %d times: %q", n, b.said)
		}
		if len(b.runs) < 3 {
			t.Errorf("ran %s: what is here is worked though the server is down", b.runs)
		}
	})
}

func TestRunAlwaysRunsEveryBeatAndIsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common!")
		b.live(10*time.Minute+30*time.Second, nil)
		if n := len(b.runs); n < 10 || n > 12 {
			t.Errorf("%d runs in ten minutes", n)
		}
		if n := b.hears("done at"); n > 1 {
			t.Errorf("its success was said %d times", n)
		}
		for i, s := range b.states {
			if s == node.Working && i > 0 {
				t.Errorf("states %v", b.states)
			}
		}
	})
}

func TestWorkThatIsFoundIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.found = &work.InHand{Repo: "ops", Item: "common", RunID: "old", Version: b.version, Attempt: 1, Started: time.Now(), PID: 7}
		b.running = 1
		time.AfterFunc(3*time.Minute, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.running, b.found = 0, nil
			end := work.Attempt{RunID: "old", Version: b.version, Attempt: 1, Started: time.Now().Add(-3 * time.Minute), Finished: time.Now(), Fingerprint: "x"}
			b.memory["common"] = work.Memory{Version: b.version, Done: &work.Done{Version: b.version, Ids: map[string]string{".": b.version}}, Last: &end}
			b.done <- work.Outcome{Repo: "ops", Item: "common", RunID: "old", Last: &end}
		})
		b.live(6*time.Minute, nil)
		if len(b.runs) != 0 {
			t.Errorf("ran again: %v", b.runs)
		}
		if b.hears("taking it over") != 1 || b.hears("ops:common done at") != 1 {
			t.Errorf("said %q", b.said)
		}
		if b.life.state != node.Idle {
			t.Errorf("state %s", b.life.state)
		}
	})
}

func TestAnItemThatCannotStartIsAFailureOfThatItem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.startErr = errors.New("disk full: no space left on device")
		b.live(4*time.Minute, map[time.Duration]func(){2*time.Minute + time.Second: func() { b.startErr = nil }})
		if first := b.beats[0]; first.State != node.Failing || !strings.Contains(first.Reason, "disk full") {
			t.Errorf("first beat %s %q", first.State, first.Reason)
		}
		if len(b.runs) != 1 || b.took != 0 {
			t.Errorf("ran %v, lock %d", b.runs, b.took)
		}
	})
}

func TestWorkSpreadDelaysWorkAndNotTheLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.WorkAfter = 3 * time.Minute
		start := time.Now()
		b.live(8*time.Minute, nil)
		if len(b.when) != 1 || b.when[0].Sub(start) < 3*time.Minute || b.when[0].Sub(start) > 5*time.Minute {
			t.Errorf("ran at %v", b.when)
		}
		if len(b.asked) < 7 {
			t.Errorf("%d looks", len(b.asked))
		}
	})
}

func TestOnceWaitsForAllItsWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common", "part.app1")
		b.results["common"] = func(int) (int, time.Duration) { return 3, time.Second }
		bt := b.Once(t.Context())
		if fmt.Sprint(b.runs) != "[common@aaaaaaa part.app1@aaaaaaa]" {
			t.Errorf("ran %v", b.runs)
		}
		if len(bt.Ended) != 2 || bt.Ended[0].OK || !bt.Ended[1].OK || bt.State != node.Failing {
			t.Errorf("beat %s, ended %+v", bt.State, bt.Ended)
		}
		if len(b.beats) != 1 {
			t.Errorf("%d beats told", len(b.beats))
		}
	})
}

func TestAFullDiskIsFailingAndHealsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.diskErr = fmt.Errorf("write beat.json: %w", syscall.ENOSPC)
		b.live(5*time.Minute, map[time.Duration]func(){2*time.Minute + time.Second: func() { b.diskErr = nil }})
		if bt := b.beats[1]; bt.State != node.Failing || !strings.Contains(bt.Reason, "no space left") {
			t.Errorf("second beat %s %q", bt.State, bt.Reason)
		}
		if b.life.state != node.Idle {
			t.Errorf("at the end %s %q", b.life.state, b.life.reason)
		}
		if n := b.hears("write beat.json"); n > 2 { // the trouble, and the state with its reason
			t.Errorf("said %d times: %q", n, b.said)
		}
	})
}

// TestACloneThatFillsTheDiskIsBlamedOnce: the same words do not count for the repository and for the node.
func TestACloneThatFillsTheDiskIsBlamedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.trouble, b.full = "pull ops: no space left on device", true
		b.live(time.Minute, nil)
		if first := b.beats[0]; first.State != node.Failing || first.Reason != "ops: incomplete: pull ops: no space left on device" {
			t.Errorf("%s: %s", first.State, first.Reason)
		}
	})
}

func TestLongWorkIsNoBlindness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.results["common"] = func(int) (int, time.Duration) { return 0, 2 * time.Hour }
		b.live(3*time.Hour, map[time.Duration]func(){time.Hour: func() { b.trouble = "look ops: connection refused" }})
		for _, bt := range b.beats {
			if bt.State == node.Wedged && bt.Start.Sub(b.beats[0].Start) < 2*time.Hour+59*time.Minute {
				t.Fatalf("wedged %s after the start: %s", bt.Start.Sub(b.beats[0].Start), bt.Reason)
			}
		}
	})
}

func TestTheEndThatNobodyHeardIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		end := work.Attempt{RunID: "old", Version: b.version, Attempt: 1, Started: time.Now().Add(-time.Minute), Finished: time.Now(), Fingerprint: "x"}
		b.memory["common"] = work.Memory{Version: b.version, Done: &work.Done{Version: b.version, Ids: map[string]string{".": b.version}}, Last: &end}
		since := time.Now().Add(-time.Hour)
		b.Before = &journal.Beat{Node: "i-1", State: node.Working, Since: since, InHand: &work.InHand{Repo: "ops", Item: "common", RunID: "old"}}
		b.live(2*time.Minute, nil)
		if b.hears("ops:common done at") != 1 || len(b.beats[0].Ended) != 1 || !b.beats[0].Ended[0].Adopted {
			t.Errorf("said %q, ended %+v", b.said, b.beats[0].Ended)
		}
	})
}

func TestARestartKeepsSinceAndDoesNotRepeatTheAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.results["common"] = func(int) (int, time.Duration) { return 3, time.Second }
		b.live(10*time.Minute, nil)
		if b.life.state != node.Wedged {
			t.Fatalf("state %s", b.life.state)
		}
		before, since := b.Agent.beats.last, b.life.since
		again := newBench(t, "common")
		again.memory, again.results = b.memory, b.results
		again.Before = &before
		again.live(5*time.Minute, nil)
		if again.life.state != node.Wedged || !again.life.since.Equal(since) || again.hears("wedged") != 0 {
			t.Errorf("%s since %s, was %s; said %q", again.life.state, again.life.since, since, again.said)
		}
	})
}

// TestABeatThatDidNotDoItsWorkIsNotIdle: as others see it.
func TestABeatThatDidNotDoItsWorkIsNotIdle(t *testing.T) {
	for name, c := range map[string]struct {
		breaks, ends func(*bench)
		reason       string
	}{
		"a lock that cannot be had":              {func(b *bench) { b.lockErr = errors.New("sweep: not a directory"); b.version = strings.Repeat("b", 40) }, func(b *bench) { b.lockErr = nil }, "sweep: not a directory"},
		"a lock that stays with another process": {func(b *bench) { b.lockErr = &run.Busy{Path: "work.lock"}; b.version = strings.Repeat("b", 40) }, func(b *bench) { b.lockErr = nil }, "held by another process"},
		"a tree that cannot be read":             {func(b *bench) { b.unread = []string{"read the tree of ops: no"} }, func(b *bench) { b.unread = nil }, "read the tree of ops"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, "common")
				b.live(6*time.Minute+30*time.Second, map[time.Duration]func(){90 * time.Second: func() { c.breaks(b) }})
				if b.life.state != node.Failing || !strings.Contains(b.life.reason, c.reason) {
					t.Errorf("%s %q", b.life.state, b.life.reason)
				}
				c.ends(b)
				if b.live(6*time.Minute, nil); b.life.state != node.Idle {
					t.Errorf("after it is over: %s %q", b.life.state, b.life.reason)
				}
			})
		})
	}
}

// TestTheWatchdogIsFedWhileRemainsEnd: they have work.grace, which may be minutes.
func TestTheWatchdogIsFedWhileRemainsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.AliveEach, b.remains = 30*time.Second, 10*time.Minute
		b.live(11*time.Minute, nil)
		if b.alive < 20 {
			t.Errorf("fed %d times in 11 minutes", b.alive)
		}
	})
}
