package journal

import (
	"fmt"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/work"
)

// OnDisk ends the key of a trouble that makes the node `failing`: it cannot write down what it must.
const OnDisk = " (disk)"

// Took is how long it ran, in words.
func (e Ended) Took() string { return human.Duration(time.Duration(e.Seconds * float64(time.Second))) }

// String is the end in words, on one line: the item, its version, how it went.
func (e Ended) String() string {
	name, took := e.Repo+":"+e.Item, e.Took()
	switch {
	case e.OK:
		return fmt.Sprintf("%s done at %s in %s", name, human.ID(e.Version), took)
	case e.Reason == string(work.ReasonWaiting):
		return fmt.Sprintf("%s waiting (exit %d after %s): %s", name, e.Exit, took, e.Last)
	}
	text := fmt.Sprintf("%s failed at %s after %s, attempt %d: %s", name, human.ID(e.Version), took, e.Attempt, e.Detail)
	if e.Last != "" && e.Reason != string(work.ReasonWedged) { // what it said last is that
		text += fmt.Sprintf(" (%s)", e.Last)
	}
	return text
}

// Describe is a judgement and a standing as the decision record has them.
func Describe(j work.Judgement, s work.NextRun) Judged {
	d := Judged{Repo: j.Item.Repo, Item: j.Item.Name, Verdict: j.Verdict, Why: j.Why, Version: j.Version,
		Always: j.Item.Always, Watch: j.Item.Watching(), WatchFrom: j.Item.WatchFrom, Missing: j.Missing, Changed: j.Changed, Reason: s.Reason, Due: s.Due, Held: j.Await}
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

// Positions is where the looks left the repositories. One without a version is known and not here yet: what watches it
// waits.
func Positions(looks []Look) []work.At {
	var out []work.At
	for _, l := range looks {
		out = append(out, work.At{Repo: l.Repo, Version: l.Version})
	}
	return out
}

// StatusLine is what `systemctl status addagent` shows.
func (b Beat) StatusLine() string {
	text := string(b.State)
	if b.Reason != "" {
		text += " (" + b.Reason + ")"
	}
	if b.InHand != nil {
		text += "; running " + b.InHand.Name() + " since " + human.Moment(b.InHand.Started, b.Start)
	}
	return text + "; next look " + human.Moment(b.Next, b.Start)
}
