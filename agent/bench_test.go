package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/schedule"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/work"
	"github.com/addagent/addagent/work/run"
)

// bench is an agent among stand-ins: repositories, a memory and a hand that a
// test moves. Everything runs on the one goroutine of the test's bubble.
type bench struct {
	t  *testing.T
	mu sync.Mutex // the steps of a test and the ends of runs come from timers
	*Agent
	version  string      // tip of the repository ops
	trouble  string      // of the next looks
	tree     string      // what the tree of ops shows
	full     bool        // and that is because the disk is full
	asked    []time.Time // when ops was asked
	items    []string    // names of its items
	memory   map[string]work.Memory
	results  map[string]func(n int) (exit int, takes time.Duration) // how an item's n-th run goes
	output   string                                                 // the last line of each run
	runs     []string                                               // item@version, in order of start
	when     []time.Time                                            // of the runs
	running  int
	most     int // at the same time
	holds    []work.Hold
	took     int // the lock is taken
	found    *work.InHand
	brakes   node.Brakes
	asks     []journal.Ask
	answered []string
	fresh    *Settings
	bad      []string // what is wrong with the config
	woken    chan struct{}
	down     bool   // the machine goes down
	taken    string // why the cloud takes it away
	init     string // the init repository; "" = none
	forgot   []string
	unwedged []string
	done     chan work.Outcome
	said     []string
	states   []node.State
	beats    []journal.Beat
	startErr error
	diskErr  error
	slow     func(progress func(journal.Fetching)) // how a move goes on; nil = at once
	shown    []journal.Beat                        // as beat.json had them
	alive    int                                   // the watchdog was fed
	clock    benchClock
	lockErr  error         // why the lock cannot be had
	remains  time.Duration // how long it takes to end what a killed shim left behind
	unread   []string      // of the trees
	begun    time.Time     // the last life
}

// benchClock is a clock that a test sets.
type benchClock struct{ set atomic.Int64 }

func (c *benchClock) Now() time.Time { return time.Now().Add(time.Duration(c.set.Load())) }

// Up is that of a machine that booted when synctest's time begins.
func (c *benchClock) Up() time.Duration {
	return time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
}

func newBench(t *testing.T, items ...string) *bench {
	b := &bench{t: t, version: strings.Repeat("a", 40), items: items, memory: map[string]work.Memory{},
		results: map[string]func(int) (int, time.Duration){}, done: make(chan work.Outcome, 1), woken: make(chan struct{}, 1)}
	rules := work.Rules{RetryFirst: time.Minute, RetryMax: 15 * time.Minute, WedgeAfter: 3, Node: "i-1"}
	b.Agent = New(Config{
		ID: "i-1", Version: "test", InitDone: true, Info: func() (node.Info, error) { return node.Info{Nodepart: "app1", InitGitRepo: b.init}, nil },
		Clones: b, Survey: b, Runner: (*benchRunner)(b), Control: (*benchControl)(b), Memory: (*benchMemory)(b),
		Settings: Settings{Rules: rules, Schedule: schedule.Every(time.Minute)},
		Record:   func(*presence.Record) {}, Clock: &b.clock, BootID: "boot", Supervise: (*benchSupervisor)(b), Say: func(n journal.News) { b.said = append(b.said, n.Text) },
		Told: func(bt journal.Beat) { b.beats = append(b.beats, bt) },
	})
	return b
}

func (b *bench) Ask(_ context.Context, rests func(string) bool) []journal.Look {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.tree
	if rests("ops") {
		return []journal.Look{{Repo: "ops", Branch: "main", Version: was, Old: true}}
	}
	b.asked = append(b.asked, time.Now())
	if b.trouble != "" {
		return []journal.Look{{Repo: "ops", Branch: "main", Version: was, Previous: was, Trouble: b.trouble, DiskFull: b.full}}
	}
	return []journal.Look{{Repo: "ops", Branch: "main", Version: b.version, Previous: was, Moved: was != b.version}}
}

func (b *bench) Current() []journal.Look {
	b.mu.Lock()
	defer b.mu.Unlock()
	return []journal.Look{{Repo: "ops", Branch: "main", Version: b.version}}
}

func (b *bench) Move(_ context.Context, asked []journal.Look, progress func(journal.Fetching)) []journal.Look {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range asked {
		if l.Moved && b.took == 0 {
			b.t.Error("a tree is moved without the work lock")
		}
		b.tree = l.Version
	}
	if b.running > 0 {
		b.t.Error("a tree is moved while work runs")
	}
	if slow := b.slow; slow != nil && slices.ContainsFunc(asked, func(l journal.Look) bool { return l.Moved }) {
		b.mu.Unlock()
		slow(progress)
		b.mu.Lock()
	}
	return asked
}

func (b *bench) Judge(at []work.At, p work.Place, _ time.Time) work.Inventory {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := work.Inventory{Holds: b.holds, Unread: b.unread}
	for _, a := range at {
		if a.Repo == p.Init {
			it := work.Item{Repo: a.Repo, Level: work.Init, Name: "init", WatchFrom: work.FromDefault}
			if f.InitDone = b.memory["init"].Version != ""; !f.InitDone {
				f.Judgements = append(f.Judgements, work.Judge(it, a.Version, map[string]string{".": a.Version}, b.memory["init"]))
			}
		}
		for _, name := range b.items {
			it := work.Item{Repo: a.Repo, Level: work.Common, Name: strings.TrimSuffix(name, "!"), Always: strings.HasSuffix(name, "!"), WatchFrom: work.FromDefault}
			f.Judgements = append(f.Judgements, work.Judge(it, a.Version, map[string]string{".": a.Version}, b.memory[it.Name]))
		}
	}
	return f
}

// benchRunner runs work as the bench's results say.
type benchRunner bench

func (h *benchRunner) Acquire() ([]string, error) {
	<-time.NewTimer(h.remains).C
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lockErr != nil {
		if !errors.As(h.lockErr, new(*run.Busy)) {
			h.took++
		}
		return nil, h.lockErr
	}
	if h.running > 0 {
		return nil, &run.Busy{Path: "work.lock"}
	}
	h.took++
	return nil, nil
}
func (h *benchRunner) Release() { h.took-- }

func (h *benchRunner) Last(_, item string) *work.Attempt { return h.memory[item].Last }

func (h *benchRunner) Again(repo, item, by string) error {
	h.underLock()
	h.forgot = append(h.forgot, repo+":"+item)
	delete(h.memory, item)
	return nil
}

func (h *benchRunner) Unwedge(repo, item string) error {
	h.underLock()
	h.unwedged = append(h.unwedged, repo+":"+item)
	m := h.memory[item]
	m.Last = nil
	h.memory[item] = m
	return nil
}

func (h *benchRunner) underLock() {
	if h.took != 1 {
		h.t.Errorf("memory is changed with the lock taken %d times", h.took)
	}
}

func (h *benchRunner) Done() <-chan work.Outcome { return h.done }
func (h *benchRunner) Found() (work.InHand, bool) {
	if h.found == nil {
		return work.InHand{}, false
	}
	return *h.found, true
}

func (h *benchRunner) Start(j work.Judgement, s work.NextRun, _ work.Env) (work.InHand, error) {
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
	h.runs, h.when = append(h.runs, name+"@"+human.ID(j.Version)), append(h.when, time.Now())
	exit, takes := 0, 5*time.Second
	if how := h.results[name]; how != nil {
		exit, takes = how(n)
	}
	id := fmt.Sprintf("run-%d", len(h.runs))
	att := work.Begin(j, h.Rules, id, "boot", h.clock.Now(), time.Duration(time.Now().UnixNano()))
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
		end := att.End(reason, exit, fmt.Sprintf("exit %d", exit), h.output, h.clock.Now())
		m.Last = &end
		h.memory[name] = m
		h.running--
		h.done <- work.Outcome{Repo: "ops", Item: name, RunID: id, Last: &end}
	})
	hand := att.InHand("ops", name)
	hand.PID, hand.Wedged, hand.Failing, hand.Before = 1, s.Wedged, s.Failing, s.Reason
	return hand, nil
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

func (m *benchMemory) Append(b journal.Beat) (shown, added error) { return m.Show(b), nil }

func (m *benchMemory) Show(b journal.Beat) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shown = append(m.shown, b)
	return m.diskErr
}

type benchSupervisor bench

func (s *benchSupervisor) Ready() error        { return nil }
func (s *benchSupervisor) Alive() error        { s.alive++; return nil }
func (s *benchSupervisor) Status(string) error { return nil }
func (s *benchSupervisor) Stopping() error     { return nil }

// live runs the agent for d of bubble time, calling each of the steps at its moment.
func (b *bench) live(d time.Duration, steps map[time.Duration]func()) {
	ctx, cancel := context.WithTimeout(b.t.Context(), d)
	defer cancel()
	b.begun = b.clock.Now()
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

// benchControl are persons who say what the bench has.
type benchControl bench

func (p *benchControl) Brakes(now time.Time) (node.Brakes, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.brakes
	if b.Disabled != nil && b.Disabled.Over(now) {
		b.Disabled = nil
	}
	return b, nil
}

func (p *benchControl) Asks() []journal.Ask {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asks)
}

func (p *benchControl) Answered(done journal.Asked, _ time.Time) {
	id := done.ID
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answered = append(p.answered, id)
	p.asks = slices.DeleteFunc(p.asks, func(a journal.Ask) bool { return a.ID == id })
}

func (p *benchControl) Reload(node.Info) (Settings, bool, []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fresh == nil {
		return Settings{}, false, p.bad
	}
	s := *p.fresh
	p.fresh = nil
	return s, true, p.bad
}

func (p *benchControl) Woken() <-chan struct{} { return p.woken }
func (p *benchControl) ShuttingDown() bool     { return p.down }
