// Package schedule says when the beats of a node are due. It is pure, and knows no config.
package schedule

import (
	"hash/fnv"
	"time"
)

// Schedule says when the next tick after t is. A parsed cron line satisfies it.
type Schedule interface {
	Next(t time.Time) time.Time
}

// Every is the schedule "@every D". It is counted from the epoch, not from the
// start of the agent, so that a restart does not move a node's second.
type Every time.Duration

// Next is the first multiple of the interval after t, counted from the Unix epoch.
func (e Every) Next(t time.Time) time.Time {
	d := time.Duration(e)
	// By hand and not with Truncate: that one counts from year 1, which is no
	// multiple of, say, 7 s away from the epoch, and a person checks with `date +%s`.
	into := time.Duration(t.UnixNano()) % d
	return t.Add(d - into)
}

// Shifted is a schedule that ticks By later than the one it wraps.
type Shifted struct {
	Schedule
	By time.Duration
}

// Next is the wrapped schedule's next tick, shifted.
func (s Shifted) Next(t time.Time) time.Time {
	return s.Schedule.Next(t.Add(-s.By)).Add(s.By)
}

// Shortest is the shortest time between two ticks of a schedule. It does not depend on the time at which it is asked.
func Shortest(s Schedule) time.Duration {
	begin := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	end := begin.AddDate(9, 0, 0) // it holds two leap days
	shortest := end.Sub(begin)
	t := s.Next(begin)
	for n := 0; n < 1500 && shortest > time.Minute; n++ { // so many are a day at least
		next := s.Next(t)
		if next.IsZero() || next.After(end) {
			break
		}
		shortest, t = min(shortest, next.Sub(t)), next
	}
	return shortest
}

// Interval is the time between the two ticks that follow t.
func Interval(s Schedule, t time.Time) time.Duration {
	first := s.Next(t)
	return s.Next(first).Sub(first)
}

// Offset is this node's own share of spread, a constant hash of its name: it spreads
// a fleet's looks evenly, and no node needs to know the fleet. It is never more than
// spread or interval, whichever is smaller.
func Offset(id string, spread, interval time.Duration) time.Duration {
	within := min(spread, interval)
	if within <= 0 {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(id))
	// FNV's low bits are weak for names that differ in their last letter only
	// (i-0001, i-0002, ...), which is what a fleet's names look like: mix once more.
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return time.Duration(x % uint64(within))
}

// Missed counts the ticks that passed while a beat ran: they are dropped, not
// caught up with. The count stops at 1,000: after a clock jump it means nothing.
func Missed(s Schedule, from, to time.Time) int {
	n := 0
	for t := s.Next(from); !t.After(to) && n < 1000; t = s.Next(t) {
		n++
	}
	return n
}
