package service

import "time"

// Wish says whether this node is to offer a service.
type Wish int

// The wishes. What cannot be read withdraws nothing: a mistake in a list, a tree that is not there.
const (
	Unknown Wish = iota
	Wanted
	Unwanted
)

// Leaving is how far the removal of a service has come. Each step is on the disk before it begins, so it is resumed
// after a crash.
type Leaving string

// The steps of a removal.
const (
	Stays     Leaving = ""
	Announced Leaving = "draining"    // it is announced that it goes, and users have their time
	Undoing   Leaving = "removing"    // delete.sh runs, as often as it takes
	Gone      Leaving = "uninstalled" // that is announced, and then it is forgotten
)

// Known is what is remembered of a service on this node.
type Known struct {
	Health  Health    `json:"health,omitzero"`
	Leaving Leaving   `json:"leaving,omitempty"`
	Told    time.Time `json:"told,omitzero"` // the presence repository had this code; zero = not yet
	Code    Code      `json:"code"`          // announced last
	Since   time.Time `json:"since"`         // of code and role
	Role    string    `json:"role,omitempty"`
}

// Moved is what is remembered after the clock was set by a difference.
func (k Known) Moved(by time.Duration) Known {
	k.Health = k.Health.moved(by)
	for _, at := range []*time.Time{&k.Told, &k.Since} {
		if !at.IsZero() {
			*at = at.Add(by)
		}
	}
	return k
}

// Facts are how things are at a beat.
type Facts struct {
	Wish      Wish
	Begun     bool // its set-up was started at least once: there may be something to undo
	SetUp     bool // its set-up has succeeded
	Missing   bool // a service that its set-up requires has no endpoint
	Drained   bool // a person or a script drains it
	Published bool // the presence repository has what was announced last; without presence always true
	Undone    bool // delete.sh has succeeded since the removal came to Undoing
	NoDelete  bool // nothing of it can be undone: it has no delete.sh, and its check may go on to pass
	Check     Result
	MinDrain  time.Duration // at least so long between Announced and Undoing: two beats
}

// Step is what the agent does next, beside announcing the code.
type Step int

// The steps. What changes in Known is on the disk before any of them.
const (
	Rest   Step = iota
	Delete      // run delete.sh when it is due
	Forget      // what is remembered of the service goes
)

// Next decides what a service is called from now on, and what is to be done. It is the only place that does. The code
// is announced with presence; Since changes with code and role.
//
// A service that is no longer wanted goes step by step: it is announced as draining, and until the repository has that
// it stays; then its users have d.Drain; then delete.sh undoes the set-up; when its check fails it is announced as
// uninstalled, and when the repository has that it is forgotten. Until delete.sh runs, a new wish takes all of it back.
func Next(d Description, k Known, f Facts, now time.Time) (Known, Step) {
	before := k
	k.Health = k.Health.Next(d, f.Check, now)
	if k.Told.IsZero() && f.Published && k.Code != "" { // what is in presence is the code of the last beat
		k.Told = now
	}
	step := Rest
	switch k.Leaving {
	case Stays:
		switch {
		case f.Wish != Unwanted:
		case !f.Begun:
			return Known{}, Forget
		default:
			k.Leaving = Announced
		}
	case Announced:
		switch {
		case f.Wish == Wanted:
			k.Leaving = Stays
		case f.Wish == Unwanted && k.Code == Draining && !k.Told.IsZero() && now.Sub(k.Told) >= max(d.Drain, f.MinDrain):
			k.Leaving, step = Undoing, Delete
		}
	case Undoing:
		switch {
		case f.NoDelete, f.Undone && (d.Check.Kind == NoCheck || f.Check.Outcome == Fail):
			k.Leaving = Gone
		case !f.Undone || f.Check.Outcome == Pass: // what still answers was not undone
			step = Delete
		}
	case Gone:
		if k.Code == Uninstalled && !k.Told.IsZero() {
			return Known{}, Forget
		}
	}
	k.Code = code(d, k, f)
	k.Role = d.Role
	if k.Health.Role != "" {
		k.Role = k.Health.Role
	}
	if k.Code != before.Code || k.Role != before.Role || k.Since.IsZero() {
		k.Since = now
	}
	if k.Code != before.Code {
		k.Told = time.Time{}
	}
	return k, step
}

// code is what a service is announced as.
func code(d Description, k Known, f Facts) Code {
	switch {
	case k.Leaving == Gone:
		return Uninstalled
	case k.Leaving == Undoing:
		return Removing
	case k.Leaving == Announced:
		return Draining
	case !f.SetUp && f.Missing:
		return Waiting
	case !f.SetUp:
		return Installing
	case f.Drained:
		return Draining
	}
	return k.Health.code(d)
}
