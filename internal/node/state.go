// Package node is who this machine is: its identity and how that is bound to the hardware, what people wrote about it
// in nodeinfo, and the states it can be in.
package node

import (
	"fmt"
	"slices"
)

// State is the one word that says how a node is. The words are a contract: they stand in nodeinfo/state.txt, in the
// presence record, in chat and in tags.
type State string

// The states, in the order in which a node usually meets them. The table behind Row says what each means.
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

// StateRow is all there is to know about a state.
type StateRow struct {
	State    State
	Meaning  string  // one sentence for people
	Next     []State // the states that may follow; staying is always allowed
	Colour   string  // "gray", "yellow" (started), "green" (success), "red" (trouble), in chat and on a terminal
	Critical bool    // tell those who only want to hear what needs a person; all other states are chatty
	Logged   bool    // a transition of the life cycle, kept in statelog
}

// States returns the one table of states. A state is added by a row here and a case where the agent settles its state.
//
// Logged are only setup and initdone. What comes and goes (idle, working, failing, wedged, disabled) would push the
// birth of the node out of the 256 characters that a statelog has, and leaving would break the rule that a reboot adds
// nothing to it.
func States() []StateRow {
	return []StateRow{
		{State: Presetup, Colour: "gray",
			Meaning: "launched or baked, the agent has not spoken yet",
			Next:    []State{Setup, Disabled, Leaving}},
		{State: Setup, Colour: "yellow", Logged: true,
			Meaning: "the agent lives, the node is being initialised",
			Next:    []State{InitDone, Failing, Wedged, Disabled, Leaving}},
		{State: InitDone, Colour: "green", Logged: true,
			Meaning: "initialised, ready for its first work",
			Next:    []State{Setup, Idle, Working, Failing, Wedged, Disabled, Leaving}},
		{State: Idle, Colour: "green",
			Meaning: "everything that is due is done",
			Next:    []State{Setup, Working, Failing, Wedged, Disabled, Leaving}},
		{State: Working, Colour: "yellow",
			Meaning: "a work script runs",
			Next:    []State{Setup, Idle, Failing, Wedged, Disabled, Leaving}},
		{State: Failing, Colour: "red",
			Meaning: "something failed and is tried again by itself",
			Next:    []State{Setup, InitDone, Idle, Working, Wedged, Disabled, Leaving}},
		{State: Wedged, Colour: "red", Critical: true,
			Meaning: "the heart beats, but work cannot be completed without help: a fix pushed, or a person",
			Next:    []State{Setup, InitDone, Idle, Working, Failing, Disabled, Leaving}},
		{State: Disabled, Colour: "gray",
			Meaning: "a person or a hold said so: it beats and reports, it neither looks nor works",
			Next:    []State{Setup, InitDone, Idle, Working, Failing, Wedged, Leaving}},
		// A shutdown can be called off and a notice of the cloud can be withdrawn, so leaving has a way back.
		{State: Leaving, Colour: "gray",
			Meaning: "the machine shuts down, or its cloud said that it will",
			Next:    []State{Setup, InitDone, Idle, Working, Failing, Wedged, Disabled}},
	}
}

// Row returns the row of s; ok is false for a word that is no state.
func Row(s State) (row StateRow, ok bool) {
	for _, r := range States() {
		if r.State == s {
			return r, true
		}
	}
	return StateRow{}, false
}

// MayFollow says whether the table allows next after s. Staying is always allowed.
func (s State) MayFollow(next State) bool {
	row, ok := Row(s)
	return ok && (s == next || slices.Contains(row.Next, next))
}

// ParseState reads a state's word as it stands in state.txt.
func ParseState(word string) (State, error) {
	if _, ok := Row(State(word)); !ok {
		return "", fmt.Errorf("%q is no state", word)
	}
	return State(word), nil
}
