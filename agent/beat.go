package agent

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/work"
)

// Beat is one beat, the whole of it.
func (a *Agent) Beat(ctx context.Context, now time.Time) journal.Beat {
	b := a.begin(now)
	began := time.Now()
	heard := a.listen(ctx)
	a.look(ctx, &b)
	heard()
	if ctx.Err() != nil {
		return b // told to end in the middle of a look: nothing was decided, so there is nothing to report
	}
	now = now.Add(time.Since(began)) // a first clone takes minutes: no state of this beat is older than its look
	a.decide(&b, now)
	a.work(ctx, now)
	a.report(ctx, &b, now)
	return b
}

func (a *Agent) begin(now time.Time) journal.Beat {
	a.seq++
	a.wrong, a.late, a.elsewhere = a.late, nil, ""
	if info, err := a.Info(); err != nil {
		a.trouble("nodeinfo", err.Error())
	} else {
		a.info = info
	}
	s, changed, wrong := a.People.Fresh(a.info)
	if changed {
		a.Settings = s
	}
	for _, text := range wrong {
		a.trouble("config", text)
	}
	if changed {
		a.looks = stillThere(a.looks, a.Clones.Here())
	}
	a.aside(now)
	a.asks = a.People.Asks()
	a.heed(now)
	return journal.Beat{Seq: a.seq, Start: now, Node: a.ID, Agent: a.Version, PID: os.Getpid(), By: a.By}
}

// look is pass one: ask everybody, move what moved. Not while work is in hand:
// no script may see its tree move. And not while the node rests.
func (a *Agent) look(ctx context.Context, b *journal.Beat) {
	if a.inHand != nil || a.brakes.Disabled != nil {
		a.stillWrong("look ")
		a.sighted = b.Start    // it does not look, which is not to be blind
		if len(a.looks) == 0 { // taken over at the start: nothing has been asked yet
			a.looks = a.Clones.Here()
		}
		b.Looks = old(a.looks)
		return
	}
	asked := a.supervised(ctx, func(func(journal.Fetching)) []journal.Look { return a.Clones.Ask(ctx, a.rests) }, nil)
	if ctx.Err() != nil {
		return
	}
	for i := range asked {
		if rest, rests := a.brakes.Repos[asked[i].Repo]; rests {
			asked[i].Resting = rest.String()
		}
	}
	looks := unmoved(asked) // as long as somebody else's work runs in these trees
	if moved := anyMoved(asked); !moved || a.take() {
		var long func([]journal.Fetching, time.Time)
		if moved {
			still := *b
			still.Looks = looks
			long = func(so []journal.Fetching, now time.Time) { a.still(ctx, still, so, now) }
		}
		looks = a.supervised(ctx, func(progress func(journal.Fetching)) []journal.Look { return a.Clones.Move(ctx, asked, progress) }, long)
	}
	for _, l := range looks {
		if l.Trouble != "" {
			key := "look " + l.Repo
			if l.DiskFull {
				key += journal.OnDisk
			}
			a.trouble(key, l.Trouble)
		} else if !l.Old {
			a.lastGood, a.sighted = b.Start, b.Start
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
		a.sighted = b.Start // all of them rest
	}
	if len(looks) > 0 || ctx.Err() == nil {
		b.Looks, a.looks = looks, looks
	}
}

// decide is pass two: with all trees still, find the items, read their memory,
// judge. What an earlier shim left unfinished is ended first.
func (a *Agent) decide(b *journal.Beat, now time.Time) {
	if a.inHand != nil && len(a.findings.Judgements) > 0 {
		a.stillWrong("items ")
		a.obey(b, now)
		return // the trees stand still, and the work in hand is judged when it has ended
	}
	a.judge(now)
	if a.inHand == nil && unfinished(a.findings.Judgements) && a.take() {
		a.judge(now) // taking the lock has ended it
	}
	a.adoptEnd()
	a.heed(time.Now().UTC()) // a fetch takes its time: somebody may have said stop
	a.obey(b, now)
	for _, p := range a.findings.Problems {
		a.trouble("items "+p, p)
	}
	a.enqueue(now)
}

// enqueue lines up what is due and may run now: init alone, until that is done.
func (a *Agent) enqueue(now time.Time) {
	a.queue = nil
	if a.inHand != nil || a.elsewhere != "" {
		return
	}
	due := map[string]bool{}
	for i := range a.standings {
		due[a.dueKey(i)] = a.standings[i].Due
		if a.mayRun(i) && a.restrained(i, now) == "" {
			a.queue = append(a.queue, i)
		}
	}
	maps.DeleteFunc(a.firstDue, func(key string, _ time.Time) bool { return !due[key] })
}

// mayRun tells whether an item is due and nobody holds it back. Nothing is begun on a machine that goes: it would be cut.
func (a *Agent) mayRun(i int) bool {
	it := a.findings.Judgements[i].Item
	return a.standings[i].Due && (a.initDone || it.Level == work.Init) && !a.rests(it.Repo) && a.held() == "" && a.going() == ""
}

// adoptEnd tells how work ended that ran when an earlier agent went, and that
// nobody was there to hear the end of.
func (a *Agent) adoptEnd() {
	if a.orphan == nil {
		return
	}
	o := work.Outcome{Repo: a.orphan.Repo, Item: a.orphan.Item, RunID: a.orphan.RunID, Last: a.Runner.Last(a.orphan.Repo, a.orphan.Item)}
	if e, ok := endedFrom(o, true); ok {
		a.note(e)
	}
	a.orphan = nil
}

// judge asks the survey and stands every item; it starts nothing. It is where
// the node learns that its init is done, or that there is none to do.
func (a *Agent) judge(now time.Time) {
	place := work.Place{Nodepart: a.info.Nodepart, Stacktype: a.info.Stacktype}
	if !a.initDone {
		place.Init = a.info.InitGitRepo
	}
	a.findings = a.Survey.Judge(Ats(a.looks), place, now)
	if !a.initDone && (place.Init == "" || a.findings.InitDone) {
		a.initDone = true
		a.to(node.InitDone, "", now)
	}
	a.learnFinished()
	a.standings = a.standings[:0]
	for _, j := range a.findings.Judgements {
		a.standings = append(a.standings, work.PlanRun(j, a.Rules, now))
	}
}

// work starts the first due item; the others follow as each ends.
func (a *Agent) work(ctx context.Context, now time.Time) {
	if a.inHand != nil {
		return // the rest of the queue follows when it has ended
	}
	a.startFail = map[string]string{}
	a.startNext(ctx, now)
	if a.inHand == nil && a.holding {
		a.Runner.Release()
		a.holding = false
	}
}

// startNext starts the next due item that can be started: one that cannot does
// not stop those behind it.
func (a *Agent) startNext(ctx context.Context, now time.Time) {
	for a.inHand == nil && len(a.queue) > 0 && ctx.Err() == nil {
		if !a.take() {
			return
		}
		i := a.queue[0]
		a.queue = a.queue[1:]
		j, s := a.findings.Judgements[i], a.standings[i]
		name := j.Item.ID()
		h, err := a.Runner.Start(j, s, a.facts())
		began := journal.Started{Repo: j.Item.Repo, Item: j.Item.Name, RunID: h.RunID, Version: j.Version, Attempt: s.Attempt, At: time.Now().UTC()}
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
		delete(a.firstDue, a.dueKey(i))
		if !j.Item.Always && !s.Waiting { // what runs often is told by its end, if at all
			again := ""
			if s.Attempt > 1 {
				again = fmt.Sprintf(" again, attempt %d", s.Attempt)
			}
			a.say(journal.Info, "", "%s works on %s%s: %s", name, human.ID(j.Version), again, j.Why)
		}
		return
	}
}

// report settles the state and tells: files first, then everybody else.
func (a *Agent) report(ctx context.Context, b *journal.Beat, now time.Time) {
	var news []journal.News
	a.tell(ctx, now)
	a.doom(now)
	a.troubles, news = foldTroubles(a.troubles, append(a.wrong, a.notTriedYet()...), time.Now().UTC())
	for _, n := range news {
		a.Say(n)
	}
	*b = a.record(time.Now().UTC(), *b)
	if err := a.Supervise.Status(statusLine(*b)); err != nil {
		a.wrongNow(journal.Trouble{Key: "systemd", Text: err.Error()}, now)
	}
	a.alive()
}

// record completes the decision record and writes it down.
func (a *Agent) record(end time.Time, b journal.Beat) journal.Beat {
	b.Ms = float64(end.Sub(b.Start).Microseconds()) / 1000
	a.dropped += uint64(missed(a.Schedule, b.Start, end))
	b.Dropped = a.dropped
	b.Next = a.Schedule.Next(end).UTC()
	b = a.snapshot(b)
	a.started, a.ended = nil, nil
	a.wrote("beat", a.Memory.Show(b), end)
	a.wrote("journal", a.Memory.Append(b), end)
	for _, done := range b.Asked {
		a.People.Answered(done.ID)
	}
	a.last = b
	return b
}

// snapshot is a beat with how things are at this moment.
func (a *Agent) snapshot(b journal.Beat) journal.Beat {
	b.State, b.Reason, b.Since, b.LastLook, b.Blamed = a.state, a.reason, a.since, a.lastGood, a.blamed
	b.Items = a.judged()
	b.InHand, b.Did = a.inHand, a.did
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
		// Another one joined: it alone is news. That one of several is well again is said where it succeeds.
		if more := joined(v, s, a.blamed); more != "" {
			too := ", too"
			if s == node.Disabled { // more may be less: one brake may have taken the place of another
				too = ""
			}
			a.say(levelOf(s), nextCommand(s), "%s%s: %s", s, too, more)
		}
		fallthrough
	default:
		// Nothing new to write, unless somebody edited or removed the files.
		a.wrote("state", a.Memory.State(s, now), now)
	}
	a.reason, a.blamed = why, who
	a.tellSinks(ctx, now)
}
