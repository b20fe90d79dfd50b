package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/schedule"
	"github.com/addagent/addagent/service/offer"
	"github.com/addagent/addagent/work"
)

// Beat is one beat, the whole of it.
func (a *Agent) Beat(ctx context.Context, now time.Time) journal.Beat {
	b := a.begin(now)
	wait := a.startNotice(ctx)
	a.look(ctx, &b)
	wait()
	if ctx.Err() != nil {
		return b // told to end in the middle of a look: nothing was decided, so there is nothing to report
	}
	now = a.now() // a first clone takes minutes: no state of this beat is older than its look
	a.decide(&b, now)
	a.serve(ctx, now)
	a.work(ctx)
	a.report(ctx, &b, now)
	return b
}

func (a *Agent) begin(now time.Time) journal.Beat {
	a.beats.seq++
	a.beats.began = a.beats.read.Up()
	a.wrong.now, a.wrong.carried, a.runs.lockedBy = a.wrong.carried, nil, ""
	if info, err := a.Info(); err != nil {
		a.wrong.now = append(a.wrong.now, journal.Trouble{Key: "nodeinfo", Text: err.Error(), Person: true})
	} else {
		a.info = info
		for _, text := range info.Ignored {
			a.wrong.add("nodeinfo "+text, text)
		}
	}
	s, changed, wrong := a.Control.Reload(a.info)
	for _, text := range wrong {
		a.wrong.now = append(a.wrong.now, journal.Trouble{Key: "config", Text: text, Person: true})
	}
	if changed {
		a.Settings = s
		here := a.Clones.Current()
		a.trees.looks = slices.DeleteFunc(slices.Clone(a.trees.looks), func(l journal.Look) bool {
			return !slices.ContainsFunc(here, func(h journal.Look) bool { return h.Repo == l.Repo })
		})
	}
	a.tickTasks(now)
	a.beats.requests = a.Control.Asks()
	a.applyBrakes(now)
	return journal.Beat{Seq: a.beats.seq, Start: now, Node: a.ID, Agent: a.Version, PID: os.Getpid(), By: a.By}
}

// look is the first pass: it asks every repository and moves the trees of those that moved.
// It asks none while work is in hand, as no script may see its tree move, or while the node is disabled.
func (a *Agent) look(ctx context.Context, b *journal.Beat) {
	if a.runs.inHand != nil || a.life.brakes.Disabled != nil {
		a.wrong.keep("look ")
		a.trees.lastContact = a.now() // it does not look, which is no blindness
		if len(a.trees.looks) == 0 {  // taken over at the start: nothing has been asked yet
			a.trees.looks = a.Clones.Current()
		}
		b.Looks = old(a.trees.looks)
		return
	}
	asked := a.supervised(ctx, func(func(journal.Fetching)) []journal.Look { return a.Clones.Ask(ctx, a.life.disabled) }, nil)
	if ctx.Err() != nil {
		return
	}
	for i := range asked {
		if rest, rests := a.life.brakes.Repos[asked[i].Repo]; rests {
			asked[i].Resting = rest.String()
		}
	}
	looks := unmoved(asked) // while another process's work runs in these trees
	if moved := slices.ContainsFunc(asked, func(l journal.Look) bool { return l.Moved }); !moved || a.acquire() {
		var long func([]journal.Fetching, time.Time)
		if moved {
			still := *b
			still.Looks = looks
			long = func(so []journal.Fetching, now time.Time) { a.reportProgress(ctx, still, so, now) }
		}
		looks = a.supervised(ctx, func(progress func(journal.Fetching)) []journal.Look { return a.Clones.Move(ctx, asked, progress) }, long)
	}
	now := a.now()
	for _, l := range looks {
		if l.Trouble != "" {
			key := "look " + l.Repo
			if l.DiskFull {
				key += journal.OnDisk
			}
			a.wrong.now = append(a.wrong.now, journal.Trouble{Key: key, Text: l.Trouble, Person: l.Denied})
		} else if !l.Old {
			a.trees.lastReached, a.trees.lastContact = now, now
		}
		for _, n := range l.Notices {
			a.say(journal.Notice, "", "%s: %s", l.Repo, n)
		}
		switch {
		case l.Moved && l.Previous == "":
			a.say(journal.Info, "", "%s cloned at %s (%s), %s", l.Repo, human.ID(l.Version), l.Branch, human.Count(l.Files, "file"))
		case l.Moved:
			a.say(journal.Info, "", "%s moved %s -> %s (%s), %s", l.Repo, human.ID(l.Previous), human.ID(l.Version), l.Branch, human.Count(l.Files, "file"))
		}
	}
	if !slices.ContainsFunc(looks, func(l journal.Look) bool { return !l.Old }) {
		a.trees.lastContact = now // all of them are disabled
	}
	if len(looks) > 0 || ctx.Err() == nil {
		b.Looks, a.trees.looks = looks, looks
	}
}

// decide is pass two: with all trees still, find the items, read their memory,
// judge. What an earlier shim left unfinished is ended first.
func (a *Agent) decide(b *journal.Beat, now time.Time) {
	if a.runs.inHand != nil && len(a.trees.inventory.Judgements) > 0 {
		a.wrong.keep("items ")
		a.serveRequests(b, now)
		return // the trees stand still, and the work in hand is judged when it has ended
	}
	a.judge(now)
	if a.runs.inHand == nil && unfinished(a.trees.inventory.Judgements) && a.acquire() {
		a.judge(now) // taking the lock has ended it
	}
	a.reportMissedEnd()
	a.applyBrakes(now) // a stop may have been requested during a long fetch
	a.serveRequests(b, now)
	for _, p := range a.trees.inventory.Problems {
		a.wrong.add("items "+p, p)
	}
	for _, j := range a.trees.inventory.Judgements {
		if moved := func(l journal.Look) bool { return l.Moved && l.Repo == j.Item.Repo }; slices.ContainsFunc(b.Looks, moved) {
			for _, m := range j.Missing { // once a push
				a.say(journal.Notice, "", "%s watches %s", j.Item.ID(), m)
			}
		}
	}
	a.enqueue(now)
}

// enqueue lines up what is due and may run now: init alone, until that is done.
func (a *Agent) enqueue(now time.Time) {
	a.trees.queue = nil
	if a.runs.inHand != nil || a.runs.lockedBy != "" {
		return
	}
	before := a.trees.firstDue
	a.trees.firstDue, a.runs.deploy = map[string]time.Time{}, 0
	for i, j := range a.trees.inventory.Judgements {
		name := j.Item.ID()
		if a.trees.next[i].Due {
			a.trees.firstDue[name] = now
			if first, known := before[name]; known {
				a.trees.firstDue[name] = first
			}
		}
		if a.mayRun(i) && !a.spreadUntil(i).After(now) {
			if a.trees.next[i].Attempt <= 1 && j.Verdict.Wanted() {
				a.runs.deploy++
			}
			a.trees.queue = append(a.trees.queue, name)
		}
	}
}

// mayRun tells whether an item is due and not held back. Nothing starts on a machine that goes: it would be cut off.
func (a *Agent) mayRun(i int) bool {
	it := a.trees.inventory.Judgements[i].Item
	return a.trees.next[i].Due && (a.life.initDone || it.Level == work.Init) && !a.life.disabled(it.Repo) && a.held() == "" && a.life.going() == ""
}

// reportMissedEnd tells how work ended that ran when an earlier agent exited, and
// whose end no agent saw.
func (a *Agent) reportMissedEnd() {
	h := a.runs.unreported
	if h == nil {
		return
	}
	o := work.Outcome{Repo: h.Repo, Item: h.Item, RunID: h.RunID, Last: a.Runner.Last(h.Repo, h.Item)}
	if e, ok := journal.EndedFrom(o, true); ok {
		a.sayEnd(e)
	}
	a.runs.unreported = nil
}

// judge asks the survey and stands every item; it starts nothing. It is where
// the node learns that its init is done, or that there is none to do.
func (a *Agent) judge(now time.Time) {
	place := work.Place{Nodepart: a.info.Nodepart, Stacktype: a.info.Stacktype, Deployment: a.info.Deployment}
	if !a.life.initDone {
		place.Init = a.info.InitGitRepo
	}
	a.trees.inventory = a.Survey.Judge(journal.Positions(a.trees.looks), place, now)
	a.Services.Join(&a.trees.inventory, now)
	if !a.life.initDone && (place.Init == "" || a.trees.inventory.InitDone) {
		a.life.initDone, a.life.outside = true, ""
		a.enter(node.InitDone, "", now)
	}
	initRepo := ""
	if a.life.initDone {
		initRepo = a.info.InitGitRepo
	}
	a.trees.learnFinished(initRepo, func() *work.Attempt { return a.Runner.Last(initRepo, string(work.Init)) })
	a.trees.next = a.trees.next[:0]
	for _, j := range a.trees.inventory.Judgements {
		a.trees.next = append(a.trees.next, work.PlanRun(j, a.Rules, now))
	}
}

// serve checks the services that this node offers and decides what becomes of them.
func (a *Agent) serve(ctx context.Context, now time.Time) {
	changed, wrong := a.Services.Beat(ctx, offer.Beat{Now: now, Inventory: &a.trees.inventory, Drained: a.life.brakes.Drained, InHand: a.runs.inHand,
		MinDrain: 2 * schedule.Interval(a.Schedule, now), RetryMax: a.Rules.RetryMax, Forget: func(it work.Item) error {
			if a.runs.inHand != nil || !a.acquire() {
				return errors.New("work is in hand")
			}
			return a.Runner.Again(it.Repo, it.Name, "")
		}})
	for _, text := range wrong {
		a.wrong.add("service "+text, text)
	}
	if changed && a.runs.inHand == nil {
		a.judge(now)
		a.enqueue(now)
	}
	a.answerServices(now)
}

// work starts the first due item; the others follow as each ends.
func (a *Agent) work(ctx context.Context) {
	if a.runs.inHand != nil {
		return // the rest of the queue follows when it has ended
	}
	a.trees.startFail = map[string]string{}
	a.startNext(ctx)
}

// startNext starts the next due item that can be started: one that cannot does not stop those behind it. Without one it
// gives the lock back.
func (a *Agent) startNext(ctx context.Context) {
	for a.runs.inHand == nil && len(a.trees.queue) > 0 && ctx.Err() == nil && a.acquire() {
		name := a.trees.queue[0]
		a.trees.queue = a.trees.queue[1:]
		i := a.trees.find(name)
		j, s := a.trees.inventory.Judgements[i], a.trees.next[i]
		h, err := work.InHand{}, a.Services.Starting(j.Item)
		if err == nil {
			h, err = a.Runner.Start(j, s, a.scriptEnv())
		}
		began := journal.Started{Repo: j.Item.Repo, Item: j.Item.Name, RunID: h.RunID, Version: j.Version, Attempt: s.Attempt, At: a.Clock.Now().UTC()}
		if err != nil {
			began.Error = err.Error()
			a.runs.started = append(a.runs.started, began)
			a.trees.startFail[name] = err.Error()
			a.wrong.add("start "+name, "cannot start "+name+": "+err.Error())
			continue
		}
		a.runs.started = append(a.runs.started, began)
		a.runs.holding = false
		a.runs.inHand = &h
		delete(a.trees.firstDue, name)
		if !j.Item.Always && !s.Waiting { // what runs often is told by its end, if at all
			again := ""
			if s.Attempt > 1 {
				again = fmt.Sprintf(", attempt %d", s.Attempt)
			}
			a.say(journal.Info, "", "%s started at %s%s: %s", name, human.ID(j.Version), again, j.Why)
		}
	}
	if a.runs.inHand == nil && a.runs.holding {
		a.Runner.Release()
		a.runs.holding = false
	}
}

// report settles the state and tells: files first, then everybody else.
func (a *Agent) report(ctx context.Context, b *journal.Beat, now time.Time) {
	a.tell(ctx, now)
	if a.SelfDestruct != nil {
		if err := a.SelfDestruct(now, a.Clock.Up(), a.wedge(now)); err != nil {
			a.wrong.add("kill", human.Lines(err.Error()))
		}
	}
	for _, n := range a.wrong.merge(now) {
		a.Say(n)
	}
	*b = a.record(a.now(), *b)
	if err := a.Supervise.Status(b.StatusLine()); err != nil {
		a.reportNow(journal.Trouble{Key: "systemd", Text: err.Error()}, now)
	}
	_ = a.Supervise.Alive()
}

// record completes the decision record and writes it down.
func (a *Agent) record(end time.Time, b journal.Beat) journal.Beat {
	took := a.Clock.Up() - a.beats.began
	b.Ms = float64(took.Microseconds()) / 1000
	a.beats.dropped += uint64(schedule.Missed(a.Schedule, b.Start, b.Start.Add(took)))
	b.Dropped = a.beats.dropped
	b.Next = a.Schedule.Next(end).UTC()
	b = a.snapshot(b)
	a.runs.started, a.runs.ended = nil, nil
	shown, added := a.Memory.Append(b)
	a.wrote("beat", shown, end)
	a.wrote("journal", added, end)
	for _, done := range b.Asked {
		a.Control.Answered(done, end)
	}
	a.beats.last = b
	return b
}

// snapshot is a beat with how things are at this moment.
func (a *Agent) snapshot(b journal.Beat) journal.Beat {
	b.State, b.Reason, b.Since, b.LastLook, b.Blamed = a.life.state, a.life.reason, a.life.since, a.trees.lastReached, a.life.reasonItem
	b.Outside = a.life.outside
	b.LastContact, b.Clock = a.trees.lastContact, a.beats.read
	if a.By == "beat" { // a daemon that runs is not dead any more
		b.Died = a.beats.died
	}
	b.Items = a.judged()
	b.InHand, b.Did, b.Services = a.runs.inHand, a.runs.lastEnded, a.Services.Show()
	b.Started, b.Ended = slices.Concat(b.Started, a.runs.started), slices.Concat(b.Ended, a.runs.ended)
	b.Troubles = a.wrong.list()
	return b
}

// tell settles the state and tells it: state files, then the sinks side by side.
func (a *Agent) tell(ctx context.Context, now time.Time) {
	v := a.vitals(now)
	s, why := Settle(v)
	_, a.life.outside = Settle(v.outside())
	who := blamed(s, v)
	switch {
	case s != a.life.state:
		a.enter(s, why, now)
	case who != a.life.reasonItem && who != "":
		// Another one joined: it alone is news. That one of several is well again is said where it succeeds.
		if more := joined(v, s, a.life.reasonItem); more != "" {
			also := "also "
			if s == node.Disabled { // more may be less: one brake may have taken the place of another
				also = ""
			}
			a.say(levelOf(s), nextCommand[s], "%s%s: %s", also, s, more)
		}
		fallthrough
	default:
		// Nothing new to write, unless the files were edited or removed.
		a.wrote("state", a.Memory.State(s, now), now)
	}
	a.life.reason, a.life.reasonItem = why, who
	a.tellSinks(ctx, now)
}
