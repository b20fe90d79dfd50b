package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/addagent/addagent/internal/files"
)

// A machine without a clock of its own boots in some year of the past, and NTP sets it right a minute later: by the wall
// clock all that was put until then would be years old. So a spool has a clock of its own, which nobody sets. While a
// process holds the spool it goes as that process's own clock does, and in between as the wall clock says, within bounds.

// moment is now, by both clocks.
type moment struct {
	wall time.Time     // what people and NTP set
	run  time.Duration // since the Outbox was opened: it only goes on
}

// since is now, for who began then.
func since(began time.Time) moment { return moment{time.Now().UTC().Round(0), time.Since(began)} }

// stepped is by how much the wall clock was set between two moments of one process, when that is more than it may drift.
func stepped(from, to moment) time.Duration {
	if d := to.wall.Sub(from.wall) - (to.run - from.run); d.Abs() >= time.Minute {
		return d
	}
	return 0
}

// clock is the spool's own.
type clock struct {
	zero  time.Duration // what it showed when this process came
	there bool          // it is on disk
	ours  bool          // and this process wrote it
	noted time.Duration // what it showed then
}

func (c clock) at(now moment) time.Duration { return c.zero + now.run }

// noted is the clock on disk.
type noted struct {
	At   seconds   `json:"at"`
	Wall time.Time `json:"wall"` // when it showed that
}

// seconds are a time of the clock on disk.
type seconds int64

func secondsOf(d time.Duration) seconds   { return seconds(d / time.Second) }
func (s seconds) duration() time.Duration { return time.Duration(s) * time.Second }

// sane tells a time that can be from one that a bad disk made.
func (s seconds) sane() bool { return s >= 0 && s < 1<<32 }

const (
	clockFile = "clock"
	// clockEach is how often the clock is written while something waits: what a kill costs is counted by the wall clock.
	clockEach = 10 * time.Minute
	// unknown is the time of an entry that has none.
	unknown = time.Duration(-1)
)

// between is how much of the time between two processes counts. A wall clock that was set back counts as none, and one
// that jumped as a part of what a message may live: none is lost for one jump, be it that the machine was off over the
// weekend, and none is kept for ever by a machine whose clock jumps every day.
func between(last, now time.Time, age time.Duration) time.Duration {
	return min(max(now.Sub(last), 0), age/4)
}

// wind sets the clock to what an earlier process left. Where that is not known it goes on from the newest entry.
func (s *spool) wind(now moment, age time.Duration) {
	var last noted
	var at time.Duration
	data, err := files.ReadSmall(filepath.Join(s.folder, clockFile), 1<<10)
	if err == nil && json.Unmarshal(data, &last) == nil && last.At.sane() {
		at = last.At.duration() + between(last.Wall, now.wall, age)
	} else {
		for _, e := range s.entries {
			at = max(at, e.at)
		}
	}
	s.clock = clock{zero: at - now.run, there: !errors.Is(err, fs.ErrNotExist)}
	for i := range s.entries {
		if e := &s.entries[i]; e.at == unknown || e.at > at {
			e.at = at
		}
	}
}

// noteClock writes the clock down for as long as something waits by it.
func (s *spool) noteClock(now moment) error {
	path := filepath.Join(s.folder, clockFile)
	at := s.clock.at(now)
	switch {
	case len(s.entries) == 0 && !s.clock.there:
		return nil
	case len(s.entries) == 0:
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("chat spool: %w", err)
		}
		s.clock.there, s.clock.ours = false, false
		return nil
	case s.clock.ours && at-s.clock.noted < clockEach:
		return nil
	}
	data, err := json.Marshal(noted{secondsOf(at), now.wall})
	if err == nil {
		err = files.Replace(path, append(data, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("chat spool: %w", err)
	}
	s.clock.there, s.clock.ours, s.clock.noted = true, true, at
	return nil
}
