package agent

import (
	"time"

	"github.com/addagent/addagent/internal/journal"
)

// Clock is the time of day, which can be set, and the time that passes meanwhile.
type Clock interface {
	Now() time.Time
	// Up is how long this machine has run since it booted, without its sleep. Setting the clock does not change it.
	Up() time.Duration
}

// setLeast is the smallest step that counts as a clock that was set. Less is read late, or slewed.
const setLeast = 2 * time.Second

// now is the time. When the clock was set since it was last asked, also by an earlier process of this boot, all times
// that the agent remembers move along: what has lasted for a minute has then still lasted for a minute.
func (a *Agent) now() time.Time {
	now, up := a.Clock.Now().UTC(), a.Clock.Up()
	if last := a.beats.read; !last.At.IsZero() {
		if set := now.Sub(last.At) - (up - last.Up()); set.Abs() >= setLeast {
			a.move(set)
		}
	}
	a.beats.read = journal.Reading{At: now, BootID: a.BootID, Seconds: up.Seconds()}
	return now
}

// move moves all times that the agent remembers.
func (a *Agent) move(by time.Duration) {
	for _, t := range []*time.Time{&a.life.since, &a.life.failingSince, &a.trees.lastReached, &a.trees.lastContact, &a.beats.ended} {
		if !t.IsZero() {
			*t = t.Add(by)
		}
	}
	a.Services.Move(by)
	for key, t := range a.wrong.known {
		t.Since, t.Said = t.Since.Add(by), t.Said.Add(by)
		a.wrong.known[key] = t
	}
	for item, t := range a.trees.firstDue {
		a.trees.firstDue[item] = t.Add(by)
	}
}

// recallTimes takes over what an earlier process remembered of times, and what its clocks showed last.
func (a *Agent) recallTimes(b journal.Beat) {
	a.life.since, a.trees.lastReached = b.Since, b.LastLook
	for _, i := range b.Items {
		if !i.DueSince.IsZero() {
			a.trees.firstDue[i.Repo+":"+i.Item] = i.DueSince
		}
	}
	up := a.Clock.Up()
	switch last := b.Clock; {
	case last.At.IsZero():
	case last.BootID == a.BootID:
		a.beats.read = last
		if b.Lasts(a.BootID, up) { // else nothing is known of the servers
			a.trees.lastContact = b.LastContact
		}
	case a.Clock.Now().Before(last.At):
		// How long the machine was off is not known; nothing that is remembered may lie in the future.
		a.beats.read = journal.Reading{At: last.At, Seconds: up.Seconds()}
	}
}

// longest bounds every wait, so that a clock that was set is noticed.
const longest = time.Minute

// untilTick is how long to wait for the next tick, or for another look at the clock.
func (a *Agent) untilTick(now time.Time) time.Duration {
	return min(max(a.Schedule.Next(now).Sub(now), 0), longest)
}
