package presence

import (
	"time"

	"github.com/addagent/addagent/internal/node"
)

// Age is what a reader makes of the time since a node last spoke.
type Age string

// The ages. The words are a contract: they stand in nodes.json and in the fold's history.
const (
	Present Age = "present" // it keeps its promise
	Late    Age = "late"    // it has missed the time it named
	Missing Age = "missing" // it has missed that by as much again
	Gone    Age = "gone"    // it said that it leaves, or it was reaped
)

const (
	// Skew is how far the clocks of a node and of a reader may be apart without any consequence: so much at most, and
	// no further than a promise spans. Beats of a minute promise three minutes at least, so for them it is always
	// this much.
	Skew = 2 * time.Minute
	// LeastSpan is what a promise is worth at least: beats of a second can promise three, and one push may take as
	// long.
	LeastSpan = 10 * time.Second
	// noSpan is what a promise is worth of which nobody knows when it was made.
	noSpan = time.Minute
	// mostSpan bounds a promise. A fleet of 10,000 at six pushes a minute promises 28 hours; whoever promises more is
	// wrong about the time.
	mostSpan = 48 * time.Hour
	// oldSpan is how long a record of the first presence files counts, which promises nothing: they came each minute.
	oldSpan = 15 * time.Minute
)

// AgeOf says how a record stands at a time. Told is when its commit was made, zero when that is not known; only records
// without times of their own need it.
//
//	present  until beat_next_by
//	late     after it
//	missing  when the promised span, beat_next_by - beat_seen, has passed once more (10 s at least, 2 days at most)
//	gone     when it says leaving, at whatever time
//
// Each limit is later by Skew, so that a clock which is a little off changes nothing, or by the span where that is
// shorter: who speaks every few seconds is soon missed. A beat further in the future than that says nothing about
// now: such a node is late, for somebody should look at its clock, and never missing, for nobody knows whether it
// lives. A record without times is present for 15 minutes after Told and missing after that.
func AgeOf(r Record, told, now time.Time) Age {
	if r.State == node.Leaving {
		return Gone
	}
	from, by := promise(r, told)
	span := max(by.Sub(from), LeastSpan)
	skew := min(span, Skew)
	if !from.Before(by) {
		span, skew = noSpan, Skew
	}
	switch {
	case from.IsZero():
		return Missing
	case from.After(now.Add(skew)):
		return Late
	case !now.After(by.Add(skew)):
		return Present
	case r.BeatNextBy.IsZero() || now.After(by.Add(span+skew)):
		return Missing
	}
	return Late
}

// promise is when a node spoke and when it will have spoken again; from is zero when nothing is known.
func promise(r Record, told time.Time) (from, by time.Time) {
	if r.BeatNextBy.IsZero() {
		if from = r.BeatSeen; from.IsZero() {
			from = told
		}
		return from, from.Add(oldSpan)
	}
	from, by = r.BeatSeen, r.BeatNextBy
	if from.IsZero() || from.After(by) {
		from = by
	}
	if by.Sub(from) > mostSpan {
		by = from.Add(mostSpan)
	}
	return from, by
}

// Promised is when the node is to have spoken again: it is late, missing or gone since then.
func (n Node) Promised() time.Time {
	_, by := promise(n.Record, n.Told)
	return by
}
