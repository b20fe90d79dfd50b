package work

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/retry"
)

const (
	// freeWaits is how many times in a row a script may say "not now" and be asked again at the very next beat.
	freeWaits = 9
	// waitMax is how long it may say nothing else before the item counts as failing.
	waitMax = time.Hour
)

// Rules are the numbers of section work of the config, and who asks.
type Rules struct {
	RetryFirst time.Duration // delay after the first failure; doubles with each further one
	RetryMax   time.Duration // ... up to this
	WedgeAfter int           // so many failures in a row make an item wedged; 0 = never by counting
	Node       string        // the node's id: what makes nodes that fail together not retry together
}

// NextRun is how an item stands: whether it is to be worked in this beat, and what the node has to say of it.
type NextRun struct {
	Due     bool      // to be worked now
	At      time.Time // wanted, but not before this; zero = now, or not wanted
	Failing bool      // failed, tries left; never together with Wedged
	Wedged  bool      // failed so often that a new version is needed; ends only with a success or by a person
	Since   time.Time // when it became wedged
	Waiting bool      // the script says "not now"
	Reason  string    // one line, when Failing or Wedged or Waiting, else ""
	Bare    string    // the same without what the script wrote, which may be secret
	Output  string    // the last line that it wrote
	Attempt int       // number of the next attempt of this fingerprint, from 1
}

// PlanRun is pure: what Judge decided and what is remembered of the last attempt give what is due now. It is not for an
// item that is being worked at this moment: an attempt without an end counts here as one that was interrupted.
func PlanRun(j Judgement, r Rules, now time.Time) NextRun {
	s := NextRun{Attempt: 1}
	last := unsuccessful(j.Memory)
	again := last != nil && last.Fingerprint == j.Fingerprint && !saidAgain(j.Memory)
	if again {
		s.Attempt = last.Attempt + 1
	}
	s.say(j, last, again, r)
	if s.Bare = s.Reason; last != nil && s.Reason == failed(*last) {
		still := *last
		still.LastLine = ""
		s.Bare, s.Output = failed(still), last.LastLine
	}
	if j.Overdue && !s.Wedged {
		s.Failing, s.Reason, s.Bare = true, j.Await, j.Await
	}
	if j.Item.Problem != "" || !j.Verdict.Wanted() && !j.Item.Always {
		return s
	}
	if again {
		at := last.Finished.Add(delay(j, *last, r, s.Wedged))
		// A last attempt that ended in the future means that the clock was set back: its delay cannot be known any
		// more, so it counts as over.
		if at.After(now) && !last.Finished.After(now) {
			s.At = at
			return s
		}
	}
	s.Due = j.Await == ""
	return s
}

// say fills in what the node has to say of the item; last is the last attempt if it was no success, again whether it
// was of this fingerprint.
func (s *NextRun) say(j Judgement, last *Attempt, again bool, r Rules) {
	if last != nil && last.Wedged(r) {
		s.Wedged, s.Since, s.Reason = true, last.WedgedSince, failed(*last)
		if s.Since.IsZero() {
			s.Since = last.Finished
		}
	}
	if j.Item.Problem != "" {
		s.Failing, s.Reason = !s.Wedged, j.Item.Problem
		return
	}
	if !again {
		return
	}
	s.Waiting = last.Reason == ReasonWaiting
	if s.Wedged {
		return
	}
	s.Failing = last.Failures > 0 || s.Waiting && last.waitedLong()
	if s.Failing || s.Waiting {
		s.Reason = failed(*last)
	}
}

// unsuccessful is the last attempt, with an end, unless that was a success or a person has said "unwedge" since.
func unsuccessful(m Memory) *Attempt {
	if last := ended(m.Last); last != nil && !last.OK() && last.Unwedged.IsZero() {
		return last
	}
	return nil
}

// saidAgain tells that VERSION was there when the last attempt began and is not any more: by that a person says
// "again", and means now.
func saidAgain(m Memory) bool {
	return m.Version == "" && m.Last != nil && m.Last.Previous != ""
}

// Wedged tells whether the item was wedged when this attempt, which has an end, had ended.
func (a Attempt) Wedged(r Rules) bool {
	if a.OK() {
		return false
	}
	return !a.WedgedSince.IsZero() || a.Reason == ReasonWedged || r.WedgeAfter > 0 && a.Failures >= r.WedgeAfter
}

// failed says in one line how the attempt ended, and how many failures there were in a row.
func failed(a Attempt) string {
	what, counted := cmp.Or(a.Detail, string(a.Reason)), a.Failures
	switch {
	case a.Reason == ReasonWaiting:
		what = "waiting: " + cmp.Or(a.LastLine, fmt.Sprintf("exit %d", ExitTempFail))
	case a.Reason == ReasonShutdown && a.Shutdowns < 2:
	case counted < 2:
		return what
	}
	switch counted {
	case 0:
		return what
	case 1:
		return what + " (after a failure)"
	}
	return fmt.Sprintf("%s (%s in a row)", what, human.Count(counted, "failure"))
}

// delay is how long after its end an attempt that was no success is made again.
func delay(j Judgement, a Attempt, r Rules, wedged bool) time.Duration {
	n := a.Failures
	switch {
	case a.Reason == ReasonWaiting: // of a wedged item, too: the script runs, and only asks for time
		n = a.Waits - freeWaits
	case wedged:
		n = math.MaxInt
	}
	// By who asks for the how-manieth time: the same however often it is asked, and another for each node of a fleet.
	chance := retry.Chance(fmt.Sprintf("%s\n%s\n%s\n%d", r.Node, j.Item.Repo, j.Item.Name, a.Attempt))
	b := retry.Backoff{First: r.RetryFirst, Most: r.RetryMax, Low: 0.8, High: 1.2}
	d := b.Delay(n, chance) // none when nothing was counted: the next beat
	if d > r.RetryMax {
		b.First, b.High = b.Most, 1
		d = b.Delay(n, chance)
	}
	return d
}
