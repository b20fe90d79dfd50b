package status

import (
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/work/run"
)

// A beat is late when it is overdue by more than an interval, within these bounds.
const (
	LateLeast = 5 * time.Second
	lateMost  = time.Minute
)

// IsLate tells whether the next beat is overdue. One that runs long (a first clone) is late too, and a person should
// see it.
func IsLate(b *journal.Beat, now time.Time) bool {
	return b != nil && now.Sub(b.Next) > max(LateLeast, min(b.Next.Sub(b.Start), lateMost))
}

// Report is what `status --json` prints.
type Report struct {
	Running bool          `json:"running"`          // an agent holds the beat lock
	Holder  *run.Holder   `json:"holder,omitempty"` // who holds it
	Other   bool          `json:"other,omitempty"`  // an agent with its locks in another run_dir beats over this home
	Working *run.Holder   `json:"working,omitempty"`
	Late    bool          `json:"late"`   // the last beat is older than it should be
	Brakes  node.Brakes   `json:"brakes"` // what people said of this node
	Beat    *journal.Beat `json:"beat"`
	Silence *Diagnosis    `json:"silence,omitempty"` // the last beat is too old: what other signs tell
}

// Read reads what the state files and the locks say; unread is why the brakes could not be read.
func Read(cfg *config.Config, now time.Time) (s Report, unread, err error) {
	if s.Beat, err = journal.ReadBeat(cfg.Home); err != nil {
		return s, nil, err
	}
	holder, held, err := run.ReadHolder(cfg.BeatLock())
	if err != nil {
		return s, nil, err
	}
	if held {
		s.Running, s.Holder = true, &holder
	} else if other, err := files.Held(cfg.HomeLock()); err == nil {
		s.Other = other
	}
	if h, held, err := run.ReadHolder(cfg.WorkLock()); err == nil && held {
		s.Working = &h
	}
	s.Brakes, unread = node.ReadBrakes(cfg.StateDir, now)
	s.Late = IsLate(s.Beat, now)
	if s.silent(now) {
		s.Silence = diagnose(cfg, s, holder)
	}
	return s, unread, nil
}

// ExitCode is that of addagent status.
func (s Report) ExitCode() int {
	switch {
	case s.Beat != nil && s.Beat.State == node.Wedged:
		return cli.ExitWedged
	case s.Beat != nil && s.Beat.State == node.Disabled:
		return cli.ExitDisabled
	case !s.Alive(), s.Silence != nil && s.Silence.Unwritable != "", s.Beat != nil && (s.Beat.State == node.Failing || len(s.Beat.Troubles) > 0):
		return cli.ExitFailed
	}
	return cli.ExitDone
}

// Alive tells whether a process beats here: the daemon, or cron in good time.
func (s Report) Alive() bool {
	return s.Running || s.Other || s.Beat != nil && s.Beat.By == "beat" && !s.Late && !s.killed()
}

// killed tells whether a daemon was killed, and only single beats came since. After a day they are how this node lives.
func (s Report) killed() bool {
	return !s.Beat.Died.IsZero() && s.Beat.Start.Sub(s.Beat.Died) < 24*time.Hour
}
