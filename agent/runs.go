package agent

import (
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
	if !e.OK || !e.Routine() {
		r.lastEnded = &e
	}
}
