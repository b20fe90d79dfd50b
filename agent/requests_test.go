package agent

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/schedule"
	"github.com/addagent/addagent/work"
)

func TestADisabledNodeBeatsAndNeitherLooksNorWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.live(3*time.Hour, map[time.Duration]func(){
			10*time.Minute + time.Second: func() {
				b.brakes.Disabled = &node.Brake{Reason: "migration", By: "ann", Until: time.Now().Add(2 * time.Hour)}
				b.version = strings.Repeat("b", 40)
			},
		})
		for _, at := range b.asked {
			if since := at.Sub(b.begun); since > 11*time.Minute && since < 2*time.Hour {
				t.Errorf("asked %s after the start, at rest", since)
			}
		}
		if got := fmt.Sprint(b.runs); got != "[common@aaaaaaa common@bbbbbbb]" {
			t.Errorf("ran %s: what was pushed meanwhile is worked when it ends by itself", got)
		}
		if got := fmt.Sprint(b.states); got != "[working idle disabled idle working idle]" && got != "[working idle disabled working idle]" {
			t.Errorf("states %s", got)
		}
		if b.hears("disabled: migration (ann), until ") != 1 || b.hears("enabled after ") != 1 || b.hears("wedged") != 0 {
			t.Errorf("said %q", b.said)
		}
		if n := len(b.beats); n < 170 {
			t.Errorf("%d beats in three hours: it goes on beating", n)
		}
	})
}

// unreadable are brakes that cannot be read.
type unreadable struct{ Control }

func (unreadable) Brakes(time.Time) (node.Brakes, error) {
	return node.Brakes{}, errors.New("too many open files")
}

func TestBrakesThatCannotBeReadStay(t *testing.T) {
	a := &Agent{Config: Config{Control: unreadable{}}}
	drained := map[string]node.Brake{"db": {Reason: "new disk"}}
	a.life.brakes = node.Brakes{Drained: drained}
	if a.applyBrakes(time.Now()); a.life.brakes.Disabled == nil || !reflect.DeepEqual(a.life.brakes.Drained, drained) {
		t.Errorf("%+v", a.life.brakes)
	}
}

func TestADisabledRepositoryRestsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.live(30*time.Minute, map[time.Duration]func(){
			5*time.Minute + time.Second: func() {
				b.brakes.Repos = map[string]node.Brake{"ops": {Reason: "broken here", By: "ann"}}
				b.version = strings.Repeat("b", 40)
			},
			20*time.Minute + time.Second: func() { b.brakes.Repos = nil },
		})
		if got := fmt.Sprint(b.runs); got != "[common@aaaaaaa common@bbbbbbb]" {
			t.Errorf("ran %s", got)
		}
		if at := b.when[1].Sub(b.begun); at < 20*time.Minute {
			t.Errorf("worked at rest, %s after the start", at)
		}
		if got := fmt.Sprint(b.states); got != "[working idle working idle]" {
			t.Errorf("states %s: a repository at rest is not a node at rest", got)
		}
		if b.hears("ops disabled: broken here (ann)") != 1 || b.hears("ops enabled") != 1 {
			t.Errorf("said %q", b.said)
		}
	})
}

func TestAPersonCallsTheNodeWedgedUntilHeTakesItBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.live(time.Hour, map[time.Duration]func(){
			5*time.Minute + time.Second:  func() { b.brakes.Wedged = &node.Brake{Reason: "disk errors", By: "ann"} },
			20*time.Minute + time.Second: func() { b.version = strings.Repeat("b", 40) },
			40*time.Minute + time.Second: func() { b.brakes.Wedged = nil },
		})
		if got := fmt.Sprint(b.states); got != "[working idle wedged idle]" {
			t.Errorf("states %s: no success of an item ends it", got)
		}
		if len(b.runs) != 2 {
			t.Errorf("ran %v: it still looks and works", b.runs)
		}
		if b.hears("wedged: node: disk errors (ann)") != 1 || b.hears("recovered after ") != 1 {
			t.Errorf("said %q", b.said)
		}
	})
}

func TestAgainAndUnwedgeAreObeyedUnderTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common", "part.app1")
		b.results["part.app1"] = func(int) (int, time.Duration) { return 3, time.Second }
		b.live(30*time.Minute, map[time.Duration]func(){
			20*time.Minute + time.Second: func() {
				b.asks = []journal.Ask{
					{ID: "1", What: journal.AskAgain, Target: "ops:common", By: "ann"},
					{ID: "2", What: journal.AskUnwedge, By: "ann"},
					{ID: "3", What: journal.AskBeat},
					{ID: "4", What: journal.AskAgain, Target: "ops:nothing"},
					{ID: "5", What: journal.AskUnwedge, Target: "ops:common"},
				}
				b.results["part.app1"] = nil
			},
		})
		if fmt.Sprint(b.forgot, b.unwedged, b.answered) != "[ops:common] [ops:part.app1] [1 2 3 4 5]" {
			t.Errorf("forgot %v, unwedged %v, answered %v", b.forgot, b.unwedged, b.answered)
		}
		if b.life.state != node.Idle || b.hears("recovered after ") != 1 {
			t.Errorf("%s: %q", b.life.state, b.said)
		}
		errs := 0
		for _, bt := range b.beats {
			for _, a := range bt.Asked {
				if a.Error != "" {
					errs++
				}
			}
		}
		if errs != 2 {
			t.Errorf("%d requests could not be obeyed, want 2", errs)
		}
	})
}

func TestARequestWaitsForTheWorkInHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.results["common"] = func(int) (int, time.Duration) { return 0, 10*time.Minute + time.Second }
		b.live(35*time.Minute, map[time.Duration]func(){
			3*time.Minute + time.Second: func() { b.asks = []journal.Ask{{ID: "1", What: journal.AskAgain}, {ID: "2", What: journal.AskBeat}} },
			8 * time.Minute: func() {
				if fmt.Sprint(b.answered) != "[2]" {
					t.Errorf("answered %v while work is in hand", b.answered)
				}
			},
		})
		if len(b.runs) != 2 || fmt.Sprint(b.answered) != "[2 1]" {
			t.Errorf("ran %v, answered %v", b.runs, b.answered)
		}
	})
}

func TestSomebodyWhoWakesItGetsABeatNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.live(2*time.Minute+30*time.Second, map[time.Duration]func(){100 * time.Second: func() { b.woken <- struct{}{} }})
		at := -1
		for i, bt := range b.beats {
			if d := bt.Start.Sub(b.begun); d >= 100*time.Second && d < 101*time.Second {
				at = i
			}
		}
		if at < 0 {
			t.Fatal("no beat when it was woken")
		}
		if next, tick := b.beats[at].Next, b.Schedule.Next(b.beats[at].Start); !next.Equal(tick) {
			t.Errorf("the next beat is due %s, want %s: its second stays", next, tick)
		}
	})
}

func TestWorkWaitsForInit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.InitDone, b.init = false, "ops"
		b.results["init"] = func(n int) (int, time.Duration) { return min(1, 3-n), 30 * time.Second } // fails three times
		b.live(30*time.Minute, nil)
		if got := fmt.Sprint(b.runs); got != "[init@aaaaaaa init@aaaaaaa init@aaaaaaa init@aaaaaaa common@aaaaaaa]" {
			t.Errorf("ran %s", got)
		}
		if got := fmt.Sprint(b.states); got != "[setup failing wedged initdone working idle]" {
			t.Errorf("states %s", got)
		}
		if gap := b.when[4].Sub(b.when[3]); gap > 31*time.Second {
			t.Errorf("work began %s after the begin of init: it need not wait for another beat", gap)
		}
		if b.memory["init"].Version == "" || !b.life.initDone {
			t.Error("init is not done")
		}
	})
}

func TestInitInARepositoryThatIsNotHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.InitDone, b.init = false, "other"
		b.live(3*time.Minute, nil)
		if b.life.state != node.Failing || !strings.Contains(b.life.reason, "initgitrepo.txt names other") || len(b.runs) > 0 {
			t.Errorf("%s: %s, ran %v", b.life.state, b.life.reason, b.runs)
		}
	})
}

func TestInitAgainIsInitAgainAfterARestartToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.init = "ops"
		b.memory["init"] = work.Memory{Version: b.version}
		b.live(10*time.Minute, map[time.Duration]func(){
			3*time.Minute + time.Second: func() { b.asks = []journal.Ask{{ID: "1", What: journal.AskAgain, Target: "ops:init"}} },
		})
		if got := fmt.Sprint(b.runs); got != "[common@aaaaaaa init@aaaaaaa]" {
			t.Errorf("ran %s", got)
		}
		if got := fmt.Sprint(b.states); got != "[working idle setup initdone idle]" {
			t.Errorf("states %s", got)
		}
	})
}

func TestTheConfigChangesBetweenTwoBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		faster := b.Settings
		faster.Schedule = schedule.Every(10 * time.Second)
		b.live(20*time.Minute, map[time.Duration]func(){
			5*time.Minute + time.Second: func() {
				s := faster
				b.fresh = &s
			},
			10*time.Minute + time.Second: func() { b.bad = []string{"addagent.yaml:3:1: bet: no such key"} },
			15*time.Minute + time.Second: func() { b.bad = nil },
		})
		if n := len(b.beats); n < 80 || n > 100 {
			t.Errorf("%d beats: six in the first minutes, then one in ten seconds", n)
		}
		if b.hears("addagent.yaml:3:1") != 2 || b.hears("resolved after ") != 1 {
			t.Errorf("a bad config is said when it comes and when it is over: %q", b.said)
		}
		if b.life.state != node.Idle {
			t.Errorf("%s: the config of before stays in force", b.life.state)
		}
	})
}

func TestLeavingIsOfTheMachineNotOfTheAgent(t *testing.T) {
	for _, down := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, "common")
			b.down = down
			b.live(3*time.Minute, nil)
			if got := b.states[len(b.states)-1] == node.Leaving; got != down {
				t.Errorf("the machine goes down: %v, states %v", down, b.states)
			}
		})
	}
}

func TestAMachineThatLeavesIsNotSaidToBeWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.results["common"] = func(int) (int, time.Duration) { return 3, time.Second }
		b.down = true
		b.live(20*time.Minute, nil)
		if b.life.state != node.Leaving || b.hears("recovered after ") != 0 || b.hears("leaving after ") != 1 {
			t.Errorf("%s: %q", b.life.state, b.said)
		}
	})
}

func TestAfterARebootItIsBackAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.memory["common"] = work.Memory{Version: b.version, Done: &work.Done{Version: b.version, Ids: map[string]string{".": b.version}}}
		b.Before = &journal.Beat{Node: "i-1", State: node.Leaving, Since: time.Now().Add(-time.Minute)}
		b.live(3*time.Minute, nil)
		if got := fmt.Sprint(b.states); got != "[idle]" || b.hears("running again after ") != 1 {
			t.Errorf("states %s, said %q", got, b.said)
		}
	})
}

func TestDisableStopsWhatWaitsBehindTheWorkInHand(t *testing.T) {
	for name, brakes := range map[string]node.Brakes{
		"the node":       {Disabled: &node.Brake{Reason: "migration"}},
		"the repository": {Repos: map[string]node.Brake{"ops": {Reason: "broken"}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, "common", "part.app1", "common+ntp")
				b.results["common"] = func(int) (int, time.Duration) { return 0, 5 * time.Minute }
				b.live(20*time.Minute, map[time.Duration]func(){2 * time.Minute: func() { b.brakes = brakes }})
				if got := fmt.Sprint(b.runs); got != "[common@aaaaaaa]" {
					t.Errorf("ran %s", got)
				}
			})
		})
	}
}

func TestAnUnreadableNodeinfoIsNoNodeWithoutInit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.InitDone, b.init = false, "ops"
		b.Agent.info = node.Info{Nodepart: "app1", InitGitRepo: "ops"} // as the wiring read it
		b.Agent.Config.Info = func() (node.Info, error) { return node.Info{}, errors.New("too many open files") }
		b.live(3*time.Minute, nil)
		if got := fmt.Sprint(b.runs); got != "[init@aaaaaaa common@aaaaaaa]" {
			t.Errorf("ran %s", got)
		}
	})
}

func TestARecoveryIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.results["common"] = func(n int) (int, time.Duration) { return max(0, 1-n), 5 * time.Second } // each version fails once
		b.live(time.Hour, map[time.Duration]func(){
			30 * time.Second:             func() { b.version = strings.Repeat("b", 40) },
			30*time.Minute + time.Second: func() { b.results["common"] = nil; b.version = strings.Repeat("c", 40) },
		})
		if n := b.hears("recovered after "); n != 1 {
			t.Errorf("said %d times: %q", n, b.said)
		}
	})
}

func TestALockThatIsTakenHidesNoRepository(t *testing.T) {
	looks := []journal.Look{{Repo: "a", Old: true, Version: "1"}, {Repo: "b", Previous: "2", Version: "3", Moved: true}}
	for i, l := range unmoved(looks) {
		if want := []string{"1", "2"}[i]; l.Version != want || l.Moved {
			t.Errorf("%+v", l)
		}
	}
}
