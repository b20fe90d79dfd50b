package main

import (
	"errors"
	"testing"

	"github.com/addagent/addagent/fleet/fleettest"
	"github.com/addagent/addagent/fleet/view"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/presence"
)

// TestVerdict: a monitor is not green when it is blind.
func TestVerdict(t *testing.T) {
	now := fleettest.Noon()
	fleet := func(unseen int, groups ...string) presence.Fleet {
		f := fleettest.Of(now, groups...)
		f.Unseen = unseen
		return f
	}
	for what, c := range map[string]struct {
		fleet  presence.Fleet
		filter view.Filter
		code   int
	}{
		"all well":              {fleet(0, "3 idle a"), view.Filter{}, 0},
		"one wedged":            {fleet(0, "3 idle a", "1 wedged a"), view.Filter{}, cli.ExitWedged},
		"one failing":           {fleet(0, "3 idle a", "1 failing a"), view.Filter{}, cli.ExitFailed},
		"no node":               {presence.Fleet{}, view.Filter{}, cli.ExitFailed},
		"not all are seen":      {fleet(2, "3 idle a"), view.Filter{}, cli.ExitFailed},
		"and one is wedged":     {fleet(2, "1 wedged a"), view.Filter{}, cli.ExitWedged},
		"a part that is not":    {fleet(0, "3 idle a"), view.Filter{Parts: []string{"b"}}, cli.ExitFailed},
		"none is in this state": {fleet(0, "3 idle a"), view.Filter{States: []string{"wedged"}}, 0},
	} {
		code := 0
		if exit := new(cli.Exit); errors.As(verdict(c.fleet, c.filter, now), &exit) {
			code = exit.Code
		}
		if code != c.code {
			t.Errorf("%s: %d, want %d", what, code, c.code)
		}
	}
}
