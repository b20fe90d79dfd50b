package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/sink"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
	"github.com/addagent/addagent/work"
)

// ear is a sink that remembers.
type ear struct {
	mu      sync.Mutex
	heard   []presence.Record
	wrong   error
	flushed int
	untold  error
}

func (e *ear) Tell(_ context.Context, r presence.Record) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = append(e.heard, r)
	return e.wrong
}

func (e *ear) Flush(context.Context) error { e.flushed++; return e.untold }

// states are the states it heard, each once in a row.
func (e *ear) states() string {
	var all []string
	for _, r := range e.heard {
		if n := len(all); n == 0 || all[n-1] != string(r.State) {
			all = append(all, string(r.State))
		}
	}
	return strings.Join(all, " ")
}

func TestEachStepOfTheLifeCycleIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, e := newBench(t, "common"), &ear{}
		b.InitDone, b.Sinks = false, []sink.Named{{Name: "ear", Sink: e}}
		b.live(3*time.Minute, nil)
		if got := e.states(); got != "setup initdone working idle" {
			t.Errorf("told %s", got)
		}
		last := e.heard[len(e.heard)-1]
		if len(last.Repos) != 1 || last.Repos[0].Done["common"] == "" || last.Repos[0].Done["common"] != work.Fingerprint(b.memory["common"].Done.Ids) {
			t.Errorf("the record does not say what was finished: %+v", last.Repos)
		}
		if r := last.Repos[0]; len(r.Due) != 0 || r.Worked["common"] != r.Version {
			t.Errorf("all is worked: %+v", r)
		}
		working := e.heard[slices.IndexFunc(e.heard, func(r presence.Record) bool { return r.State == node.Working })]
		if r := working.Repos[0]; !slices.Equal(r.Due, []string{"common"}) || r.Worked["common"] != "" {
			t.Errorf("the record does not say what is due: %+v", r)
		}
	})
}

func TestTheRecordSaysThatInitIsFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, e := newBench(t, "common"), &ear{}
		b.init = "ops"
		b.InitDone, b.Sinks = false, []sink.Named{{Name: "ear", Sink: e}}
		b.live(5*time.Minute, nil)
		done := e.heard[len(e.heard)-1].Repos[0].Done
		if last := b.memory["init"].Last; last == nil || done["init"] != last.Fingerprint || done["common"] == "" {
			t.Errorf("finished %v, init was %+v", done, last)
		}
	})
}

func TestWhatCannotBeToldIsATroubleAndNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, e := newBench(t, "common"), &ear{wrong: errors.New("chat: the room is gone")}
		b.Sinks = []sink.Named{{Name: "chat 1", Sink: e}}
		b.live(5*time.Minute, nil)
		if got := fmt.Sprint(b.runs); got != "[common@aaaaaaa]" {
			t.Errorf("ran %s", got)
		}
		if n := b.hears("chat: the room is gone"); n != 1 {
			t.Errorf("said %d times in five minutes: %q", n, b.said)
		}
		last := b.beats[len(b.beats)-1]
		if len(last.Troubles) != 1 || last.Troubles[0].Key != "tell chat 1" || last.Troubles[0].Text != "chat: the room is gone" {
			t.Errorf("troubles %+v", last.Troubles)
		}
		if last.State != node.Idle {
			t.Errorf("the node is %s by what is wrong elsewhere", last.State)
		}
	})
}

// counting is a place that is away, and says how much waits for it.
type counting struct{ n int }

func (c *counting) Tell(context.Context, presence.Record) error {
	c.n++
	return fmt.Errorf("chat: refused; %d waiting", c.n)
}

func TestATroubleThatCountsIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.InitDone, b.Sinks = false, []sink.Named{{Name: "chat 1", Sink: &counting{}}}
		b.live(10*time.Minute, nil)
		if n := b.hears("chat: refused"); n != 1 {
			t.Errorf("said %d times: %q", n, b.said)
		}
	})
}

// clash is an error that needs a person.
type clash struct{}

func (clash) Error() string  { return "somebody else has this name" }
func (clash) Critical() bool { return true }

func TestATroubleCanBeCritical(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		var loud []journal.Level
		b.Say = func(n journal.News) { loud = append(loud, n.Level) }
		b.Sinks = []sink.Named{{Name: "presence", Sink: &ear{wrong: fmt.Errorf("tell: %w", clash{})}}}
		b.live(2*time.Minute, nil)
		if !slices.Contains(loud, journal.Critical) {
			t.Errorf("levels %v", loud)
		}
	})
}

func TestTheCloudsNoticeIsLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, e := newBench(t, "common"), &ear{}
		notice, wrong := "", error(nil)
		b.Sinks = []sink.Named{{Name: "ear", Sink: e}}
		b.Notice = func(context.Context) (string, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			return notice, wrong
		}
		b.live(8*time.Minute, map[time.Duration]func(){
			2*time.Minute + 30*time.Second: func() { notice = "spot interruption at 12:00Z" },
			3*time.Minute + 30*time.Second: func() {
				b.version = strings.Repeat("b", 40)
				wrong = errors.New("metadata: no answer")
			},
			5*time.Minute + 30*time.Second: func() { notice, wrong = "", nil },
		})
		if got := e.states(); got != "working idle leaving working idle" {
			t.Errorf("told %s", got)
		}
		i := slices.IndexFunc(b.beats, func(bt journal.Beat) bool { return bt.State == node.Leaving && bt.Looks[0].Version[0] == 'b' })
		if i < 0 || !strings.HasPrefix(b.beats[i].Items[0].Held, "leaving: spot") {
			t.Fatalf("what is due on a machine that goes must wait and say why")
		}
		if b.beats[i].Troubles[0].Key != "cloud" {
			t.Errorf("an answer that cannot be had is a trouble: %+v", b.beats[i].Troubles)
		}
	})
}

func TestWhoEndsItself(t *testing.T) {
	for name, c := range map[string]struct {
		change func(b *bench)
		doomed bool
	}{
		"wedged by its work":             {func(*bench) {}, true},
		"a person said wedged, too":      {func(b *bench) { b.brakes.Wedged = &node.Brake{Reason: "disk"} }, false},
		"disabled":                       {func(b *bench) { b.brakes.Disabled = &node.Brake{Reason: "look"} }, false},
		"well":                           {func(b *bench) { b.results["common"] = nil }, false},
		"and no repository answers":      {func(b *bench) { b.trouble = "look ops: dead" }, false},
		"leaving":                        {func(b *bench) { b.taken = "spot" }, false},
		"with something that only fails": {func(b *bench) { b.bad = []string{"config"} }, true},
		"a fix runs for the first time": {func(b *bench) {
			b.version = strings.Repeat("b", 40)
			b.results["common"] = func(int) (int, time.Duration) { return 0, 5 * time.Hour }
		}, false},
		"retried now, wedged all the while": {func(b *bench) { b.results["common"] = func(int) (int, time.Duration) { return 3, 10 * time.Minute } }, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, "common")
				b.results["common"] = func(int) (int, time.Duration) { return 3, time.Second }
				var last *Wedge
				calls := 0
				b.SelfDestruct = func(_ time.Time, _ time.Duration, w *Wedge) error { calls++; last = w; return nil }
				b.Notice = func(context.Context) (string, error) {
					b.mu.Lock()
					defer b.mu.Unlock()
					return b.taken, nil
				}
				b.live(3*time.Hour, map[time.Duration]func(){time.Hour: func() { c.change(b) }})
				if calls < 100 {
					t.Fatalf("asked %d times in three hours", calls)
				}
				if got := last != nil && !last.Leaving; got != c.doomed {
					t.Fatalf("doomed: %+v, state %s", last, b.states)
				}
				if c.doomed && last.Items["ops:common"] == "" {
					t.Errorf("no fingerprint: %+v", last)
				}
			})
		})
	}
}

func TestOneBeatWaitsForWhatItTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, e := newBench(t, "common"), &ear{}
		b.Sinks = []sink.Named{{Name: "ear", Sink: e}}
		b.Once(t.Context())
		if e.flushed != 1 || e.states() != "working idle" {
			t.Errorf("flushed %d times, told %s", e.flushed, e.states())
		}
	})
}

func TestOneBeatSaysWhatDidNotArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.Sinks = []sink.Named{{Name: "chat 1", Sink: &ear{untold: errors.Join(errors.New("chat: 1 waiting"), errors.New("no answer"))}}, {Name: "ec2", Sink: &ear{}}}
		beat := b.Once(t.Context())
		if n := b.hears("chat 1: not delivered: chat: 1 waiting; no answer"); n != 1 {
			t.Errorf("said %d times: %q", n, b.said)
		}
		if len(beat.Troubles) != 1 || beat.Troubles[0].Key != "tell chat 1" || len(b.beats) != 1 || len(b.beats[0].Troubles) != 1 {
			t.Errorf("troubles %+v; beats told: %+v", beat.Troubles, b.beats)
		}
	})
}

// TestBeatsOfCronSayATroubleOnce: each is a process of its own, and knows what is wrong from the record of the one
// before.
func TestBeatsOfCronSayATroubleOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var before *journal.Beat
		var said []string
		for i := range 130 { // a beat a minute; well again after two hours
			b, place := newBench(t), &ear{untold: errors.New("presence repository: answered 503")}
			if i > 60 {
				place.wrong = place.untold // it knows from before that it fails
			}
			if i >= 125 {
				place.untold, place.wrong = nil, nil
			}
			b.Before, b.Sinks = before, []sink.Named{{Name: "presence", Sink: place}}
			b.Tasks = []Task{{Name: "peers", Tick: func(time.Time) error { return errors.Join(errors.New("no port"), errors.New("no folder")) }}}
			beat := b.Once(t.Context())
			if want := map[bool]int{true: 2, false: 1}[i < 125]; len(beat.Troubles) != want || len(b.Agent.beats.last.Troubles) != want {
				t.Fatalf("beat %d: troubles %+v, recorded %+v", i, beat.Troubles, b.Agent.beats.last.Troubles)
			}
			data, err := json.Marshal(beat)
			if err == nil {
				before = &journal.Beat{}
				err = json.Unmarshal(data, before)
			}
			if err != nil {
				t.Fatal(err)
			}
			said = append(said, b.said...)
			<-time.After(time.Minute)
		}
		count := func(word string) (n int) {
			for _, s := range said {
				if strings.Contains(s, word) {
					n++
				}
			}
			return n
		}
		if count("503") != 4 || count("ongoing for 1 h") != 2 || count("presence: not delivered: ") != 1 || count("resolved after 2 h 5 min (125 beats): presence repository: ") != 1 || count("no port; no folder") != 3 {
			t.Errorf("said %q", said)
		}
	})
}

// TestACriticalTroubleIsSoAtEachBeatOfCron, also where it is said again before the place was tried again.
func TestACriticalTroubleIsSoAtEachBeatOfCron(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var before *journal.Beat
		var levels []journal.Level
		for range 70 {
			b := newBench(t)
			b.Before, b.Sinks = before, []sink.Named{{Name: "presence", Sink: &ear{untold: &gitstore.Clash{Ref: "refs/heads/presence/i-1"}}}}
			b.Say = func(n journal.News) {
				if strings.Contains(n.Text, "clash") {
					levels = append(levels, n.Level)
				}
			}
			data, err := json.Marshal(b.Once(t.Context()))
			if err == nil {
				before = &journal.Beat{}
				err = json.Unmarshal(data, before)
			}
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Minute)
		}
		if !slices.Equal(levels, []journal.Level{journal.Critical, journal.Critical}) {
			t.Errorf("said at levels %v", levels)
		}
	})
}

func TestWhatGoesOnBesideTheHeartIsTickedAndItsTroubleSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		ticks := 0
		b.Tasks = []Task{{Name: "peers", Tick: func(time.Time) error { ticks++; return errors.New("peers: nobody answers") }}}
		b.live(5*time.Minute, nil)
		if ticks < len(b.beats) || ticks > len(b.beats)+1 || b.hears("peers: nobody answers") != 1 {
			t.Errorf("%d ticks in %d beats, said %q", ticks, len(b.beats), b.said)
		}
	})
}
