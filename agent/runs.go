package agent

import (
	"math"

	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/work"
)

// runs is the work of this node: what runs, who has the work lock, and what began and ended in this beat.
type runs struct {
	inHand     *work.InHand
	holding    bool   // the work lock
	lockedBy   string // why the work lock could not be had in this beat; "" = it was not refused
	deploy     int    // first tries among the items that were lined up together
	started    []journal.Started
	ended      []journal.Ended
	lastEnded  *journal.Ended // the last one that is worth telling
	unreported *work.InHand   // ran when the last agent went, and ended before this one came
}

// doing tells whether this item is the work in hand.
func (r *runs) doing(item string) bool { return r.inHand != nil && r.inHand.Name() == item }

// note takes down that work ended.
func (r *runs) note(e journal.Ended) {
	r.ended = append(r.ended, e)
	if !e.OK || !routine(e) {
		r.lastEnded = &e
	}
}

// routine tells that only `run: always` made it run: nothing had changed.
func routine(e journal.Ended) bool { return e.Verdict == work.Same || e.Verdict == work.Unaffected }

// endedFrom makes the decision record's line of a finished run; false when the run left no result.
func endedFrom(o work.Outcome, adopted bool) (journal.Ended, bool) {
	l := o.Last
	if l == nil || l.RunID != o.RunID || l.Finished.IsZero() {
		return journal.Ended{}, false
	}
	return journal.Ended{Repo: o.Repo, Item: o.Item, RunID: l.RunID, Verdict: l.Verdict, Version: l.Version,
		Attempt: l.Attempt, At: l.Finished, Seconds: math.Round(l.Finished.Sub(l.Started).Seconds()*1000) / 1000, Exit: l.Exit,
		OK: l.OK(), Reason: string(l.Reason), Detail: l.Detail, Last: l.LastLine, Log: l.Log, Adopted: adopted}, true
}
