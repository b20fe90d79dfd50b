package agent

import (
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
	"github.com/addagent/addagent/internal/trouble"
	"github.com/addagent/addagent/work"
	"github.com/addagent/addagent/work/run"
)

// blind is how long no repository may be reachable before the node itself is wedged.
const blind = time.Hour

// going is why this machine goes; "" = it stays.
func (a *Agent) going() string {
	if a.leaving {
		return "the machine goes down"
	}
	return a.notice
}

// vitals gathers what Settle decides from.
func (a *Agent) vitals(now time.Time) Vitals {
	v := Vitals{Leaving: a.going(), Disabled: a.held(), Setup: !a.initDone}
	if w := a.brakes.Wedged; w != nil {
		v.Wedged = append(v.Wedged, Bad{"node", w.String()})
	}
	for i, j := range a.findings.Judgements {
		name, s := j.Item.ID(), a.standings[i]
		if a.inHand != nil && a.inHand.Name() == name {
			continue
		}
		switch {
		case s.Wedged:
			v.Wedged = append(v.Wedged, Bad{name, strings.TrimPrefix(s.Reason, "wedged: ")})
		case s.Failing:
			v.Failing = append(v.Failing, Bad{name, s.Reason})
		case a.startFail[name] != "":
			v.Failing = append(v.Failing, Bad{name, a.startFail[name]})
		}
	}
	if h := a.inHand; h != nil {
		// A retry never shows as working: what was wrong stays wrong until it succeeds.
		switch {
		case h.Wedged:
			v.Wedged = append(v.Wedged, Bad{h.Name(), strings.TrimPrefix(h.Before, "wedged: ")})
		case h.Failing:
			v.Failing = append(v.Failing, Bad{h.Name(), h.Before})
		case h.Attempt <= 1 && !a.always(h):
			v.Doing = h.Name()
		}
	}
	said := map[string]bool{}
	for _, l := range a.looks {
		if l.Version == "" && l.Trouble != "" {
			// Nobody knows what this node should be doing.
			v.Failing = append(v.Failing, Bad{l.Repo, "not here as a whole: " + l.Trouble})
			said[l.Trouble] = true
		}
	}
	if init := a.info.InitGitRepo; !a.initDone && init != "" && len(a.looks) > 0 &&
		!slices.ContainsFunc(a.looks, func(l journal.Look) bool { return l.Repo == init }) {
		v.Failing = append(v.Failing, Bad{"init", fmt.Sprintf("nodeinfo/initgitrepo.txt names %s, which is none of this node's repositories", init)})
	}
	for _, why := range slices.Compact(slices.Sorted(maps.Values(a.unwritten))) {
		v.Failing = append(v.Failing, Bad{"node", why})
	}
	for _, t := range a.wrong {
		if t.OfDisk() && !said[t.Text] {
			v.Failing = append(v.Failing, Bad{"node", t.Text})
		}
	}
	if d := now.Sub(a.sighted); len(a.looks) > 0 && d >= blind {
		v.Wedged = append(v.Wedged, Bad{"node", "no repository could be looked at for " + human.Duration(d)})
	}
	return v
}

// always says whether the work in hand is of the kind that runs every beat and
// is not worth a state.
func (a *Agent) always(h *journal.InHand) bool {
	for _, j := range a.findings.Judgements {
		if j.Item.Repo == h.Repo && j.Item.Name == h.Item {
			return j.Item.Always && !j.Verdict.Wanted()
		}
	}
	return false
}

// held is who holds this node back, and why; "" = nobody.
func (a *Agent) held() string {
	var all []string
	if d := a.brakes.Disabled; d != nil {
		all = append(all, d.String())
	}
	for _, h := range a.findings.Holds {
		all = append(all, h.String())
	}
	return strings.Join(all, "; ")
}

// dueKey names what became due: an item and what it watches.
func (a *Agent) dueKey(i int) string {
	j := a.findings.Judgements[i]
	return j.Item.ID() + "@" + j.Fingerprint
}

// restrained says why a due item waits: the node's share of work_spread, counted
// from the beat that first found it due.
func (a *Agent) restrained(i int, now time.Time) string {
	if a.WorkAfter <= 0 || a.standings[i].Attempt > 1 || !a.initDone {
		return ""
	}
	key := a.dueKey(i)
	first, known := a.firstDue[key]
	if !known {
		first = now
		a.firstDue[key] = now
	}
	if at := first.Add(a.WorkAfter); now.Before(at) {
		return "waits for its share of work_spread until " + human.Clock(at)
	}
	return ""
}

// take takes the work lock, once, and says what it found left behind under it.
func (a *Agent) take() bool {
	if a.holding {
		return true
	}
	if a.elsewhere != "" {
		return false // once a beat: to take it may mean to end what was left behind
	}
	said, err := a.Runner.Acquire()
	for _, text := range said {
		a.say(journal.Notice, "", "%s", text)
	}
	var busy *run.Busy
	switch {
	case errors.As(err, &busy):
		a.elsewhere = err.Error()
		a.trouble("work lock", "not working: "+err.Error())
		return false
	case err != nil:
		a.elsewhere = err.Error()
		a.trouble("work lock"+diskFullIf(err), err.Error())
		a.Runner.Release()
		return false
	}
	a.holding, a.elsewhere = true, ""
	return true
}

// to is the only place where the state changes.
func (a *Agent) to(s node.State, why string, now time.Time) {
	from, was := a.state, a.since
	a.state, a.reason, a.since = s, why, now
	a.wrote("state", a.Memory.State(s, now), now)
	if row, _ := node.Row(s); row.Logged {
		// A step of the life cycle is told even when the next one follows in the same beat.
		a.blamed = ""
		a.tellSinks(context.Background(), now)
	}
	quiet := s == node.Idle && from == node.InitDone
	failing := a.failing
	if s != node.Working {
		a.failing = time.Time{}
	}
	if (from == node.Disabled || from == node.Leaving) && s != node.Leaving {
		a.say(journal.Notice, "", "%s no more, after %s", from, human.Duration(now.Sub(was)))
		quiet = quiet || nextCommand(s) == ""
	}
	switch {
	case from == node.Failing && s == node.Working:
		// A new version is tried; whether the node is well again its end will tell.
		a.failing = was
	case (from == node.Wedged || from == node.Failing) && nextCommand(s) == "" && s != node.Leaving: // which makes nothing well
		a.say(journal.Notice, "", "%s no more, after %s", from, human.Duration(now.Sub(was)))
	case from == node.Working && s == node.Idle && !failing.IsZero():
		a.say(journal.Notice, "", "failing no more, after %s", human.Duration(now.Sub(failing)))
	case from == node.Wedged || from == node.Failing:
		a.say(levelOf(s), nextCommand(s), "%s after %s %s: %s", s, human.Duration(now.Sub(was)), from, why)
	case quiet || s == node.Working || (from == node.Working && s == node.Idle):
		// The lines about the work itself say it already.
	case why != "":
		a.say(levelOf(s), nextCommand(s), "%s: %s", s, why)
	default:
		row, _ := node.Row(s)
		a.say(levelOf(s), "", "%s: %s", s, row.Meaning)
	}
}

func levelOf(s node.State) journal.Level {
	row, _ := node.Row(s)
	switch {
	case row.Critical:
		return journal.Critical
	case s == node.Failing:
		return journal.Warning
	default:
		return journal.Notice
	}
}

// nextCommand is what a person runs to learn more about a bad state.
func nextCommand(s node.State) string {
	switch s {
	case node.Wedged, node.Failing:
		return "addagent why"
	case node.Disabled:
		return "addagent status"
	}
	return ""
}

// facts is what a script is told about the node.
func (a *Agent) facts() work.Env {
	// What the agent itself writes there is told by ADD_STATE, as it is now.
	fields := maps.Clone(a.info.Fields)
	maps.DeleteFunc(fields, func(name, _ string) bool { return slices.Contains([]string{"state", "statetss", "statelog"}, name) })
	return work.Env{NodeID: a.ID, Nodepart: a.info.Nodepart, Stacktype: a.info.Stacktype,
		Deployment: a.info.Deployment, State: string(a.state), Fields: fields}
}

// wrote takes note of how writing something down went. A node that cannot do
// that is failing, until it can.
func (a *Agent) wrote(what string, err error, at time.Time) {
	if err == nil {
		delete(a.unwritten, what)
		return
	}
	said := false
	for _, why := range a.unwritten {
		said = said || trouble.Same(why, err.Error())
	}
	a.unwritten[what] = err.Error()
	if !said {
		a.Say(journal.News{At: at, Level: journal.Warning, Text: err.Error()})
	}
}

// trouble collects something that is wrong in this beat.
func (a *Agent) trouble(key, text string) {
	a.wrong = append(a.wrong, journal.Trouble{Key: key, Text: text})
}

// stillWrong carries over the troubles of a kind that this beat does not look
// at: that they are over is what nobody knows.
func (a *Agent) stillWrong(kind string) {
	for key, t := range a.troubles {
		if strings.HasPrefix(key, kind) {
			a.trouble(key, t.Text)
		}
	}
}

// wrongNow says a trouble that came up after the beat's troubles were folded.
func (a *Agent) wrongNow(t journal.Trouble, at time.Time) {
	if next := t; follow(&next, a.troubles[t.Key], at) == trouble.Nothing {
		return
	}
	t.Since, t.Count, t.Said = at, 1, at
	a.troubles[t.Key] = t
	a.Say(journal.News{At: at, Level: level(t), Text: t.Text})
}

func (a *Agent) say(l journal.Level, next, format string, args ...any) {
	a.Say(journal.News{At: time.Now().UTC(), Level: l, Text: fmt.Sprintf(format, args...), Next: next})
}
