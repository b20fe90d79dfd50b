package retry

import (
	"errors"
	"time"
)

// Pause is for how long what failed is not tried again, and why. The zero value is none. As JSON it outlives the
// process: where each beat is a process, a server would else be asked at each.
type Pause struct {
	Failures int       `json:"failures"` // in a row; 0 = none
	From     time.Time `json:"from"`
	Until    time.Time `json:"until"`
	Why      string    `json:"why"`
	err      error     // that Why is the text of; nil in another process
}

// After is the pause that follows one more failure.
func (p Pause) After(err error, now time.Time, wait time.Duration) Pause {
	now = now.UTC()
	return Pause{p.Failures + 1, now, now.Add(wait), err.Error(), err}
}

// Because is how the last try failed; nil when it did not.
func (p *Pause) Because() error {
	if p.err == nil && p.Failures > 0 {
		p.err = errors.New(p.Why)
	}
	return p.err
}

// Left is how long the pause still lasts. A clock that was set back to before it began ends it.
func (p *Pause) Left(now time.Time) time.Duration {
	if p.Failures == 0 || now.Before(p.From) {
		return 0
	}
	return max(p.Until.Sub(now), 0)
}
