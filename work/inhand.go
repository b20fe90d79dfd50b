package work

import (
	"fmt"
	"time"
)

// Env is what a script is told about the node.
type Env struct {
	NodeID, Nodepart, Stacktype, Deployment, State string
	Fields                                         map[string]string // nodeinfo
}

// InHand is work that runs.
type InHand struct {
	Repo, Item, RunID, Version, Log string
	Attempt                         int
	Started                         time.Time
	PID                             int     // of the shim
	Next                            NextRun // of the item when the run began: what was wrong stays wrong until it succeeds
}

// Outcome is the end of work that was in hand. Last is the item's last attempt as the shim left it; nil or of another
// run when the shim was killed before it could write the end.
type Outcome struct {
	Repo, Item, RunID string
	Last              *Attempt
}

// AtStart is how the item of an unfinished attempt stood when that began.
func (a Attempt) AtStart() NextRun {
	s := NextRun{Attempt: a.Attempt, Wedged: !a.WedgedSince.IsZero()}
	s.Failing = !s.Wedged && (a.Failures > 0 || a.waitedLong())
	if s.Wedged || s.Failing {
		s.Reason = fmt.Sprintf("attempt %d runs", a.Attempt)
	}
	return s
}
