package service

import (
	"cmp"
	"time"
)

const (
	// flapTime is how long a service must stay up to count as stable.
	flapTime = 10 * time.Minute
	// mostRise bounds how many passes in a row a service that is not stable needs.
	mostRise = 10
)

// Outcome is how a check ended.
type Outcome int

// The outcomes of a check.
const (
	Unasked Outcome = iota // there was none, or it does not count: a script of the service itself was running
	Pass
	Fail
	Warming // a script said with exit status 75 that the service is starting
)

// Result is what a check found out. Role, Code and State are what a script wrote; "" = nothing.
type Result struct {
	Outcome Outcome
	Role    string
	Code    Code
	State   string
	Why     string // it failed, on one line
}

// Health is what the checks of a service showed up to now. The zero value is that of a service that was never checked.
type Health struct {
	Up     bool      `json:"up,omitempty"`
	Passes int       `json:"passes,omitempty"`  // in a row, while it is down
	Fails  int       `json:"fails,omitempty"`   // in a row, while it is up
	Needs  int       `json:"needs,omitempty"`   // passes until it is up; 0 = as many as its description says
	UpAt   time.Time `json:"up_at,omitzero"`    // it came up last; zero = it never did
	Warm   bool      `json:"warming,omitempty"` // the last check said that it is starting
	Role   string    `json:"role,omitempty"`    // what the check says
	Code   Code      `json:"code,omitempty"`    // what the check says; Running is not among these
	State  string    `json:"state,omitempty"`   // what the check says
	Why    string    `json:"why,omitempty"`     // the last check failed
}

// Next is the health after one more check. A service that goes down again within ten minutes needs twice as many passes
// to be up as it needed before, ten at most, so that one that comes and goes is not announced each time.
func (h Health) Next(d Description, r Result, at time.Time) Health {
	if r.Outcome == Unasked {
		return h
	}
	needs := cmp.Or(h.Needs, d.Rise)
	h.Role, h.Code, h.State, h.Why, h.Warm = cmp.Or(r.Role, h.Role), r.Code, r.State, r.Why, r.Outcome == Warming
	switch {
	case r.Outcome == Pass && h.Up:
		h.Fails = 0
		if h.Needs != 0 && at.Sub(h.UpAt) >= flapTime {
			h.Needs = 0
		}
	case r.Outcome == Pass:
		if h.Passes++; h.Passes >= needs {
			h.Up, h.UpAt, h.Passes, h.Fails = true, at, 0, 0
		}
	case h.Up:
		if h.Fails++; h.Fails >= d.Fall {
			h.Up, h.Passes, h.Fails, h.Needs = false, 0, 0, 0
			if at.Sub(h.UpAt) < flapTime {
				h.Needs = min(2*needs, max(mostRise, d.Rise))
			}
		}
	default:
		h.Passes = 0
	}
	return h
}

// code is what the health makes of a service that is set up.
func (h Health) code(d Description) Code {
	switch {
	case h.Up:
		return Running
	case h.Warm || h.UpAt.IsZero():
		return Starting
	case h.Code != "":
		return h.Code
	}
	return stopped(d.Mode)
}

// moved is the health after the clock was set by a difference.
func (h Health) moved(by time.Duration) Health {
	if !h.UpAt.IsZero() {
		h.UpAt = h.UpAt.Add(by)
	}
	return h
}
