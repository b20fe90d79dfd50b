//go:build linux

package torture

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
)

// suspicious is a script that finds out by itself when something is wrong with how it is run: it holds a lock as long
// as any process of it lives, and looks whether its tree moves under it. What else it does is in the file mood of the
// same commit: how long it takes, how many children it has, how often it fails, whether it leaves something behind.
const suspicious = `#!/bin/bash
say() { echo "$*" >>"$T_DIR/journal"; }
who() {
	for fd in /proc/[0-9]*/fd/9; do
		dir=${fd%/fd/9}
		[ "$fd" -ef "$T_DIR/one" ] && say holds "$dir" "$(tr '\0' ' ' <"$dir/cmdline")" "$(tr '\0' '\n' <"$dir/environ" | grep ADD_RUN_ID)" "$(cat "$dir/stat")"
	done
}
exec 9>>"$T_DIR/one"
flock -n 9
[ $? != 1 ] || { say overlap "$ADD_ITEM" "$ADD_RUN_ID"; who; } # else it was killed: children are victims too
. ./mood
read -r serial <serial
say start "$ADD_ITEM" "$ADD_RUN_ID" "$ADD_VERSION" "$serial" "$ADD_ATTEMPT"
for ((i = 0; i < children; i++)); do (sleep "$pause"; sleep 0.01) & done
[ "$loose" = 0 ] || sleep 1000 &
sleep "$pause"
read -r now <serial
[ "$now" = "$serial" ] || say moved "$ADD_ITEM" "$ADD_RUN_ID"
if [ "$ADD_ATTEMPT" -le "$fails" ]; then say end "$ADD_ITEM" "$ADD_RUN_ID" failed; exit 1; fi
say end "$ADD_ITEM" "$ADD_RUN_ID" ok
`

// mood is one commit's behaviour. The serial number names the commit, so that a script can be asked which it saw.
func mood(r *rand.Rand, serial int) []gittest.Change {
	text := fmt.Sprintf("pause=0.%03d\nchildren=%d\nfails=%d\nloose=%d\n", r.IntN(300), r.IntN(4), max(0, r.IntN(4)-2), max(0, r.IntN(5)-3))
	return []gittest.Change{gittest.File("mood", text), gittest.File("serial", strconv.Itoa(serial)+"\n"), gittest.File(fmt.Sprintf("data/%d", serial%7), text)}
}

// TestKilledAtRandom kills the agent, the shim or the script with -9 at random moments, starts the agent again at once,
// and goes on pushing.
//
// INVARIANT (spec 6): never two runs at once, not even a child of one beside the other; no tree moves under a script,
// and it sees the version that it is told; what was pushed last is worked in the end; then no lock is held, no process
// of the node is left, git finds the clone in order, a file that git does not know is still there, and the node says
// idle.
func TestKilledAtRandom(t *testing.T) {
	t.Parallel()
	const usual = 50
	listed(t, usual)
	r := dice(t)
	g := newGrid(t, plan{})
	serials := map[string]string{} // version -> serial
	n := 0
	push := func(more ...gittest.Change) {
		n++
		serials[g.push("ops", append(mood(r, n), more...)...)] = strconv.Itoa(n)
	}
	push(script("nodework/work.sh", suspicious), script("nodework/common/work.sh", suspicious))
	g.start()
	g.settle("ops", "root", "common")
	write(t, g.clone("ops")+"/people.txt", "mine\n")

	kills := map[string]int{}
	for range rounds(t, usual) {
		if r.IntN(5) > 0 {
			push()
		}
		victim := []string{"agent", "agent", "shim", "shim", "script", "child", "agent and shim", "shim and script", "everything"}[r.IntN(9)]
		kills[victim] += g.strike(victim, r)
		if !g.agent.alive() {
			g.start()
		}
		if g.count("overlap") > 0 {
			t.Fatalf("two runs at once, after %s was killed", victim)
		}
	}
	t.Logf("killed: %v", kills)
	push()
	g.settle("ops", "root", "common")
	g.stop()
	g.sound("ops", "people.txt")

	running := ""
	for _, line := range g.journal() {
		switch line[0] {
		case "overlap", "moved":
			t.Errorf("journal: %v", line)
		case "start":
			running = line[2]
			if len(line) < 6 || serials[line[3]] != line[4] {
				t.Errorf("a script was told one version and saw another: %v, that version has serial %s", line, serials[line[3]])
			}
		case "end":
			if line[2] != running {
				t.Errorf("%v while %s was running", line, running)
			}
		}
	}
	for _, item := range []string{"root", "common"} {
		a := g.last("ops", item)
		if !a.OK() || a.Version != g.tip("ops") {
			t.Errorf("the last attempt at %s: %+v", item, a)
		}
		if !slices.ContainsFunc(g.journal(), func(l []string) bool { return l[0] == "end" && l[2] == a.RunID && l[3] == "ok" }) {
			t.Errorf("%s counts as worked by run %s, which the script does not know to have ended well", item, a.RunID)
		}
	}
}

// searching is between two looks through /proc, each of which takes some milliseconds.
const searching = 8 * time.Millisecond

// strike waits for its victims to be there, then for a random moment, and kills them. It returns whether it did: a
// script may have ended before its moment came.
func (g *grid) strike(victim string, r *rand.Rand) int {
	g.t.Helper()
	moment := time.Duration(r.IntN(350)) * time.Millisecond
	if r.IntN(3) == 0 {
		moment = time.Duration(r.IntN(10)) * time.Millisecond // the first moments of a process are where things are half done
	}
	switch victim {
	case "agent":
		pause(moment * 3) // a beat is a second
		g.agent.kill()
		return 1
	case "shim", "agent and shim":
		var s running
		if !testkit.Within(3*time.Second, searching, func() (found bool) { s, found = g.shim(); return found }) {
			return 0
		}
		pause(moment)
		if victim != "shim" {
			g.agent.kill()
		}
		return g.killAll([]running{s})
	}
	// The script's session, whatever of it there is.
	var all []running
	if !testkit.Within(3*time.Second, searching, func() bool { all = g.scripts(); return len(all) > 0 }) {
		return 0
	}
	pause(moment)
	switch victim {
	case "script":
		return g.killAll(all[:1])
	case "child":
		if all = g.scripts(); len(all) < 2 {
			return 0
		}
		return g.killAll(all[1+r.IntN(len(all)-1):][:1])
	case "shim and script":
		if s, ok := g.shim(); ok {
			all = []running{s, all[0]}
		}
		return g.killAll(all)
	default: // everything
		g.agent.kill()
		return g.killAll(g.processes())
	}
}

func (g *grid) killAll(all []running) int {
	n := 0
	for _, v := range all {
		if v.alive() {
			v.kill()
			n = 1
		}
	}
	return n
}
