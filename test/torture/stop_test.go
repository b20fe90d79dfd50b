//go:build linux

package torture

import (
	"strings"
	"syscall"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
)

// slow is a script that takes a second, most of it in a child.
const slow = `#!/bin/bash
exec 9>>"$T_DIR/one"
flock -n 9
[ $? != 1 ] || echo "overlap $ADD_RUN_ID" >>"$T_DIR/journal"
echo "start $ADD_ITEM $ADD_RUN_ID $ADD_VERSION" >>"$T_DIR/journal"
bash -c 'while [ ! -e "$T_DIR/go" ]; do sleep 0.02; done; exit 0'
echo "end $ADD_ITEM $ADD_RUN_ID $ADD_VERSION" >>"$T_DIR/journal"
`

// TestStopped sends SIGSTOP to each process of a node while work runs, lets some beats pass, and sends SIGCONT; or
// never does, and leaves it to the agent (a shim) or the deadline (a script).
//
// INVARIANT (spec 3, 6): a stopped process is work in hand like any other: no work runs beside it, no beat looks,
// another agent ends with 4; when it goes on, its run ends as if nothing had been and is not repeated; a stopped shim
// does not hold the node forever, and a stopped script does not outlive its deadline.
func TestStopped(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		who     string
		goesOn  bool // the test lets it go on
		timeout string
	}{
		"the agent":                               {"agent", true, "30s"},
		"the shim":                                {"shim", false, "30s"},
		"the script":                              {"script", true, "30s"},
		"the script's child":                      {"child", true, "30s"},
		"all of them":                             {"all", true, "30s"},
		"the shim, over the deadline":             {"shim", false, "1s"},
		"the script, endlessly":                   {"script", false, "10s"},
		"the script's child, endlessly":           {"child", false, "10s"},
		"the script with its children, endlessly": {"session", false, "10s"},
	}
	listed(t, len(cases))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			testkit.OneIn(t, 3)
			t.Parallel()
			g := newGrid(t, plan{work: "timeout: " + c.timeout + ", grace: 500ms, retry_first: 1s, retry_max: 1s, wedge_after: 1000"})
			g.push("ops", script("nodework/work.sh", slow))
			g.start()
			// A run may meet its deadline before it got that far: then it is a later one.
			g.until("the script and its child", func() bool { return g.count("start") > 0 && len(g.scripts()) > 1 })
			earlier := g.count("start") - 1
			var stopped []running
			shim, _ := g.shim()
			all := g.scripts()
			switch c.who {
			case "shim":
				stopped = []running{shim}
			case "script":
				stopped = all[:1]
			case "child":
				stopped = all[1:2]
			case "session":
				stopped = all
			case "all":
				stopped = append(all, shim)
			}
			send := func(s syscall.Signal) {
				if c.who == "agent" || c.who == "all" {
					_ = syscall.Kill(g.agent.pid(), s) // it is our child: its number is its own
				}
				for _, r := range stopped {
					if r.alive() {
						_ = syscall.Kill(r.pid, s)
					}
				}
			}
			send(syscall.SIGSTOP)
			write(t, g.note("go"), "")
			var waiting *process
			switch {
			case c.who == "agent" || c.who == "all":
				if code, _, stderr := g.run("run"); code != 4 || !strings.Contains(stderr, itoa(g.agent.pid())) {
					t.Errorf("an agent beside a stopped one ends with %d: %s", code, stderr)
				}
				waiting = launch(t, g.command("beat"))
			case c.goesOn:
				g.beats(3)
				if b := g.beat(); asked(b) || b.State != "working" || b.InHand == nil {
					t.Errorf("with %s stopped the node is %s, in hand %+v, looks %+v", c.who, b.State, b.InHand, b.Looks)
				}
			}
			if c.goesOn {
				send(syscall.SIGCONT)
			} else if c.who != "shim" {
				g.until("the deadline", func() bool { return g.last("ops", "root").Attempt > earlier+1 })
			}
			if waiting != nil {
				g.until("the beat that waits for the agent to end", func() bool { return !waiting.alive() })
				if waiting.code() != 0 {
					t.Errorf("a beat beside a stopped agent ends with %d when that goes on", waiting.code())
				}
			}
			g.settle("ops", "root")
			g.stop()
			g.sound("ops")
			want := 1
			if !c.goesOn && c.who != "shim" {
				want = 2
			}
			// Over its deadline the run may be over before the shim that goes on looks at the clock.
			if n := g.count("start") - earlier; n != want && !(c.timeout == "1s" && n == 2) || g.count("overlap") != 0 {
				t.Errorf("%d runs, want %d: %v", n, want, g.journal())
			}
		})
	}
}
