package agent

import (
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/node"
)

// allVitals are all combinations of what Settle looks at.
func allVitals() []Vitals {
	var all []Vitals
	for bits := range 64 {
		on := func(i int) bool { return bits>>i&1 == 1 }
		v := Vitals{Setup: on(4)}
		if on(0) {
			v.Leaving = "the machine is shutting down"
		}
		if on(1) {
			v.Disabled = "ann: migration"
		}
		if on(2) {
			v.Wedged = []Bad{{"ops:common", "exit 3", ""}}
		}
		if on(3) {
			v.Failing = []Bad{{"ops:root", "exit 1", ""}}
		}
		if on(5) {
			v.Doing = "ops:root"
		}
		all = append(all, v)
	}
	return all
}

// TestSettle runs Settle over all vitals: the precedence is the contract's, and
// from every state the answer is one that the table of states allows.
func TestSettle(t *testing.T) {
	for _, v := range allVitals() {
		got, why := Settle(v)
		want := node.Idle
		switch { // written down a second time on purpose: leaving, disabled, wedged, failing, setup, working, idle
		case v.Leaving != "":
			want = node.Leaving
		case v.Disabled != "":
			want = node.Disabled
		case len(v.Wedged) != 0:
			want = node.Wedged
		case len(v.Failing) != 0:
			want = node.Failing
		case v.Setup:
			want = node.Setup
		case v.Doing != "":
			want = node.Working
		}
		if got != want {
			t.Errorf("Settle(%+v) = %s, want %s", v, got, want)
		}
		row, ok := node.Row(got)
		if !ok {
			t.Fatalf("Settle(%+v) = %q, which is no state", v, got)
		}
		if (got == node.Wedged || got == node.Failing || got == node.Disabled) && why == "" {
			t.Errorf("Settle(%+v) = %s without a reason", v, row.State)
		}
	}
}

func TestSettleNamesEverythingWedged(t *testing.T) {
	_, why := Settle(Vitals{Wedged: []Bad{{"ops:common", "exit 3", ""}, {"app:root", "deadline", ""}}})
	for _, part := range []string{"ops:common: exit 3", "app:root: deadline"} {
		if !strings.Contains(why, part) {
			t.Errorf("reason %q does not name %q", why, part)
		}
	}
}
