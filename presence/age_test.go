package presence

import (
	"testing"
	"time"

	"github.com/addagent/addagent/internal/node"
)

func TestAgeOf(t *testing.T) {
	seen := noon()
	by := func(d time.Duration) Record {
		return Record{InstanceID: "n", State: node.Idle, BeatSeen: seen, BeatNextBy: seen.Add(d)}
	}
	with := func(r Record, change func(*Record)) Record {
		change(&r)
		return r
	}
	old := Record{InstanceID: "n", State: "done"}
	for _, c := range []struct {
		what      string
		r         Record
		statement time.Time
		at        time.Duration // after seen
		want      Age
	}{
		{"just told", by(12 * time.Minute), seen, 0, Present},
		{"at the last moment", by(12 * time.Minute), seen, 12 * time.Minute, Present},
		{"a clock that is two minutes off", by(12 * time.Minute), seen, 14 * time.Minute, Present},
		{"after it", by(12 * time.Minute), seen, 14*time.Minute + time.Second, Late},
		{"the span once more", by(12 * time.Minute), seen, 26 * time.Minute, Late},
		{"and after that", by(12 * time.Minute), seen, 26*time.Minute + time.Second, Missing},
		{"much later", by(12 * time.Minute), seen, 1000 * time.Hour, Missing},
		{"a promise of three minutes keeps two for the clocks", by(3 * time.Minute), seen, 5 * time.Minute, Present},
		{"and so do two", by(2 * time.Minute), seen, 4 * time.Minute, Present},
		{"and after that", by(2 * time.Minute), seen, 4*time.Minute + time.Second, Late},
		{"one of seconds keeps as many", by(15 * time.Second), seen, 30 * time.Second, Present},
		{"one of seconds is late", by(15 * time.Second), seen, 31 * time.Second, Late},
		{"the seconds once more", by(15 * time.Second), seen, 45 * time.Second, Late},
		{"and missing after that", by(15 * time.Second), seen, 46 * time.Second, Missing},
		{"three seconds are worth ten", by(3 * time.Second), seen, 13 * time.Second, Present},
		{"and late after that", by(3 * time.Second), seen, 14 * time.Second, Late},
		{"and missing ten later", by(3 * time.Second), seen, 24 * time.Second, Missing},
		{"a beat of seconds, its clock a little ahead", by(15 * time.Second), seen, -15 * time.Second, Present},
		{"a beat of seconds, its clock further ahead", by(15 * time.Second), seen, -16 * time.Second, Late},
		{"a large fleet", by(28 * time.Hour), seen, 28 * time.Hour, Present},
		{"a large fleet, late", by(28 * time.Hour), seen, 29 * time.Hour, Late},
		{"a large fleet, missing", by(28 * time.Hour), seen, 57 * time.Hour, Missing},
		{"a promise for years is worth two days", by(10000 * time.Hour), seen, 48 * time.Hour, Present},
		{"and not more", by(10000 * time.Hour), seen, 49 * time.Hour, Late},
		{"and then it is missing", by(10000 * time.Hour), seen, 97 * time.Hour, Missing},
		{"a promise before the beat", by(-time.Hour), seen, -time.Hour, Present},
		{"a promise before the beat is over", by(-time.Hour), seen, 4 * time.Minute, Missing},
		{"a beat two minutes ahead", by(12 * time.Minute), seen, -2 * time.Minute, Present},
		{"a beat further ahead", by(12 * time.Minute), seen, -2*time.Minute - time.Second, Late},
		{"a beat a year ahead", by(12 * time.Minute), seen, -9000 * time.Hour, Late},
		{"leaving", with(by(12*time.Minute), func(r *Record) { r.State = node.Leaving }), seen, 0, Gone},
		{"left", with(by(12*time.Minute), func(r *Record) { r.State = node.Leaving }), seen, 500 * time.Hour, Gone},
		{"left, by a clock ahead", with(by(12*time.Minute), func(r *Record) { r.State = node.Leaving }), seen, -500 * time.Hour, Gone},
		{"no beat, but a promise", with(by(12*time.Minute), func(r *Record) { r.BeatSeen = time.Time{} }), seen, 13 * time.Minute, Present},
		{"no beat, a promise that is over", with(by(12*time.Minute), func(r *Record) { r.BeatSeen = time.Time{} }), seen, 14*time.Minute + time.Second, Late},
		{"no beat, and missing", with(by(12*time.Minute), func(r *Record) { r.BeatSeen = time.Time{} }), seen, 16 * time.Minute, Missing},
		{"a beat without a promise", with(by(0), func(r *Record) { r.BeatNextBy = time.Time{} }), seen, 15 * time.Minute, Present},
		{"a beat without a promise, later", with(by(0), func(r *Record) { r.BeatNextBy = time.Time{} }), seen, 18 * time.Minute, Missing},
		{"old, its commit is young", old, seen, 15 * time.Minute, Present},
		{"old, its commit is not young", old, seen, 17*time.Minute + time.Second, Missing},
		{"old, its commit is not known", old, time.Time{}, 0, Missing},
		{"old, its commit is ahead", old, seen, -time.Hour, Late},
		{"old, leaving", with(old, func(r *Record) { r.State = node.Leaving }), time.Time{}, 0, Gone},
	} {
		if got := AgeOf(c.r, c.statement, seen.Add(c.at)); got != c.want {
			t.Errorf("%s: %s, not %s", c.what, got, c.want)
		}
	}
}

// A node only ever gets older as long as it says nothing, but for one whose clock is ahead.
func TestAgeOnlyGrows(t *testing.T) {
	order := map[Age]int{Present: 0, Late: 1, Missing: 2}
	for _, span := range []time.Duration{0, time.Second, time.Minute, time.Hour, 24 * time.Hour, 400 * time.Hour} {
		r := Record{InstanceID: "n", State: node.Idle, BeatSeen: noon(), BeatNextBy: noon().Add(span)}
		before := Present
		for at := time.Duration(0); at < 1000*time.Hour; at += 7 * time.Minute {
			is := AgeOf(r, noon(), noon().Add(at))
			if order[is] < order[before] {
				t.Errorf("span %s: after %s it is %s, and it was %s", span, at, is, before)
			}
			before = is
		}
		if before != Missing {
			t.Errorf("span %s: in the end it is %s", span, before)
		}
	}
}
