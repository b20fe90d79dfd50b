// Package node is who this machine is, and the one table of states.
//
// identity.go binds the node's name to its hardware, info.go reads what people wrote into nodeinfo, brake.go what they
// said with disable and wedge, and state.go lists the states. The package does not decide a state:
// package agent does.
package node

// State is how a node is, in one word. The words are a contract: they appear in nodeinfo/state.txt, the presence
// record, chat and tags.
type State string

// The states, in the usual order. States says what each means.
const (
	Presetup State = "presetup"
	Setup    State = "setup"
	InitDone State = "initdone"
	Idle     State = "idle"
	Working  State = "working"
	Failing  State = "failing"
	Wedged   State = "wedged"
	Disabled State = "disabled"
	Leaving  State = "leaving"
)

// StateRow describes a state.
type StateRow struct {
	State    State
	Meaning  string // one sentence for people
	Colour   string // "gray", "yellow" (started), "green" (success), "red" (trouble), in chat and on a terminal
	Critical bool   // it needs a person; all other states are chatty
	Logged   bool   // a transition of the life cycle, kept in statelog
}

// States is the table of states. A new state needs a row here and a case where the agent settles its state.
//
// Only setup and initdone are logged. States that come and go (idle, working, failing, wedged, disabled) would push the
// birth of the node out of the 256 characters of a statelog, and leaving would break the rule that a reboot adds
// nothing. A shutdown can be cancelled and a notice of the cloud withdrawn, so leaving has a way back.
func States() []StateRow {
	return []StateRow{
		{State: Presetup, Colour: "gray", Meaning: "launched or baked, the agent has not reported yet"},
		{State: Setup, Colour: "yellow", Logged: true, Meaning: "the agent is running and initialises the node"},
		{State: InitDone, Colour: "green", Logged: true, Meaning: "initialised, ready for its first work"},
		{State: Idle, Colour: "green", Meaning: "everything that is due is done"},
		{State: Working, Colour: "yellow", Meaning: "a work script runs"},
		{State: Failing, Colour: "red", Meaning: "something failed and is retried automatically"},
		{State: Wedged, Colour: "red", Critical: true,
			Meaning: "the agent beats, but needs help to complete its work: a pushed fix, or a person"},
		{State: Disabled, Colour: "gray",
			Meaning: "disabled by a person or a hold: it beats and reports, but starts no work; it looks under a hold alone"},
		{State: Leaving, Colour: "gray", Meaning: "the machine is shutting down, or its cloud announced that"},
	}
}

// Row returns the row of s; ok is false if there is none.
func Row(s State) (row StateRow, ok bool) {
	for _, r := range States() {
		if r.State == s {
			return r, true
		}
	}
	return StateRow{}, false
}

// Ended words the end of a state that lasted for a span: "recovered after 5.1 s of failures".
func (s State) Ended(span string) string {
	switch s {
	case Failing:
		return "recovered after " + span + " of failures"
	case Wedged:
		return "recovered after " + span + " wedged"
	case Disabled:
		return "enabled after " + span + " disabled"
	}
	return "running again after " + span + " " + string(s)
}
