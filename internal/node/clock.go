package node

import (
	"time"

	"golang.org/x/sys/unix"
)

// Now is the time of day.
func (System) Now() time.Time { return time.Now() }

// Up is how long this machine has run since it booted. Its sleep does not count: while a machine sleeps, nothing fails.
func (System) Up() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0 // it cannot fail: the clock exists, and so does t
	}
	return time.Duration(t.Nano())
}
