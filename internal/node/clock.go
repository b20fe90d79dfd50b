package node

import (
	"time"

	"golang.org/x/sys/unix"
)

// Clock is the time of day, and the time that this machine has run. It asks the kernel for the latter once: from then
// on Go's own monotonic clock, which is the same one, costs no system call.
type Clock struct {
	started time.Time
	up      time.Duration
}

// StartClock makes a clock.
func StartClock() Clock {
	var t unix.Timespec
	// It cannot fail: the clock exists, and so does t.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return Clock{time.Now(), time.Duration(t.Nano())}
}

// Now is the time of day.
func (c Clock) Now() time.Time { return time.Now() }

// Up is how long this machine has run since it booted. Its sleep does not count: while a machine sleeps, nothing fails.
func (c Clock) Up() time.Duration { return c.up + time.Since(c.started) }
