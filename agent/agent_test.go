package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/addagent/addagent/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/work"
)

// bench is an agent among stand-ins: repositories, a memory and a hand that a
// test moves. Everything runs on the one goroutine of the test's bubble.
type bench struct {
	t  *testing.T
	mu sync.Mutex // the steps of a test and the ends of runs come from timers
	*Agent
	version  string      // tip of the repository ops
	trouble  string      // of the next looks
	asks     []time.Time // when ops was asked
	items    []string    // names of its items
	memory   map[string]work.Memory
	results  map[string]func(n int) (exit int, takes time.Duration) // how an item's n-th run goes
	runs     []string                                               // item@version, in order of start
	when     []time.Time                                            // of the runs
	running  int
	most     int // at the same time
	holds    []work.Hold
	took     int // the lock is taken
	found    *work.InHand
	done     chan work.Outcome
	said     []string
	states   []node.State
	beats    []Beat
	startErr error
	diskErr  error
}

func newBench(t *testing.T, items ...string) *bench {
	b := &bench{t: t, version: strings.Repeat("a", 40), items: items, memory: map[string]work.Memory{},
		results: map[string]func(int) (int, time.Duration){}, done: make(chan work.Outcome, 1)}
	rules := work.Rules{RetryFirst: time.Minute, RetryMax: 15 * time.Minute, WedgeAfter: 3, Node: "i-1"}
	b.Agent = New(Config{
		ID: "i-1", Version: "test", InitDone: true, Info: func() (node.Info, error) { return node.Info{Nodepart: "app1"}, nil },
		Clones: b, Survey: b, Hand: (*benchHand)(b), Rules: rules, Schedule: Every(time.Minute), Memory: (*benchMemory)(b),
		Record: func(*presence.Record) {}, Supervise: nobody{}, Say: func(n News) { b.said = append(b.said, n.Text) },
		Told: func(bt Beat) { b.beats = append(b.beats, bt) },
	})
	return b
}

func (b *bench) Ask(context.Context) []Look {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asks = append(b.asks, time.Now())
	was := ""
	if len(b.Agent.looks) == 1 {
		was = b.Agent.looks[0].Version
	}
	if b.trouble != "" {
		return []Look{{Repo: "ops", Branch: "main", Version: was, Previous: was, Trouble: b.trouble}}
	}
	return []Look{{Repo: "ops", Branch: "main", Version: b.version, Previous: was, Moved: was != b.version}}
}

func (b *bench) Here() []Look {
	b.mu.Lock()
	defer b.mu.Unlock()
	return []Look{{Repo: "ops", Branch: "main", Version: b.version}}
}

func (b *bench) Move(_ context.Context, asked []Look, _ func()) []Look {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range asked {
		if l.Moved && b.took == 0 {
			b.t.Error("a tree is moved without the work lock")
		}
	}
	if b.running > 0 {
		b.t.Error("a tree is moved while work runs")
	}
	return asked
}

func (b *bench) Judge(at []work.At, _ work.Place, _ time.Time) work.Findings {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := work.Findings{Holds: b.holds}
	for _, a := range at {
		for _, name := range b.items {
			it := work.Item{Repo: a.Repo, Level: work.Common, Name: strings.TrimSuffix(name, "!"), Always: strings.HasSuffix(name, "!"), WatchFrom: work.FromDefault}
			f.Judgements = append(f.Judgements, work.Judge(it, a.Version, map[string]string{".": a.Version}, b.memory[it.Name]))
		}
	}
	return f
}

// benchHand runs work as the bench's results say.
type benchHand bench

func (h *benchHand) Take() ([]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running > 0 {
		return nil, &work.Busy{Path: "work.lock"}
	}
	h.took++
	return nil, nil
}
func (h *benchHand) Drop()                     { h.took-- }
func (h *benchHand) Done() <-chan work.Outcome { return h.done }
func (h *benchHand) Found() (work.InHand, bool) {
	if h.found == nil {
		return work.InHand{}, false
	}
	return *h.found, true
}

func (h *benchHand) Start(j work.Judgement, s work.Standing, _ work.Facts) (work.InHand, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.startErr != nil {
		return work.InHand{}, h.startErr
	}
	if h.took != 1 {
		h.t.Errorf("work starts with the lock taken %d times", h.took)
	}
	h.took = 0
	h.running++
	h.most = max(h.most, h.running)
	name := j.Item.Name
	n := 0
	for _, r := range h.runs {
		if strings.HasPrefix(r, name+"@") {
			n++
		}
	}
	h.runs, h.when = append(h.runs, name+"@"+Short(j.Version)), append(h.when, time.Now())
	exit, takes := 0, 5*time.Second
	if how := h.results[name]; how != nil {
		exit, takes = how(n)
	}
	id := fmt.Sprintf("run-%d", len(h.runs))
	att := work.Begin(j, h.Rules, id, "boot", "log", time.Now())
	m := h.memory[name]
	m.Last = &att
	h.memory[name] = m
	time.AfterFunc(takes, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		m := h.memory[name]
		reason := work.Reason("")
		switch exit {
		case 0:
			m.Version, m.Done = j.Version, &work.Done{Version: j.Version, Ids: j.Ids}
		case 75:
			reason = work.ReasonWaiting
		default:
			reason = work.ReasonExit
		}
		end := att.End(reason, exit, fmt.Sprintf("exit %d", exit), "", time.Now())
		m.Last = &end
		h.memory[name] = m
		h.running--
		h.done <- work.Outcome{Repo: "ops", Item: name, RunID: id, Last: &end}
	})
	return work.InHand{Repo: "ops", Item: name, RunID: id, Version: j.Version, Attempt: att.Attempt, Started: time.Now(), PID: 1, Standing: s}, nil
}

type benchMemory bench

func (m *benchMemory) State(s node.State, _ time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.states); n == 0 || m.states[n-1] != s {
		m.states = append(m.states, s)
	}
	return m.diskErr
}

func (m *benchMemory) Append(Beat) error { return nil }

func (m *benchMemory) Show(Beat) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.diskErr
}

type nobody struct{}

func (nobody) Ready() error        { return nil }
func (nobody) Alive() error        { return nil }
func (nobody) Status(string) error { return nil }
func (nobody) Stopping() error     { return nil }

// live runs the agent for d of bubble time, calling each of the steps at its moment.
func (b *bench) live(d time.Duration, steps map[time.Duration]func()) {
	ctx, cancel := context.WithTimeout(b.t.Context(), d)
	defer cancel()
	for at, do := range steps {
		time.AfterFunc(at, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			do()
		})
	}
	b.Run(ctx)
}

func (b *bench) hears(text string) int {
	n := 0
	for _, s := range b.said {
		if strings.Contains(s, text) {
			n++
		}
	}
	return n
}

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
		if n := len(b.asks); n < 9 || n > 11 {
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
		for _, at := range b.asks[1:] {
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
		if b.hears("wedged after") != 1 || b.hears("wedged:") != 0 || b.hears("wedged no more") != 1 {
			t.Errorf("wedged and well again are said once each: %q", b.said)
		}
		if got := b.runs[len(b.runs)-2]; got != "common@bbbbbbb" {
			t.Errorf("the new version was not tried at once: %v", b.runs)
		}
		if b.state != node.Idle {
			t.Errorf("still %s: %s", b.state, b.reason)
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
		if b.state != node.Failing || !strings.Contains(b.reason, "waiting") {
			t.Errorf("after the hour: %s %q", b.state, b.reason)
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
		if len(b.asks) < 5 {
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
		if b.state != node.Wedged || !strings.Contains(b.reason, "no repository could be looked at") {
			t.Errorf("after 70 minutes: %s %q", b.state, b.reason)
		}
		b.trouble = ""
		b.live(2*time.Minute, nil)
		if b.state != node.Idle {
			t.Errorf("after it came back: %s %q", b.state, b.reason)
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
		if b.hears("not working") != 0 {
			t.Errorf("said %q", b.said)
		}
	})
}

func TestATroubleOfLookingIsNotOverWhileNobodyLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.results["common"] = func(n int) (int, time.Duration) { return 1, time.Duration(n) * 90 * time.Second } // tried again and again, ever longer
		b.live(30*time.Minute, map[time.Duration]func(){time.Minute / 2: func() { b.trouble = "look ops: connection refused" }})
		if n := b.hears("connection refused"); n != 1 || b.hears("over after") != 0 {
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
		if n := b.hears("done with"); n > 1 {
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
		if b.hears("taking it over") != 1 || b.hears("ops:common done with") != 1 {
			t.Errorf("said %q", b.said)
		}
		if b.state != node.Idle {
			t.Errorf("state %s", b.state)
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
		if len(b.asks) < 7 {
			t.Errorf("%d looks", len(b.asks))
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
		if b.state != node.Idle {
			t.Errorf("at the end %s %q", b.state, b.reason)
		}
		if n := b.hears("write beat.json"); n > 2 { // the trouble, and the state with its reason
			t.Errorf("said %d times: %q", n, b.said)
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
		b.Before = &Beat{Node: "i-1", State: node.Working, Since: since, InHand: &InHand{Repo: "ops", Item: "common", RunID: "old"}}
		b.live(2*time.Minute, nil)
		if b.hears("ops:common done with") != 1 || len(b.beats[0].Ended) != 1 || !b.beats[0].Ended[0].Adopted {
			t.Errorf("said %q, ended %+v", b.said, b.beats[0].Ended)
		}
	})
}

func TestARestartKeepsSinceAndDoesNotRepeatTheAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.results["common"] = func(int) (int, time.Duration) { return 3, time.Second }
		b.live(10*time.Minute, nil)
		if b.state != node.Wedged {
			t.Fatalf("state %s", b.state)
		}
		before, since := b.last, b.since
		again := newBench(t, "common")
		again.memory, again.results = b.memory, b.results
		again.Before = &before
		again.live(5*time.Minute, nil)
		if again.state != node.Wedged || !again.since.Equal(since) || again.hears("wedged") != 0 {
			t.Errorf("%s since %s, was %s; said %q", again.state, again.since, since, again.said)
		}
	})
}
