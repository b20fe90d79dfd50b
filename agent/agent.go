// Package agent is the heartbeat: begin, look, decide, work and report, once a minute.
//
// Begin with Agent.Beat in beat.go; Settle in settle.go turns what was found into a state. One goroutine, the caller of
// Run or Once, owns everything in an Agent. Looks and work happen elsewhere and hand back their results on channels.
//
// The package knows neither git nor chat nor a cloud: package daemon passes them in, as the interfaces in agent.go.
package agent

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/schedule"
	"github.com/addagent/addagent/internal/sink"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/service/offer"
	"github.com/addagent/addagent/work"
)

// Clones are this node's repositories.
type Clones interface {
	// Current returns what is on the node, as the last move left it. It asks no server.
	Current() []journal.Look
	// Ask asks every repository for its tip, side by side, and writes nothing. It does not ask those that a person
	// disabled. Look.Moved says that Move has something to do there.
	Ask(ctx context.Context, disabled func(repo string) bool) []journal.Look
	// Move brings the trees of those that moved to the tip that was asked for, side by side. It calls progress, from
	// any goroutine, whenever something advanced. The answer has all repositories, as they are now.
	Move(ctx context.Context, asked []journal.Look, progress func(journal.Fetching)) []journal.Look
}

// Survey judges what the look left: *work.Survey.
type Survey interface {
	Judge(at []work.At, place work.Place, now time.Time) work.Inventory
}

// Runner holds the work lock and runs the work: *run.Runner.
type Runner interface {
	// Acquire takes the work lock, ends what earlier work left half-done, and says what that was. The error is a
	// *run.Busy when another process has the lock.
	Acquire() (said []string, err error)
	// Release gives the lock back when nothing was started with it.
	Release()
	// Start records the attempt and starts the shim, which takes over the lock.
	Start(work.Judgement, work.NextRun, work.Env) (work.InHand, error)
	// Found returns work that runs although this agent did not start it.
	Found() (work.InHand, bool)
	// Done yields the work that was in hand when it has ended.
	Done() <-chan work.Outcome
	// Last returns the last attempt of an item, as it is remembered; nil = none.
	Last(repo, item string) *work.Attempt
	// Again makes an item due again, or forgets it with by "", and Unwedge deletes its failures. Both need the lock.
	Again(repo, item, by string) error
	Unwedge(repo, item string) error
}

// Supervisor watches over this process: systemd, or nothing.
type Supervisor interface {
	Ready() error
	Alive() error
	Status(string) error
	Stopping() error
}

// Control is how people steer a running agent: through files that it reads between two beats.
type Control interface {
	// Brakes returns who disabled the node or a repository, or called the node wedged.
	Brakes(now time.Time) (node.Brakes, error)
	// Asks returns the requests without an answer, oldest first.
	Asks() []journal.Ask
	// Answered deletes a request after the beat that served it was written down.
	Answered(done journal.Asked, now time.Time)
	// Reload returns the config if it changed since the last call; wrong lists its mistakes for as long as they last.
	Reload(info node.Info) (s Settings, changed bool, wrong []string)
	// Woken yields when a person wants a beat now.
	Woken() <-chan struct{}
	// ShuttingDown distinguishes the end of the machine from the end of the agent.
	ShuttingDown() bool
}

// Settings are what the config may change while the agent runs.
type Settings struct {
	Schedule  schedule.Schedule // already shifted by the node's offset
	WorkAfter time.Duration     // this node's share of beat.work_spread
	Rules     work.Rules
	Output    bool         // others are told the last line that a script wrote
	Sinks     []sink.Named // who is told, in the order in which their troubles are listed
	Tasks     []Task       // what runs in the background
}

// Config is what an Agent needs. All fields are required but those that may be nil.
type Config struct {
	Settings
	ID       string                    // this node's instance-id
	Version  string                    // of addagent
	By       string                    // "run" or "beat"
	Hardware string                    // for the record
	InitDone bool                      // an earlier process of this instance finished init
	Before   *journal.Beat             // the last record of an earlier process; nil = none
	Known    node.Info                 // nodeinfo as it was when the agent was made
	Info     func() (node.Info, error) // nodeinfo as it is now
	Clones   Clones
	Survey   Survey
	Runner   Runner
	Services *offer.Offers // what this node offers to others; nil = nothing
	Control  Control
	Memory   Memory // state files and journal
	// Notice asks the cloud within a second why it takes this machine away, "" = it does not. nil = no cloud.
	Notice func(context.Context) (leaving string, err error)
	// SelfDestruct decides whether this node ends itself; up is Clock.Up, w is nil while its work is not wedged. It
	// does not wait. nil = it never does.
	SelfDestruct func(now time.Time, up time.Duration, w *Wedge) error
	// AwaitSelfDestruct waits until what SelfDestruct began is over, or wants a beat first: true. It is for Once.
	AwaitSelfDestruct func(ctx context.Context) bool
	Record            func(*presence.Record) // fills in addresses, hostname and boot id
	Supervise         Supervisor
	Clock             Clock
	BootID            string             // of this boot of the machine
	AliveEach         time.Duration      // half the watchdog's interval; 0 = no watchdog
	Say               func(journal.News) // prints a line for people
	Told              func(journal.Beat) // prints the line of a beat when it is over
}

// Memory is where a beat and the state are written down.
type Memory interface {
	// State makes nodeinfo/state*.txt say s, and writes only what does not say it yet.
	State(s node.State, at time.Time) error
	// Show writes nodeinfo/beat.json: how things are now.
	Show(journal.Beat) error
	// Append shows a beat and adds it to log/beats.jsonl.
	Append(journal.Beat) (shown, added error)
}

// Agent is the heartbeat. Make it with New; Run or Once it from one goroutine. What it knows is in four parts beside
// the count of its beats: what state the node is in, what the trees hold, which work runs, and what is wrong.
type Agent struct {
	Config
	info  node.Info
	beats beats
	life  life
	trees trees
	runs  runs
	wrong troubles
}

// beats is what a beat leaves for the next one.
type beats struct {
	seq      uint64
	dropped  uint64
	read     journal.Reading // what the clocks last showed
	began    time.Duration   // the beat, in the time of Clock.Up
	ended    time.Time       // the last one
	died     time.Time       // the last one of a daemon that was killed before this process
	last     journal.Beat    // as last recorded
	requests []journal.Ask   // as this beat found them
}

// New makes an agent; nothing happens before Run or Once.
func New(c Config) *Agent {
	return &Agent{
		Config: c, info: c.Known,
		trees: trees{firstDue: map[string]time.Time{}, startFail: map[string]string{}},
		wrong: troubles{known: map[string]journal.Trouble{}, unwritten: map[string]string{}},
	}
}

// splay is how long the very first beat waits at most, so that a hundred machines switched on together do not ask in
// the same instant. A person who starts one by hand should not notice.
const splay = 2 * time.Second

// Run beats until ctx ends. Work that runs then goes on in its shim.
func (a *Agent) Run(ctx context.Context) {
	a.resume(false)
	if err := a.Supervise.Ready(); err != nil {
		a.say(journal.Warning, "", "%v", err)
	}

	tick := time.NewTimer(schedule.Offset(a.ID, splay, splay))
	defer tick.Stop()
	var alive <-chan time.Time
	if a.AliveEach > 0 {
		t := time.NewTicker(a.AliveEach)
		defer t.Stop()
		alive = t.C
	}
	first := true
	for {
		select {
		case <-ctx.Done():
			a.leave()
			return
		case o := <-a.Runner.Done():
			a.finish(ctx, o, a.now())
		case <-alive:
			_ = a.Supervise.Alive()
		case <-a.Control.Woken():
			a.beatNow(ctx)
			tick.Reset(a.untilTick(a.now()))
		case <-tick.C:
			if now := a.now(); first || !a.Schedule.Next(a.beats.ended).After(now) {
				a.beatNow(ctx)
			}
			first = false
			tick.Reset(a.untilTick(a.now()))
		}
	}
}

// beatNow is a beat of the loop.
func (a *Agent) beatNow(ctx context.Context) {
	b := a.Beat(ctx, a.now())
	if ctx.Err() == nil {
		a.Told(b)
	}
	a.beats.ended = a.now()
}

// Once is one beat that waits for its work: what `addagent beat` does. The answer is the beat with the work that ended
// in it. When ctx ends first, the work is left to its shim. A machine that is about to end itself beats once more, to
// report that.
func (a *Agent) Once(ctx context.Context) journal.Beat {
	a.resume(true)
	b := a.single(ctx)
	for a.AwaitSelfDestruct != nil && ctx.Err() == nil && a.AwaitSelfDestruct(ctx) {
		b = a.single(ctx)
	}
	return b
}

func (a *Agent) single(ctx context.Context) journal.Beat {
	b := a.Beat(ctx, a.now())
	waited := a.runs.inHand != nil && !a.runs.inHand.Adopted
	// Work may take longer than what was promised to those who wait to hear of this node.
	still := time.NewTicker(schedule.Interval(a.Schedule, b.Start))
	defer still.Stop()
	for a.runs.inHand != nil && !a.runs.inHand.Adopted {
		select {
		case <-ctx.Done():
			return b
		case <-still.C:
			a.tell(ctx, a.now())
		case o := <-a.Runner.Done():
			a.finish(ctx, o, a.now())
		}
	}
	patient, cancel := context.WithTimeout(context.Background(), flushWait)
	defer cancel()
	untold, now := a.flush(patient), a.now()
	for _, t := range untold { // there is no next beat of this process to say it
		if n, news := a.wrong.late(t, now); news {
			n.Text = strings.TrimPrefix(t.Key, "tell ") + ": not delivered: " + n.Text
			a.Say(n)
		}
	}
	over := a.wrong.settle(untold, now)
	for _, n := range over {
		a.Say(n)
	}
	if waited || len(over) > 0 || len(untold) > 0 {
		b = a.record(now, b)
	}
	if ctx.Err() == nil {
		a.Told(b)
	}
	return b
}

// resume settles what an agent finds when it starts: the state files say nothing
// that it believes but "init is done"; work may be running that it has not begun.
func (a *Agent) resume(once bool) {
	before := a.Before
	if before != nil && before.Node != a.ID {
		before = nil
	}
	if before != nil {
		a.recallTimes(*before)
		a.wrong.recall(before.Troubles, once)
	}
	now := a.now()
	if a.trees.lastContact.IsZero() {
		a.trees.lastContact = now
	}
	a.life.initDone = a.InitDone
	switch b := before; {
	case b != nil:
		if a.beats.died = b.Died; b.By == "run" && b.Stopped.IsZero() {
			a.beats.died = b.Start
		}
		// Not what state it is in, that is settled anew; but since when it is in
		// it, and that it has been said.
		a.life.state, a.life.reason, a.life.outside, a.life.reasonItem = b.State, b.Reason, b.Outside, b.Blamed
		a.runs.unreported, a.runs.lastEnded = b.InHand, b.Did
		a.life.brakes.Repos = disabledIn(b.Looks)
	case a.life.initDone:
		a.life.state, a.life.since = node.InitDone, now
	default:
		a.life.state, a.life.since = node.Presetup, now
		a.enter(node.Setup, "", now)
	}
	if h, found := a.Runner.Found(); found {
		h.Adopted = true
		a.runs.inHand = &h
		a.runs.unreported = nil
		a.say(journal.Notice, "", "found %s running since %s (attempt %d, pid %d): taking it over", a.runs.inHand.Name(), human.Moment(h.Started, now), h.Attempt, h.PID)
	}
}

// finish takes the result of work that ended, starts what is still due of the
// same beat, and tells. Looking waits for the tick.
func (a *Agent) finish(ctx context.Context, o work.Outcome, now time.Time) {
	adopted := a.runs.inHand != nil && a.runs.inHand.Adopted
	was := a.runs.inHand
	a.runs.inHand = nil
	if e, ok := journal.EndedFrom(o, adopted); ok {
		a.sayEnd(e)
	} else if was != nil {
		a.say(journal.Warning, "addagent why "+was.Name(), "%s: run %s ended without a result", was.Name(), was.RunID)
	}
	known, before := len(a.wrong.now), a.life.initDone
	a.answerServices(now)
	a.applyBrakes(now)
	if len(a.trees.looks) > 0 { // else adopted work ended before the first look
		a.judge(now)
		a.trees.queue = slices.DeleteFunc(a.trees.queue, func(name string) bool {
			i := a.trees.find(name)
			return i < 0 || !a.mayRun(i)
		})
	}
	if a.life.initDone && !before || a.Services.Waits(now) {
		a.enqueue(now) // the work that waited for init, or for another script of the same service
	}
	a.startNext(ctx)
	a.tell(ctx, now)
	a.wrong.carried = append(a.wrong.carried, a.wrong.now[known:]...)
	if a.beats.last.Seq > 0 {
		// The journal has one record a beat; who asks for the status now shall see what is now.
		a.wrote("beat", a.Memory.Show(a.snapshot(a.beats.last)), now)
	}
}

// farewell is how long the last words may take when the machine goes down, told and arrived. A server that answers at
// all does so in a second; what hangs is not worth more of a shutdown.
const farewell = 5 * time.Second

// leave is the end of the process. Work goes on, unless the machine ends, too.
func (a *Agent) leave() {
	_ = a.Supervise.Stopping() // too late to report an error
	if a.life.leaving = a.Control.ShuttingDown(); a.life.leaving {
		ctx, cancel := context.WithTimeout(context.Background(), farewell)
		defer cancel()
		now := a.now()
		a.tell(ctx, now)
		a.flush(ctx)
	}
	if last := a.snapshot(a.beats.last); last.Seq > 0 {
		last.Stopped = a.now()
		a.wrote("beat", a.Memory.Show(last), last.Stopped)
	}
	switch h := a.runs.inHand; {
	case h == nil:
		a.say(journal.Notice, "", "stopping")
	case a.life.leaving:
		a.say(journal.Notice, "", "stopping: the machine is shutting down; %s (pid %d) runs again if that interrupts it", h.Name(), h.PID)
	default:
		a.say(journal.Notice, "", "stopping; %s continues in its shim (pid %d), and the next agent takes it over", h.Name(), h.PID)
	}
	if a.runs.holding {
		a.Runner.Release()
	}
}
