//go:build linux

package torture

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/addagent/addagent/work/run"
)

// watchful is a script that holds a lock of its own as long as it lives, writes down when it begins and ends, and fails
// as often as its commit says.
const watchful = `#!/bin/bash
exec 9>>"$T_DIR/one"
flock -n 9
[ $? != 1 ] || echo "overlap $ADD_ITEM $ADD_RUN_ID" >>"$T_DIR/journal" # else it was killed itself
. ./mood
echo "start $ADD_ITEM $ADD_RUN_ID $ADD_VERSION" >>"$T_DIR/journal"
if [ "$ADD_ATTEMPT" -le "$fails" ]; then echo "end $ADD_ITEM $ADD_RUN_ID failed" >>"$T_DIR/journal"; exit 5; fi
echo "end $ADD_ITEM $ADD_RUN_ID ok" >>"$T_DIR/journal"
`

func (g *grid) remove(pattern ...string) {
	g.t.Helper()
	paths, err := filepath.Glob(filepath.Join(pattern...))
	if err != nil || len(paths) == 0 {
		g.t.Fatalf("nothing at %v (%v)", pattern, err)
	}
	for _, p := range paths {
		if err := os.Remove(p); err != nil {
			g.t.Fatal(err)
		}
	}
}

// quiet tells whether no work is in hand: no shim, and no process between fork and exec or between exit and wait,
// which is not seen as a shim and holds the lock.
func (g *grid) quiet() bool {
	_, busy := g.shim()
	_, held, err := run.ReadHolder(g.workLock())
	return !busy && !held && err == nil
}

// heal beats until the node is well, and holds it to all that must be true then.
func (g *grid) heal(where string, untracked []string) {
	g.t.Helper()
	tries := 0
	for {
		g.until("work of an earlier beat to end", g.quiet)
		code, _, stderr := g.run("beat")
		if code == 0 && g.worked("ops", "root") == g.tip("ops") {
			break
		}
		// A cut run is a failure, and has its delay: the beat that finds it may say so.
		if tries++; tries > 4 || code > 1 || code == 1 && !strings.Contains(stderr, "interrupted") && !strings.Contains(stderr, "exit 5") {
			g.t.Fatalf("%s: beat %d after it ended with %d, worked %s, pushed %s: %s", where, tries, code, g.worked("ops", "root"), g.tip("ops"), stderr)
		}
	}
	before := g.count("start")
	g.beatOnce(0)
	if n := g.count("start") - before; n != 0 {
		g.t.Errorf("%s: what was worked was worked again", where)
	}
	if b := g.beat(); b.State != "idle" || b.InHand != nil || g.state() != "idle" {
		g.t.Errorf("%s: the node is %s: %s, in hand %+v; state.txt says %s", where, b.State, b.Reason, b.InHand, g.state())
	}
	a := g.last("ops", "root")
	if !a.OK() || a.Version != g.tip("ops") || !slices.ContainsFunc(g.journal(), func(l []string) bool { return l[0] == "end" && l[2] == a.RunID && l[3] == "ok" }) {
		g.t.Errorf("%s: counts as worked by an attempt that its script does not know to have ended well: %+v", where, a)
	}
	if g.count("overlap") > 0 {
		g.t.Errorf("%s: two runs at once: %v", where, g.journal())
	}
	if head := strings.TrimSpace(git(g.t, g.clone("ops"), filepath.Join(g.clone("ops"), ".git", "index"), "rev-parse", "HEAD")); head != g.tip("ops") {
		g.t.Errorf("%s: HEAD is %s, pushed %s", where, head, g.tip("ops"))
	}
	g.sound("ops", untracked...)
	for _, path := range untracked {
		if got := read(filepath.Join(g.clone("ops"), path)); got != "mine\n" {
			g.t.Errorf("%s: %s holds %q", where, path, got)
		}
	}
}
