//go:build linux

package torture

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
)

// gated is a script that waits until the test lets it go on.
const gated = `#!/bin/bash
echo "start $ADD_ITEM $ADD_RUN_ID $ADD_VERSION" >>"$T_DIR/journal"
while [ ! -e "$T_DIR/go" ]; do sleep 0.02; done
echo "end $ADD_ITEM $ADD_RUN_ID $ADD_VERSION" >>"$T_DIR/journal"
`

// TestRestartedAgentAdoptsWork kills the agent, and ends it with TERM, while work runs.
//
// INVARIANT (spec 6): the work goes on as if nothing had happened; the next agent takes it over, as running or with its
// result, and repeats nothing; TERM ends the agent at once whatever runs; what is pushed meanwhile is worked
// afterwards.
func TestRestartedAgentAdoptsWork(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		end  syscall.Signal
		late bool // the work ends while no agent lives
	}{
		"killed, work still runs":      {syscall.SIGKILL, false},
		"killed, work ended meanwhile": {syscall.SIGKILL, true},
		"TERM, work still runs":        {syscall.SIGTERM, false},
		"TERM, work ended meanwhile":   {syscall.SIGTERM, true},
	}
	listed(t, len(cases))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGrid(t, plan{})
			first := g.push("ops", script("nodework/work.sh", gated))
			g.start()
			g.until("the work to begin", func() bool { return g.count("start") == 1 })
			shim, ok := g.shim()
			if !ok {
				t.Fatal("a script runs without a shim")
			}
			if c.end == syscall.SIGTERM {
				g.stop() // and the work goes on for as long as the gate is shut
			} else {
				g.agent.kill()
			}
			second := g.push("ops", gittest.File("later", "pushed while work ran\n"))
			if !shim.alive() {
				t.Fatal("the shim ended with its agent")
			}
			if c.late {
				write(t, g.note("go"), "")
				g.until("the work to end", func() bool { _, there := g.shim(); return !there })
				if got := g.worked("ops", "root"); got != first {
					t.Errorf("the shim noted %q as worked, want %s", got, first)
				}
				g.start()
			} else {
				g.start()
				g.until("the work to be taken over", func() bool { h := g.beat().InHand; return h != nil && h.Adopted })
				g.beats(2)
				if n := g.count("start"); n != 1 {
					t.Errorf("%d runs while the first one is in hand", n)
				}
				if b := g.beat(); asked(b) || b.State != "working" {
					t.Errorf("while adopted work runs the node is %s and looks at %v", b.State, b.Looks)
				}
				write(t, g.note("go"), "")
			}
			g.settle("ops", "root")
			g.stop()
			g.sound("ops")
			var runs []string
			for _, line := range g.journal() {
				if line[0] == "start" {
					runs = append(runs, line[3])
				}
			}
			if !slices.Equal(runs, []string{first, second}) {
				t.Errorf("worked %v, want once %s and once %s", runs, first, second)
			}
			if !c.late && !strings.Contains(g.log(), "taking it over") {
				t.Error("the log does not say that work was taken over")
			}
		})
	}
}

// TestShimDiesWithoutAgent kills the shim while no agent lives, and with the script's own process gone so that only
// what it started is left.
//
// INVARIANT (spec 6): what is left of the script is ended before it is started again, and the cut run counts as a
// failure that is tried again, not as done.
func TestShimDiesWithoutAgent(t *testing.T) {
	t.Parallel()
	listed(t, 1)
	g := newGrid(t, plan{})
	g.push("ops", script("nodework/work.sh", `#!/bin/bash
trap '' TERM
exec 9>>"$T_DIR/one"
flock -n 9 || echo overlap >>"$T_DIR/journal"
echo "start $ADD_ATTEMPT" >>"$T_DIR/journal"
[ "$ADD_ATTEMPT" = 1 ] || exit 0
env -u ADD_RUN_ID -u ADD_HOME bash -c 'trap "" TERM; while :; do sleep 0.1; done' &
while [ ! -e "$T_DIR/go" ]; do sleep 0.1; done
`))
	g.start()
	g.until("the work to begin", func() bool { return g.count("start", "1") == 1 && len(g.scripts()) > 0 })
	g.agent.kill()
	shim, ok := g.shim()
	if !ok {
		t.Fatal("no shim")
	}
	left := g.scripts()
	shim.kill()
	// It ignores the death signal, so it is still there: the lock is free, and that must not be taken for idle.
	if !left[0].alive() {
		t.Fatal("the script died with the shim though it ignores TERM")
	}
	g.start()
	g.settle("ops", "root")
	g.stop()
	if left[0].alive() {
		t.Error("the script of the killed shim is still there")
	}
	for _, r := range left {
		if r.alive() {
			t.Errorf("left of the first run: %v", r)
		}
	}
	if g.count("overlap") != 0 || g.count("start") != 2 || g.count("start", "2") != 1 {
		t.Errorf("journal: %v", g.journal())
	}
	if !strings.Contains(g.log(), "its supervisor was killed") {
		t.Error("the log does not say why the work was repeated")
	}
	g.sound("ops")
}
