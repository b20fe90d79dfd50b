package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/work"
	"github.com/addagent/addagent/work/run"
)

// life is the state of the node as it was last told, and what people and the cloud decide about it.
type life struct {
	state        node.State
	reason       string
	outside      string // the reason as others are told
	reasonItem   string // the items, or the person, that the reason names: only another one is news
	since        time.Time
	failingSince time.Time // of a node that works at a new version now; zero = it was not failing before
	initDone     bool
	leaving      bool   // the machine goes down
	notice       string // why the cloud takes the machine away; "" = it does not
	brakes       node.Brakes
}

// going is why this machine goes; "" = it stays.
func (l *life) going() string {
	if l.leaving {
		return "the machine is shutting down"
	}
	return l.notice
}

// disabled tells whether a person disabled this repository.
func (l *life) disabled(repo string) bool {
	_, disabled := l.brakes.Repos[repo]
	return disabled
}

// blind is how long no repository may be reachable before the node itself is wedged.
const blind = time.Hour

// vitals gathers what Settle decides from.
func (a *Agent) vitals(now time.Time) Vitals {
	v := Vitals{Leaving: a.life.going(), Disabled: a.held(), Setup: !a.life.initDone}
	if w := a.life.brakes.Wedged; w != nil {
		v.Wedged = append(v.Wedged, Bad{Who: "node", Why: w.String()})
	}
	for i, j := range a.trees.inventory.Judgements {
		name, s := j.Item.ID(), a.trees.next[i]
		if a.runs.doing(name) {
			continue
		}
		switch {
		case s.Wedged:
			v.Wedged = append(v.Wedged, a.bad(name, s.Reason))
		case s.Failing:
			v.Failing = append(v.Failing, a.bad(name, s.Reason))
		case a.trees.startFail[name] != "":
			v.Failing = append(v.Failing, Bad{Who: name, Why: a.trees.startFail[name]})
		}
	}
	if h := a.runs.inHand; h != nil {
		// A retry never shows as working: what was wrong stays wrong until it succeeds.
		switch {
		case h.Wedged:
			v.Wedged = append(v.Wedged, a.bad(h.Name(), h.Before))
		case h.Failing:
			v.Failing = append(v.Failing, a.bad(h.Name(), h.Before))
		case h.Attempt <= 1 && !a.trees.always(h):
			v.Doing = h.Name()
		}
	}
	said := map[string]bool{}
	for _, l := range a.trees.looks {
		known, lasts := a.wrong.known["look "+l.Repo]
		switch {
		case l.Trouble == "":
			continue
		case l.Version == "" && !l.Old: // what this node should be doing is unknown
			v.Failing = append(v.Failing, Bad{Who: l.Repo, Why: "incomplete: " + l.Trouble})
		case l.Blocked && !l.DiskFull: // it is known, and cannot be done
			v.Failing = append(v.Failing, Bad{Who: l.Repo, Why: l.Trouble})
		case lasts && now.Sub(known.Since) >= blind:
			v.Failing = append(v.Failing, Bad{Who: l.Repo, Why: "for " + human.Duration(now.Sub(known.Since)) + ": " + l.Trouble})
		default:
			continue
		}
		said[l.Trouble] = true
	}
	for _, why := range a.trees.inventory.Unread {
		v.Failing = append(v.Failing, Bad{Who: "node", Why: why})
	}
	if init := a.info.InitGitRepo; !a.life.initDone && init != "" && len(a.trees.looks) > 0 &&
		!slices.ContainsFunc(a.trees.looks, func(l journal.Look) bool { return l.Repo == init }) {
		v.Failing = append(v.Failing, Bad{Who: "init", Why: fmt.Sprintf("nodeinfo/initgitrepo.txt names %s, which is not a repository of this node", init)})
	}
	if why := a.runs.lockedBy; why != "" && a.runs.inHand == nil {
		v.Failing = append(v.Failing, Bad{Who: "node", Why: why}) // there was something to do, and it was not done
		said[why] = true
	}
	for _, why := range slices.Compact(slices.Sorted(maps.Values(a.wrong.unwritten))) {
		v.Failing = append(v.Failing, Bad{Who: "node", Why: why})
	}
	for _, t := range a.wrong.now {
		if t.OfDisk() && !said[t.Text] {
			v.Failing = append(v.Failing, Bad{Who: "node", Why: t.Text})
		}
	}
	if d := now.Sub(a.trees.lastContact); len(a.trees.looks) > 0 && d >= blind {
		v.Wedged = append(v.Wedged, Bad{Who: "node", Why: "no repository could be reached for " + human.Duration(d)})
	}
	return v
}

// held is why no work may start on this node: a person's brake, or holds that were pushed; "" = it may.
func (a *Agent) held() string {
	var all []string
	if d := a.life.brakes.Disabled; d != nil {
		all = append(all, d.String())
	}
	for _, h := range a.trees.inventory.Holds {
		all = append(all, h.String())
	}
	return strings.Join(all, "; ")
}

// bad is an item that is wedged or failing. What its script wrote is told to others only where the config says so.
func (a *Agent) bad(name, why string) Bad {
	b := Bad{Who: name, Why: strings.TrimPrefix(why, "wedged: ")}
	i := a.trees.find(name)
	if i < 0 || a.trees.next[i].Reason != why || a.trees.next[i].Output == "" || a.Output && strings.Contains(why, a.trees.next[i].Output) {
		return b
	}
	if b.Outside = strings.TrimPrefix(a.trees.next[i].Bare, "wedged: "); a.Output {
		b.Outside += ": " + a.trees.next[i].Output
	}
	return b
}

// spreadUntil is until when a due item waits for this node's share of work_spread, counted from the beat that first
// found it due.
func (a *Agent) spreadUntil(i int) (until time.Time) {
	first, due := a.trees.firstDue[a.trees.inventory.Judgements[i].Item.ID()]
	if due && a.WorkAfter > 0 && a.trees.next[i].Attempt <= 1 && a.life.initDone {
		until = first.Add(a.WorkAfter)
	}
	return until
}

// acquire takes the work lock, once, and says what it found left behind under it.
func (a *Agent) acquire() bool {
	if a.runs.holding {
		return true
	}
	if a.runs.lockedBy != "" {
		return false // once a beat: to take it may mean to end what was left behind
	}
	said, err := a.acquireSlowly()
	for _, text := range said {
		a.say(journal.Notice, "", "%s", text)
	}
	if err != nil {
		a.runs.lockedBy = err.Error()
		if errors.As(err, new(*run.Busy)) {
			a.wrong.add("work lock", "work blocked: "+err.Error())
		} else {
			a.wrong.add("work lock"+diskFullIf(err), err.Error())
			a.Runner.Release()
		}
		return false
	}
	a.runs.holding, a.runs.lockedBy = true, ""
	return true
}

// acquireSlowly takes the lock beside the loop, which feeds the watchdog meanwhile: what a killed shim left behind is
// given its time to end (work.grace), and that may be longer than the watchdog waits. It ends, since what does not obey
// is killed.
func (a *Agent) acquireSlowly() (said []string, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		said, err = a.Runner.Acquire()
	}()
	for {
		alive := time.NewTimer(cmp.Or(a.AliveEach, time.Minute))
		select {
		case <-done:
			alive.Stop()
			return said, err
		case <-alive.C:
			_ = a.Supervise.Alive()
		}
	}
}

// enter is the only place where the state changes.
func (a *Agent) enter(s node.State, why string, now time.Time) {
	from, was := a.life.state, a.life.since
	a.life.state, a.life.reason, a.life.since = s, why, now
	a.wrote("state", a.Memory.State(s, now), now)
	if row, _ := node.Row(s); row.Logged {
		// A step of the life cycle is told even when the next one follows in the same beat.
		a.life.reasonItem = ""
		a.tellSinks(context.Background(), now)
	}
	quiet := s == node.Idle && from == node.InitDone
	failing := a.life.failingSince
	if s != node.Working {
		a.life.failingSince = time.Time{}
	}
	if (from == node.Disabled || from == node.Leaving) && s != node.Leaving {
		a.say(journal.Notice, "", "%s", from.Ended(human.Duration(now.Sub(was))))
		quiet = quiet || nextCommand[s] == ""
	}
	switch {
	case from == node.Failing && s == node.Working:
		// A new version is tried; whether the node is well again its end will tell.
		a.life.failingSince = was
	case (from == node.Wedged || from == node.Failing) && nextCommand[s] == "" && s != node.Leaving: // which makes nothing well
		a.say(journal.Notice, "", "%s", from.Ended(human.Duration(now.Sub(was))))
	case from == node.Working && s == node.Idle && !failing.IsZero():
		a.say(journal.Notice, "", "%s", node.Failing.Ended(human.Duration(now.Sub(failing))))
	case from == node.Wedged || from == node.Failing:
		a.say(levelOf(s), nextCommand[s], "%s after %s %s: %s", s, human.Duration(now.Sub(was)), from, why)
	case quiet || s == node.Working || (from == node.Working && s == node.Idle):
		// The lines about the work itself say it already.
	case why != "":
		a.say(levelOf(s), nextCommand[s], "%s: %s", s, why)
	default:
		row, _ := node.Row(s)
		a.say(levelOf(s), "", "%s: %s", s, row.Meaning)
	}
}

func levelOf(s node.State) journal.Level {
	if row, _ := node.Row(s); row.Critical {
		return journal.Critical
	}
	if s == node.Failing {
		return journal.Warning
	}
	return journal.Notice
}

// nextCommand is what a person runs to learn more about a bad state.
var nextCommand = map[node.State]string{node.Wedged: "addagent why", node.Failing: "addagent why", node.Disabled: "addagent status"}

// scriptEnv is what a script is told about the node.
func (a *Agent) scriptEnv() work.Env {
	return work.Env{NodeID: a.ID, Nodepart: a.info.Nodepart, Stacktype: a.info.Stacktype,
		Deployment: a.info.Deployment, State: string(a.life.state), Fields: a.info.Fields}
}

// wrote says that something could not be written down, once.
func (a *Agent) wrote(what string, err error, at time.Time) {
	if a.wrong.wrote(what, err) {
		a.Say(journal.News{At: at, Level: journal.Warning, Text: err.Error()})
	}
}

// reportNow says a trouble that came up after the troubles of the beat were merged.
func (a *Agent) reportNow(t journal.Trouble, at time.Time) {
	if n, news := a.wrong.late(t, at); news {
		a.Say(n)
	}
}

func (a *Agent) say(l journal.Level, next, format string, args ...any) {
	a.Say(journal.News{At: a.Clock.Now().UTC(), Level: l, Text: fmt.Sprintf(format, args...), Next: next})
}
