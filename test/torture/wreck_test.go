//go:build linux

package torture

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/work"
)

// once is a script that does a thing in its first run, and nothing later; it looks by itself whether another one runs.
func once(thing string) string {
	return `#!/bin/bash
exec 9>>"$T_DIR/one"
flock -n 9
[ $? != 1 ] || echo "overlap $ADD_RUN_ID" >>"$T_DIR/journal"
echo "start $ADD_ITEM $ADD_RUN_ID $ADD_VERSION" >>"$T_DIR/journal"
if [ ! -e "$T_DIR/done" ]; then
: >"$T_DIR/done"
` + thing + `
fi
`
}

// TestScriptsWreckTheirNode lets a script do to its own node what scripts have done: delete or move the repository, the
// memory, the state files, the logs, the locks; kill its shim, the agent, or both; close its output, print unreadable
// output; leave processes behind that start more of themselves.
//
// INVARIANT (spec 4, 6): the run ends, with a result or as interrupted, and at worst is repeated; never beside another;
// the next push is taken and worked; nothing of the script's session is left.
func TestScriptsWreckTheirNode(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		thing string
		agent bool // it kills the agent, which the machine starts again
	}{
		"deletes its repository":        {thing: `rm -rf "$ADD_REPO_DIR"`},
		"moves its repository away":     {thing: `mv "$ADD_REPO_DIR" "$T_DIR/away"`},
		"deletes .git":                  {thing: `rm -rf "$ADD_REPO_DIR/.git"`},
		"deletes .temp":                 {thing: `rm -rf "$ADD_REPO_DIR/.temp"`},
		"deletes all of its home":       {thing: `rm -rf "$ADD_HOME"/*`},
		"cleans up with git":            {thing: `git clean -fdxq`},
		"commits and leaves the branch": {thing: `git -c user.name=x -c user.email=x@x commit -q --allow-empty -m x; git checkout -q -b other; echo x >serial`},
		"makes its folder unreadable":   {thing: `chmod 000 "$ADD_REPO_DIR" "$ADD_REPO_DIR/.git" "$ADD_TEMP"; sleep 0.2; chmod 755 "$ADD_REPO_DIR" "$ADD_REPO_DIR/.git" "$ADD_TEMP"`},
		"removes the logs":              {thing: `rm -rf "$ADD_HOME/log"`},
		"removes the state files":       {thing: `rm -rf "$ADD_HOME/nodeinfo"`},
		"removes the run folder":        {thing: `rm -rf "$T_DIR/../run"`},
		"empties the locks":             {thing: `: >"$T_DIR/../run/work.lock"; : >"$T_DIR/../run/beat.lock"`},
		"truncates its own log":         {thing: `echo one; : >"$ADD_HOME/log/work/ops_root/latest.log"; echo two`},
		"closes its output":             {thing: `exec >&- 2>&-; sleep 0.2; exit 0`},
		"prints a line without an end":  {thing: `head -c 3000000 /dev/zero | tr '\0' x`},
		"prints what no terminal shows": {thing: `head -c 1000000 /dev/urandom; printf '\033[2J\007\r\xff\xfe'`},
		"kills its shim":                {thing: `kill -9 $PPID; sleep 30`},
		"kills its shim, ignoring TERM": {thing: `trap '' TERM; kill -9 $PPID; for i in {1..300}; do sleep 0.1; done`},
		"stops its shim":                {thing: `kill -STOP $PPID; sleep 0.5; kill -CONT $PPID`},
		"kills its own group":           {thing: `kill -9 0`},
		"kills the agent":               {thing: `kill -9 $(sed 's/.*"pid":\([0-9]*\).*/\1/' "$T_DIR/../run/beat.lock")`, agent: true},
		"kills agent and shim":          {thing: `trap '' TERM; kill -9 $(sed 's/.*"pid":\([0-9]*\).*/\1/' "$T_DIR/../run/beat.lock") $PPID; sleep 0.5; sleep 30`, agent: true},
		"forks twice and goes":          {thing: `( ( exec sleep 1000 ) & ) ; ( set -m; ( sleep 1000 ) & )`},
		"forks forever":                 {thing: `hydra() { trap '' TERM; [ $1 = 0 ] || { sleep 0.03; hydra $(($1 - 1)) & }; }; for i in {1..15}; do hydra 300 & done`},
		"has many children that ignore": {thing: `for i in {1..60}; do (trap '' TERM; while :; do sleep 0.2; done) & done`},
	}
	listed(t, len(cases))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			testkit.OneIn(t, 5)
			t.Parallel()
			g := newGrid(t, plan{work: "timeout: 30s, grace: 500ms, retry_first: 1s, retry_max: 1s, wedge_after: 1000"})
			g.push("ops", script("nodework/work.sh", once(c.thing)), gittest.File("serial", "1"))
			g.start()
			if c.agent {
				g.until("the agent to be killed", func() bool { return !g.agent.alive() })
				g.agent.asked = true
				g.start()
			}
			g.settle("ops", "root")
			g.push("ops", gittest.File("serial", "2"))
			g.settle("ops", "root")
			g.stop()
			g.beatOnce(0) // who it is is written down again at a start
			g.sound("ops")
			if n := g.count("start"); n < 2 || n > 4 || g.count("overlap") != 0 {
				t.Errorf("%d runs for two pushes: %v", n, g.journal())
			}
			if id := strings.TrimSpace(read(g.in("nodeinfo", "instance-id.txt"))); id != promptID() {
				t.Errorf("the node is called %s now", id)
			}
			if log := g.log(); strings.ContainsAny(log, "\x1b\x07\r") {
				t.Errorf("what a script printed reached the terminal of who reads the log: %q", log)
			}
		})
	}
}

// TestScriptFillsTheDisk lets a script fill its node's disk to the last byte and end well, or end badly.
//
// INVARIANT (spec 6): the room for its result was reserved: how it ended is recorded as it was, a success is committed
// and never repeated; when room is made the node goes on by itself.
func TestScriptFillsTheDisk(t *testing.T) {
	t.Parallel()
	if elsewhere(t) {
		return
	}
	cases := map[string]work.Reason{"exit 0": "", "exit 3": work.ReasonExit, "kill -9 $$": work.ReasonSignal}
	listed(t, len(cases))
	for end, reason := range cases {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			g := newGrid(t, plan{home: mounted(t, "size=80m"), work: "timeout: 30s, grace: 1s, retry_first: 1h, retry_max: 1h, wedge_after: 1000"})
			full := filepath.Join(g.home, "full")
			version := g.push("ops", script("nodework/work.sh", once(`head -c 1000000000 /dev/zero >"$ADD_HOME/full" || echo it is full; `+end)))
			g.start()
			g.until("the run to end", func() bool { a := g.last("ops", "root"); return !a.Finished.IsZero() })
			said := len(read(g.stderr()))
			g.until("two more beats", func() bool { g.surprise(); return strings.Count(read(g.stderr())[said:], " | next ") > 2 })
			a := g.last("ops", "root")
			if a.Reason != reason || a.Version != version || (reason == "") != (g.worked("ops", "root") == version) || g.count("start") != 1 {
				t.Errorf("recorded is %+v, worked %q; want %q of %s, once: %v", a, g.worked("ops", "root"), reason, version, g.journal())
			}
			if err := os.Remove(full); err != nil {
				t.Fatal(err)
			}
			g.push("ops", gittest.File("later", "x"))
			g.settle("ops", "root")
			g.stop()
			g.sound("ops")
		})
	}
}
