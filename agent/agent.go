// Package agent is the heartbeat: begin, look, decide, work, report, once a
// minute, for ever. It knows neither git nor chat nor a cloud; cmd/addagent
// wires those in.
//
// One goroutine, the caller of Run or Once, owns everything in an Agent. Looks
// and work happen elsewhere and hand their results back on channels.
package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/addagent/addagent/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/work"
)

// Clones is what the agent needs of this node's repositories.
type Clones interface {
	// Ask asks every repository for its tip, side by side, and writes nothing.
	// Look.Moved says that Move has something to do there.
	Ask(ctx context.Context) []Look
	// Move brings the trees of those that moved to the tip that was asked for,
	// side by side. It calls progress, from any goroutine, whenever something
	// advanced. The answer has all repositories, as they are now.
	Move(ctx context.Context, asked []Look, progress func()) []Look
}

// Survey judges what the look left. *work.Survey is one.
type Survey interface {
	Judge(at []work.At, place work.Place, now time.Time) work.Findings
}

// Hand holds the work lock and does the work. *work.Hand is one.
type Hand interface {
	// Take takes the work lock, ends what earlier work left half-done and says
	// what that was; or says who has the lock with a *work.Busy.
	Take() (said []string, err error)
	// Drop gives the lock back when nothing was started with it.
	Drop()
	// Start records the attempt and starts the shim; the lock goes with it.
	Start(work.Judgement, work.Standing, work.Facts) (work.InHand, error)
	// Found is the work that runs though this agent did not start it.
	Found() (work.InHand, bool)
	// Done yields the work that was in hand when it has ended.
	Done() <-chan work.Outcome
}

// Supervisor is who watches over this process: systemd, or nobody.
type Supervisor interface {
	Ready() error
	Alive() error
	Status(string) error
	Stopping() error
}

// Config is what an Agent needs to live. All fields but Log are required.
type Config struct {
	ID        string                    // this node's instance-id
	Version   string                    // of addagent
	By        string                    // "run" or "beat"
	Hardware  string                    // for the record
	InitDone  bool                      // init has been done in an earlier life (state files said so)
	Info      func() (node.Info, error) // nodeinfo as it is now
	Clones    Clones
	Survey    Survey
	Hand      Hand
	Rules     work.Rules
	Schedule  Schedule      // already shifted by the node's offset
	WorkAfter time.Duration // this node's share of beat.work_spread
	Memory    Memory        // state files and journal
	Sinks     []presence.Sink
	Record    func(*presence.Record) // fills in what only the wiring knows: addresses, hostname, boot id
	Supervise Supervisor
	AliveEach time.Duration // half the watchdog's interval; 0 = no watchdog
	Say       func(News)    // a line for people
	Told      func(Beat)    // the line of a beat, when it is over
}

// Memory is where a beat and the state are written down.
type Memory interface {
	// State makes nodeinfo/state*.txt say s, and writes only what does not say it yet.
	State(s node.State, at time.Time) error
	// Show writes nodeinfo/beat.json: how things are now.
	Show(Beat) error
	// Append adds a beat to log/beats.jsonl.
	Append(Beat) error
}

// Agent is the heartbeat. Make it with New; Run or Once it from one goroutine.
type Agent struct {
	Config

	seq       uint64
	dropped   uint64
	info      node.Info
	state     node.State
	reason    string
	blamed    string // whom the reason names
	since     time.Time
	looks     []Look
	findings  work.Findings
	standings []work.Standing // one a judgement
	firstDue  map[string]time.Time
	startFail map[string]string // item: why it could not be started in its last beat
	queue     []int             // judgements that still run in this beat
	inHand    *InHand
	holding   bool   // the work lock
	elsewhere string // who else has the work lock
	started   []Started
	ended     []Ended
	troubles  map[string]Trouble
	wrong     []Trouble // collected in this beat
	full      string    // why the last state or beat could not be written down
	failing   time.Time // since when it was failing before the work that runs; zero = it was not
	lastGood  time.Time // last look that reached a repository
	begun     time.Time
	last      Beat // as last recorded
	setUp     bool // setup and initdone were said
}

// New makes an agent; nothing happens before Run or Once.
func New(c Config) *Agent {
	return &Agent{Config: c, troubles: map[string]Trouble{}, firstDue: map[string]time.Time{}, startFail: map[string]string{}}
}

// splay is how long the very first beat waits at most, so that a hundred
// machines switched on together do not ask in the same instant; a person who
// starts one by hand should not notice.
const splay = 2 * time.Second

// Run beats until ctx ends. Work that runs then goes on in its shim.
func (a *Agent) Run(ctx context.Context) {
	a.begun = time.Now().UTC()
	a.wake(a.begun)
	if err := a.Supervise.Ready(); err != nil {
		a.say(Warning, "", "%v", err)
	}

	next := a.begun.Add(Offset(a.ID, splay, splay))
	tick := time.NewTimer(wait(time.Now(), next, splay))
	defer tick.Stop()
	var alive <-chan time.Time
	if a.AliveEach > 0 {
		t := time.NewTicker(a.AliveEach)
		defer t.Stop()
		alive = t.C
	}
	for {
		select {
		case <-ctx.Done():
			a.leave()
			return
		case o := <-a.Hand.Done():
			a.finish(ctx, o, time.Now().UTC())
		case <-alive:
			a.alive()
		case <-tick.C:
			now := time.Now().UTC()
			b := a.Beat(ctx, now)
			if ctx.Err() == nil {
				a.Told(b)
			}
			end := time.Now().UTC()
			next = a.Schedule.Next(end)
			tick.Reset(wait(end, next, Interval(a.Schedule, end)))
		}
	}
}

// Once is one beat that waits for its work: what `addagent beat` does. The
// answer is the beat with the work that ended in it. When ctx ends first, the
// work is left to its shim.
func (a *Agent) Once(ctx context.Context) Beat {
	a.begun = time.Now().UTC()
	a.wake(a.begun)
	b := a.Beat(ctx, a.begun)
	for a.inHand != nil && !a.inHand.Adopted {
		select {
		case <-ctx.Done():
			return b
		case o := <-a.Hand.Done():
			a.finish(ctx, o, time.Now().UTC())
		}
	}
	if len(a.ended) > 0 {
		b = a.record(time.Now().UTC(), b)
	}
	a.Told(b)
	return b
}

// wake settles what an agent finds when it starts: the state files say nothing
// that it believes but "init is done"; work may be running that it has not begun.
func (a *Agent) wake(now time.Time) {
	a.state, a.since = node.InitDone, now
	if !a.InitDone {
		a.state = node.Presetup
		a.to(node.Setup, "", now)
		// This version has no init scripts to run: a node is set up at once.
		a.to(node.InitDone, "", now)
	}
	a.setUp = true
	if h, found := a.Hand.Found(); found {
		a.inHand = fromWork(h)
		a.inHand.Adopted = true
		a.say(Notice, "", "found %s running since %s (attempt %d, pid %d): taking it over", a.inHand.Name(), clock(h.Started), h.Attempt, h.PID)
	}
}

// Beat is one beat, the whole of it.
func (a *Agent) Beat(ctx context.Context, now time.Time) Beat {
	b := a.begin(now)
	a.look(ctx, &b)
	if ctx.Err() != nil {
		return b // told to end in the middle of a look: nothing was decided, so there is nothing to report
	}
	a.decide(&b)
	a.work(ctx, &b)
	a.report(ctx, &b)
	return b
}

func (a *Agent) begin(now time.Time) Beat {
	a.seq++
	a.wrong, a.elsewhere = nil, ""
	if info, err := a.Info(); err != nil {
		a.trouble("nodeinfo", err.Error())
	} else {
		a.info = info
	}
	return Beat{Seq: a.seq, Start: now, Node: a.ID, Agent: a.Version, PID: os.Getpid(), By: a.By}
}

// look is pass one: ask everybody, move what moved. Not while work is in hand:
// no script may see its tree move.
func (a *Agent) look(ctx context.Context, b *Beat) {
	if a.inHand != nil {
		return
	}
	asked := a.supervised(ctx, func(func()) []Look { return a.Clones.Ask(ctx) })
	if ctx.Err() != nil {
		return
	}
	if anyMoved(asked) && !a.take() {
		// Somebody else's work runs in these trees: they stay as they are.
		b.Looks, a.looks = unmoved(asked), unmoved(asked)
		return
	}
	looks := a.supervised(ctx, func(progress func()) []Look { return a.Clones.Move(ctx, asked, progress) })
	for _, l := range looks {
		if l.Trouble != "" {
			a.trouble("look "+l.Repo, l.Trouble)
		} else {
			a.lastGood = b.Start
		}
		for _, n := range l.Notices {
			a.say(Notice, "", "%s: %s", l.Repo, n)
		}
		switch {
		case l.Moved && l.Previous == "":
			a.say(Info, "", "%s cloned at %s (%s), %s", l.Repo, Short(l.Version), l.Branch, count(l.Files, "file"))
		case l.Moved:
			a.say(Info, "", "%s moved %s -> %s (%s), %s", l.Repo, Short(l.Previous), Short(l.Version), l.Branch, count(l.Files, "file"))
		}
	}
	b.Looks, a.looks = looks, looks
}

// supervised runs a slow step beside the loop and feeds the watchdog with its
// progress: the loop is alive as long as bytes come and files get written.
func (a *Agent) supervised(ctx context.Context, step func(progress func()) []Look) []Look {
	advanced := make(chan struct{}, 1)
	done := make(chan []Look, 1)
	go func() {
		done <- step(func() {
			select {
			case advanced <- struct{}{}:
			default:
			}
		})
	}()
	for {
		select {
		case looks := <-done:
			return looks
		case <-advanced:
			a.alive()
		}
	}
}

// decide is pass two: with all trees still, find the items, read their memory,
// judge. What an earlier shim left unfinished is ended first.
func (a *Agent) decide(b *Beat) {
	if a.inHand != nil && len(a.findings.Judgements) > 0 {
		return // the trees stand still, and the work in hand is judged when it has ended
	}
	a.judge(b.Start)
	if a.inHand == nil && unfinished(a.findings.Judgements) && a.take() {
		a.judge(b.Start) // taking the lock has ended it
	}
	for _, p := range a.findings.Problems {
		a.trouble("items "+p, p)
	}
	a.queue = nil
	if a.inHand != nil || a.elsewhere != "" {
		return
	}
	held := a.held()
	for i, s := range a.standings {
		if !s.Due {
			continue
		}
		if held == "" && a.restrained(i, b.Start) == "" {
			a.queue = append(a.queue, i)
		}
	}
}

// judge asks the survey and stands every item; it starts nothing.
func (a *Agent) judge(now time.Time) {
	a.findings = a.Survey.Judge(Ats(a.looks), work.Place{Nodepart: a.info.Nodepart, Stacktype: a.info.Stacktype}, now)
	a.standings = a.standings[:0]
	for _, j := range a.findings.Judgements {
		a.standings = append(a.standings, work.Stand(j, a.Rules, now))
	}
}

// work starts the first due item; the others follow as each ends.
func (a *Agent) work(ctx context.Context, b *Beat) {
	a.startFail = map[string]string{}
	a.startNext(ctx, b.Start)
	if a.inHand == nil && a.holding {
		a.Hand.Drop()
		a.holding = false
	}
}

// startNext starts the next due item that can be started: one that cannot does
// not stop those behind it.
func (a *Agent) startNext(ctx context.Context, now time.Time) {
	for len(a.queue) > 0 && ctx.Err() == nil {
		if !a.take() {
			return
		}
		i := a.queue[0]
		a.queue = a.queue[1:]
		j, s := a.findings.Judgements[i], a.standings[i]
		name := j.Item.Repo + ":" + j.Item.Name
		h, err := a.Hand.Start(j, s, a.facts())
		began := Started{Repo: j.Item.Repo, Item: j.Item.Name, RunID: h.RunID, Version: j.Version, Attempt: s.Attempt, At: time.Now().UTC()}
		if err != nil {
			began.Error = err.Error()
			a.started = append(a.started, began)
			a.startFail[name] = err.Error()
			a.trouble("start "+name, "cannot start "+name+": "+err.Error())
			continue
		}
		a.started = append(a.started, began)
		a.holding = false
		a.inHand = fromWork(h)
		delete(a.firstDue, name)
		if !j.Item.Always {
			again := ""
			if s.Attempt > 1 {
				again = fmt.Sprintf(" again, attempt %d", s.Attempt)
			}
			a.say(Info, "", "%s works on %s%s: %s", name, Short(j.Version), again, j.Why)
		}
		return
	}
}

// finish takes the result of work that ended, starts what is still due of the
// same beat, and tells. Looking waits for the tick.
func (a *Agent) finish(ctx context.Context, o work.Outcome, now time.Time) {
	adopted := a.inHand != nil && a.inHand.Adopted
	was := a.inHand
	a.inHand = nil
	if e, ok := endedFrom(o, adopted); ok {
		a.ended = append(a.ended, e)
		a.sayEnd(e)
	} else if was != nil {
		a.say(Warning, "addagent why "+was.Name(), "%s: its run %s ended without a result", was.Name(), was.RunID)
	}
	pending := a.queue
	a.rejudge(now, pending)
	a.startNext(ctx, now)
	if a.inHand == nil && a.holding {
		a.Hand.Drop()
		a.holding = false
	}
	a.tell(ctx, now)
	if a.last.Seq > 0 {
		// The journal has one record a beat; who asks for the status now shall see what is now.
		a.wrote(a.Memory.Show(a.snapshot(a.last)), now)
	}
}

// rejudge judges again, and keeps the queue: the same items, found by name.
func (a *Agent) rejudge(now time.Time, pending []int) {
	var names []string
	for _, i := range pending {
		it := a.findings.Judgements[i].Item
		names = append(names, it.Repo+":"+it.Name)
	}
	if len(a.looks) == 0 { // adopted work ended before the first look
		return
	}
	a.judge(now)
	a.queue = nil
	for _, n := range names {
		for i, j := range a.findings.Judgements {
			if j.Item.Repo+":"+j.Item.Name == n && a.standings[i].Due {
				a.queue = append(a.queue, i)
			}
		}
	}
}

// report settles the state and tells: files first, then everybody else.
func (a *Agent) report(ctx context.Context, b *Beat) {
	var news []News
	a.tell(ctx, b.Start)
	a.troubles, news = foldTroubles(a.troubles, a.wrong, b.Start)
	for _, n := range news {
		a.Say(n)
	}
	*b = a.record(time.Now().UTC(), *b)
	if err := a.Supervise.Status(statusLine(*b)); err != nil {
		a.wrongNow("systemd", err.Error(), b.Start)
	}
	a.alive()
}

// record completes the decision record and writes it down.
func (a *Agent) record(end time.Time, b Beat) Beat {
	b.Ms = float64(end.Sub(b.Start).Microseconds()) / 1000
	a.dropped += uint64(missed(a.Schedule, b.Start, end))
	b.Dropped = a.dropped
	b.Next = a.Schedule.Next(end).UTC()
	b = a.snapshot(b)
	a.started, a.ended = nil, nil
	a.wrote(errors.Join(a.Memory.Show(b), a.Memory.Append(b)), end)
	a.last = b
	return b
}

// snapshot is a beat with how things are at this moment.
func (a *Agent) snapshot(b Beat) Beat {
	b.State, b.Reason, b.Since, b.LastLook = a.state, a.reason, a.since, a.lastGood
	b.Items = a.judged()
	b.InHand = a.inHand
	b.Started, b.Ended = slices.Concat(b.Started, a.started), slices.Concat(b.Ended, a.ended)
	b.Troubles = listTroubles(a.troubles)
	return b
}

// tell settles the state and tells it: state files, then the sinks side by side.
func (a *Agent) tell(ctx context.Context, now time.Time) {
	v := a.vitals(now)
	s, why := Settle(v)
	who := blamed(s, v)
	switch {
	case s != a.state:
		a.to(s, why, now)
	case who != a.blamed && who != "":
		a.say(levelOf(s), nextCommand(s), "%s: %s", s, why)
		fallthrough
	default:
		// Nothing new to write, unless somebody edited or removed the files.
		a.wrote(a.Memory.State(s, now), now)
	}
	a.reason, a.blamed = why, who
	a.tellSinks(ctx, now)
}

// alive feeds the watchdog. That systemd cannot be reached is said by Status, once a beat.
func (a *Agent) alive() { _ = a.Supervise.Alive() }

// leave is the end of the process, not of the machine: work goes on.
func (a *Agent) leave() {
	_ = a.Supervise.Stopping() // there is nobody left to tell
	if a.inHand != nil {
		a.say(Notice, "", "stopping; %s goes on in its shim (pid %d) and is taken over by the next agent", a.inHand.Name(), a.inHand.PID)
	} else {
		a.say(Notice, "", "stopping")
	}
	if a.holding {
		a.Hand.Drop()
	}
}
