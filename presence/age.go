package presence

import (
	"time"

	"github.com/addagent/addagent/internal/node"
)

// Age says how current a node's record is.
type Age string

// The ages. The words are a contract: they stand in nodes.json and in the fold's history.
const (
	Present Age = "present" // it keeps its promise
	Late    Age = "late"    // it has missed the time it named
	Missing Age = "missing" // it has missed that by as much again
	Gone    Age = "gone"    // it said that it leaves, or it was reaped
)

const (
	// Skew is how far the clocks of a node and of a reader may differ without consequences, but no more than the span
	// of the promise. With beats of a minute it is always this much.
	Skew = 2 * time.Minute
	// LeastSpan is the shortest promise that counts: one push may take as long.
	LeastSpan = 10 * time.Second
	// noSpan is the span of a promise when it is not known when it was made.
	noSpan = time.Minute
	// mostSpan bounds a promise. A fleet of 10,000 at six pushes a minute promises 28 hours; more is a wrong clock.
	mostSpan = 48 * time.Hour
	// oldSpan is for how long an old record without a promise counts: they came each minute.
	oldSpan = 15 * time.Minute
)

// AgeOf is the age of a record at a time. Told is when its commit was made, zero when that is not known; it matters for
// records without times of their own.
//
//	present  until beat_next_by
//	late     after it
//	missing  when the promised span, beat_next_by - beat_seen, has passed once more (10 s at least, 2 days at most)
//	gone     when it says leaving, at whatever time
//
// Each limit is later by Skew, or by the span where that is shorter, so that a clock which is a little off changes
// nothing. A node whose beat is further in the future is late, because its clock needs a look, and never missing,
// because it may be alive. A record without times is present for 15 minutes after Told and missing after that.
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

// promise is when a record was made and when the next one is due; from is zero when nothing is known.
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

// Promised is when the next record of the node is or was due.
func (n Node) Promised() time.Time {
	_, by := promise(n.Record, n.Told)
	return by
}
