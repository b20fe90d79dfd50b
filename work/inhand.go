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

// InHand is the work that runs now, as the record of a beat has it.
type InHand struct {
	Repo    string    `json:"repo"`
	Item    string    `json:"item"`
	RunID   string    `json:"run_id"`
	Version string    `json:"version"`
	Attempt int       `json:"attempt"`
	Started time.Time `json:"started"`
	PID     int       `json:"pid"`               // of the shim
	Adopted bool      `json:"adopted,omitempty"` // started by an earlier agent
	Log     string    `json:"log,omitempty"`
	Wedged  bool      `json:"wedged,omitempty"`  // the item was wedged when this run began, and is until it succeeds
	Failing bool      `json:"failing,omitempty"` // it was failing
	Before  string    `json:"before,omitempty"`  // why
}

// Name is repo:item.
func (h *InHand) Name() string { return h.Repo + ":" + h.Item }

// Standing is how the item stood when this run began.
func (h *InHand) Standing() string {
	switch {
	case h.Wedged:
		return "wedged"
	case h.Failing:
		return "failing"
	}
	return ""
}

// Outcome is the end of work that was in hand. Last is the item's last attempt as the shim left it; nil or of another
// run when the shim was killed before it could write the end.
type Outcome struct {
	Repo, Item, RunID string
	Last              *Attempt
}

// InHand is an attempt without an end as the work that runs, but for the number of its shim. What was wrong with the
// item when it began stays wrong until it succeeds.
func (a Attempt) InHand(repo, item string) InHand {
	h := InHand{Repo: repo, Item: item, RunID: a.RunID, Version: a.Version, Attempt: a.Attempt, Started: a.Started, Log: a.Log,
		Wedged: !a.WedgedSince.IsZero()}
	h.Failing = !h.Wedged && (a.Failures > 0 || a.waitedLong())
	if h.Wedged || h.Failing {
		h.Before = fmt.Sprintf("attempt %d runs", a.Attempt)
	}
	return h
}
