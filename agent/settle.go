package agent

import (
	"cmp"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/node"
)

// Vitals are what the state is settled from: nothing else has a say.
type Vitals struct {
	Leaving  string // why the machine goes; "" = it stays
	Disabled string // who disabled this node, and why; "" = enabled
	Wedged   []Bad
	Failing  []Bad  // tries left
	Setup    bool   // init has not been done yet
	Doing    string // the item in hand at its first try; "" = none
}

// Bad is one thing that is wrong with a node.
type Bad struct {
	Who     string // repo:item, or "node"
	Why     string
	Outside string // what others are told instead; "" = Why
}

// outside are the vitals as others are told.
func (v Vitals) outside() Vitals {
	for _, list := range []*[]Bad{&v.Wedged, &v.Failing} {
		*list = slices.Clone(*list)
		for i, b := range *list {
			(*list)[i].Why = cmp.Or(b.Outside, b.Why)
		}
	}
	return v
}

// Settle says which state a node with these vitals is in, and why. The order is
// the contract's: leaving, disabled, wedged, failing, setup, working, idle.
func Settle(v Vitals) (node.State, string) {
	switch {
	case v.Leaving != "":
		return node.Leaving, v.Leaving
	case v.Disabled != "":
		return node.Disabled, v.Disabled
	case len(v.Wedged) > 0:
		return node.Wedged, reasons(v.Wedged)
	case len(v.Failing) > 0:
		return node.Failing, reasons(v.Failing)
	case v.Setup:
		return node.Setup, ""
	case v.Doing != "":
		return node.Working, v.Doing
	default:
		return node.Idle, ""
	}
}

func reasons(all []Bad) string {
	var parts []string
	for _, b := range all {
		parts = append(parts, b.Who+": "+b.Why)
	}
	return strings.Join(parts, "; ")
}

// bad are those at fault in a state.
func (v Vitals) bad(s node.State) []Bad {
	return map[node.State][]Bad{node.Wedged: v.Wedged, node.Failing: v.Failing}[s]
}

// joined are the reasons of those who were not blamed before.
func joined(v Vitals, s node.State, before string) string {
	if s == node.Disabled {
		return v.Disabled
	}
	known := strings.Fields(before)
	return reasons(slices.DeleteFunc(slices.Clone(v.bad(s)), func(b Bad) bool { return slices.Contains(known, b.Who) }))
}

// blamed names who is at fault in a state, without the words: the count in "exit
// 3 (4 failures in a row)" is no news, another item is.
func blamed(s node.State, v Vitals) string {
	if s == node.Disabled {
		return v.Disabled
	}
	var names []string
	for _, b := range v.bad(s) {
		names = append(names, b.Who)
	}
	slices.Sort(names) // who is in hand stands last in the vitals: that is no news either
	return strings.Join(names, " ")
}
