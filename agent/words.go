package agent

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/work"
)

// diskFull ends the key of a trouble that makes the node `failing`: it cannot
// write down what it must.
const diskFull = " (disk)"

func diskFullIf(err error) string {
	if DiskFull(err) {
		return diskFull
	}
	return ""
}

// DiskFull tells whether an error comes from a disk that takes nothing more.
func DiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS)
}

func anyMoved(looks []Look) bool {
	for _, l := range looks {
		if l.Moved {
			return true
		}
	}
	return false
}

// unmoved are the answers of repositories whose trees could not be moved in this beat.
func unmoved(looks []Look) []Look {
	out := make([]Look, len(looks))
	for i, l := range looks {
		if l.Moved {
			l.Version = l.Previous
		}
		l.Moved, l.Previous = false, ""
		out[i] = l
	}
	return out
}

// old are the looks of an earlier beat, for one that does not look.
func old(looks []Look) []Look {
	var out []Look
	for _, l := range looks {
		out = append(out, Look{Repo: l.Repo, Branch: l.Branch, Version: l.Version, Old: true, Resting: l.Resting})
	}
	return out
}

// stillThere are the looks of those repositories that the config still has.
func stillThere(looks, here []Look) []Look {
	return slices.DeleteFunc(slices.Clone(looks), func(l Look) bool {
		return !slices.ContainsFunc(here, func(h Look) bool { return h.Repo == l.Repo })
	})
}

// restingIn are the repositories that rested in an earlier beat.
func restingIn(looks []Look) map[string]node.Brake {
	rest := map[string]node.Brake{}
	for _, l := range looks {
		if l.Resting != "" {
			rest[l.Repo] = node.Brake{Reason: l.Resting}
		}
	}
	return rest
}

// Ats is where the looks left the repositories. One without a version is known
// and not here yet: who watches it waits.
func Ats(looks []Look) []work.At {
	var out []work.At
	for _, l := range looks {
		out = append(out, work.At{Repo: l.Repo, Version: l.Version, Branch: l.Branch})
	}
	return out
}

// unfinished tells whether an attempt has no end, or a success no commit.
func unfinished(js []work.Judgement) bool {
	for _, j := range js {
		if l := j.Memory.Last; l != nil && (l.Finished.IsZero() || l.OK() && j.Memory.Doing == l.Version) {
			return true
		}
	}
	return false
}

// standing is how the item stood when this run began.
func (h *InHand) standing() string {
	switch {
	case h.Wedged:
		return "wedged"
	case h.Failing:
		return "failing"
	}
	return ""
}

func fromWork(h work.InHand) *InHand {
	return &InHand{Repo: h.Repo, Item: h.Item, RunID: h.RunID, Version: h.Version,
		Attempt: h.Attempt, Started: h.Started, PID: h.PID, Log: h.Log,
		Wedged: h.Standing.Wedged, Failing: h.Standing.Failing, Before: h.Standing.Reason}
}

// endedFrom makes the decision record's line of a finished run; false when the
// run left no result.
func endedFrom(o work.Outcome, adopted bool) (Ended, bool) {
	l := o.Last
	if l == nil || l.RunID != o.RunID || l.Finished.IsZero() {
		return Ended{}, false
	}
	return Ended{Repo: o.Repo, Item: o.Item, RunID: l.RunID, Verdict: l.Verdict, Version: l.Version,
		Attempt: l.Attempt, At: l.Finished, Seconds: math.Round(l.Finished.Sub(l.Started).Seconds()*1000) / 1000, Exit: l.Exit,
		OK: l.OK(), Reason: string(l.Reason), Detail: l.Detail, Last: l.LastLine, Log: l.Log, Adopted: adopted}, true
}

// note takes down that work ended.
func (a *Agent) note(e Ended) {
	a.ended = append(a.ended, e)
	if !e.OK || !routine(e) {
		a.did = &e
	}
	a.sayEnd(e)
}

// routine tells that only `run: always` made it run: nothing had changed.
func routine(e Ended) bool { return e.Verdict == work.Same || e.Verdict == work.Unaffected }

// sayEnd is the line about work that ended.
func (a *Agent) sayEnd(e Ended) {
	waits := e.Reason == string(work.ReasonWaiting)
	switch {
	case e.OK && routine(e) && e.Attempt <= 1:
		// `run: always` without a change: told only when it fails.
	case waits && e.Attempt > 1:
		// Said when it began; the record of every beat has it.
	case e.OK || waits:
		a.say(Info, "", "%s", e)
	default:
		a.say(Warning, "addagent why "+e.Repo+":"+e.Item, "%s", e)
	}
}

// Took is how long it ran, in words.
func (e Ended) Took() string { return human.Duration(time.Duration(e.Seconds * float64(time.Second))) }

// String is the end in words, on one line: the item, its version, how it went.
func (e Ended) String() string {
	name, took := e.Repo+":"+e.Item, e.Took()
	switch {
	case e.OK:
		return fmt.Sprintf("%s done with %s in %s", name, human.ID(e.Version), took)
	case e.Reason == string(work.ReasonWaiting):
		return fmt.Sprintf("%s not now (exit %d after %s): %s", name, e.Exit, took, e.Last)
	}
	text := fmt.Sprintf("%s failed on %s after %s, attempt %d: %s", name, human.ID(e.Version), took, e.Attempt, e.Detail)
	if e.Last != "" && e.Reason != string(work.ReasonWedged) { // what it said last is that
		text += fmt.Sprintf(" (%s)", e.Last)
	}
	return text
}

// judged is what the decision record says of every item.
func (a *Agent) judged() []Judged {
	due := map[int]bool{}
	for _, i := range a.queue {
		due[i] = true
	}
	held := a.held()
	var out []Judged
	for i, j := range a.findings.Judgements {
		name := j.Item.ID()
		mine := a.inHand != nil && a.inHand.Name() == name
		d := Describe(j, a.standings[i])
		d.Due = d.Due || due[i] || mine
		if mine {
			// Its attempt has no end yet, which is no failure; what was wrong before it still is.
			d.Standing, d.Reason, d.NotBefore, d.Attempt = a.inHand.standing(), a.inHand.Before, nil, a.inHand.Attempt
		}
		if d.Due && !mine {
			rest, rests := a.brakes.Repos[j.Item.Repo]
			switch {
			case a.going() != "":
				d.Held = "leaving: " + a.going()
			case held != "":
				d.Held = held
			case rests:
				d.Held = "disabled: " + rest.String()
			case !a.initDone && j.Item.Level != work.Init:
				d.Held = "waits for the init of this node"
			case a.elsewhere != "":
				d.Held = a.elsewhere
			case a.startFail[name] != "":
				d.Held = a.startFail[name]
			}
		}
		out = append(out, d)
	}
	return out
}

// Describe is a judgement and a standing as the decision record has them.
func Describe(j work.Judgement, s work.Standing) Judged {
	d := Judged{Repo: j.Item.Repo, Item: j.Item.Name, Verdict: j.Verdict, Why: j.Why, Version: j.Version,
		Always: j.Item.Always, Watch: j.Item.Watching(), WatchFrom: j.Item.WatchFrom, Changed: j.Changed, Reason: s.Reason, Due: s.Due, Held: j.Await}
	if j.Memory.Done != nil {
		d.Done = j.Memory.Done.Version
	}
	switch {
	case s.Wedged:
		d.Standing = "wedged"
	case s.Failing:
		d.Standing = "failing"
	case s.Waiting:
		d.Standing = "waiting"
	}
	if s.Due || d.Standing != "" {
		d.Attempt = s.Attempt
	}
	if !s.At.IsZero() && !s.Due {
		at := s.At
		d.NotBefore = &at
	}
	return d
}

// statusLine is what `systemctl status addagent` shows.
func statusLine(b Beat) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s", b.State)
	if b.Reason != "" {
		fmt.Fprintf(&s, " (%s)", b.Reason)
	}
	if b.InHand != nil {
		fmt.Fprintf(&s, "; in hand: %s since %s", b.InHand.Name(), human.Clock(b.InHand.Started))
	}
	fmt.Fprintf(&s, "; next look %s", human.Clock(b.Next))
	return s.String()
}

// Ms is the time since start in milliseconds, to the microsecond, on top of what
// was measured before.
func Ms(start time.Time, before float64) float64 {
	us := time.Since(start).Microseconds() + int64(math.Round(before*1000))
	return float64(us) / 1000
}
