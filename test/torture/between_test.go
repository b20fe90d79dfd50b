//go:build linux && amd64

package torture

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/gitrepo/gittest"
)

// watchful is a script that holds a lock of its own as long as it lives, writes down when it begins and ends, and fails as
// often as its commit says.
const watchful = `#!/bin/bash
exec 9>>"$T_DIR/one"
flock -n 9
[ $? != 1 ] || echo "overlap $ADD_ITEM $ADD_RUN_ID" >>"$T_DIR/journal" # else it was killed itself
. ./mood
echo "start $ADD_ITEM $ADD_RUN_ID $ADD_VERSION" >>"$T_DIR/journal"
if [ "$ADD_ATTEMPT" -le "$fails" ]; then echo "end $ADD_ITEM $ADD_RUN_ID failed" >>"$T_DIR/journal"; exit 5; fi
echo "end $ADD_ITEM $ADD_RUN_ID ok" >>"$T_DIR/journal"
`

// people are files that git does not know, one in folders that come and go.
var people = []string{"odd/people/deep/file", "people.txt"}

// ahead is what a beat has before it; n counts the beats that were killed so far on this node.
type ahead func(g *grid, n int)

// aFirstClone has nothing here, but for what a person put into nodeinfo.
func aFirstClone(g *grid, n int) {
	if n == 0 {
		g.push("ops", append(load(1, 12), script("nodework/work.sh", watchful), gittest.File("mood", "fails=0\n"))...)
	}
	for _, dir := range []string{g.in("gitrepo"), g.in("log"), filepath.Join(g.dir, "lib"), filepath.Join(g.dir, "run")} {
		if err := os.RemoveAll(dir); err != nil {
			g.t.Fatal(err)
		}
	}
}

// aMove has a tree of which everything changes, kinds too.
func aMove(g *grid, n int) {
	if n == 0 {
		aFirstClone(g, n)
		g.beatOnce(0)
		for _, path := range people {
			write(g.t, g.clone("ops")+"/"+path, "mine\n")
		}
	}
	g.push("ops", append(load(n+2, 12), script("nodework/work.sh", watchful))...)
}

// aRebuild has a clone that lost its objects: it is made anew beside, and swapped in.
func aRebuild(g *grid, n int) {
	aMove(g, n)
	g.remove(g.clone("ops"), ".git", "objects", "pack", "*")
}

// aFold has so many packs that they are made one.
func aFold(g *grid, n int) {
	packs, kept := filepath.Join(g.clone("ops"), ".git", "objects", "pack"), filepath.Join(g.dir, "kept-packs")
	if n == 0 {
		g.push("ops", script("nodework/work.sh", watchful), gittest.File("nodework/work.yaml", "watch: [ mood ]\n"), gittest.File("mood", "fails=0\n"))
		for i := range 50 {
			g.push("ops", gittest.File("small", fmt.Sprint(i)))
			g.beatOnce(0)
		}
		if err := os.CopyFS(kept, os.DirFS(packs)); err != nil {
			g.t.Fatal(err)
		}
	}
	all, err := os.ReadDir(kept)
	if err != nil || len(all) < 100 {
		g.t.Fatalf("%d files are no 50 packs (%v)", len(all), err)
	}
	for _, e := range all {
		write(g.t, filepath.Join(packs, e.Name()), read(filepath.Join(kept, e.Name())))
	}
	g.push("ops", gittest.File("mood", fmt.Sprintf("fails=0 # %d\n", n)))
}

// aSuccess has an item to work again, and nothing to move.
func aSuccess(g *grid, n int) {
	if n == 0 {
		g.push("ops", script("nodework/work.sh", watchful), gittest.File("mood", "fails=0\n"))
		g.beatOnce(0)
	}
	g.remove(g.memory("ops", "root"), "work.sh_VERSION")
}

// aFailure has an item whose first attempt fails.
func aFailure(g *grid, n int) {
	if n == 0 {
		g.push("ops", script("nodework/work.sh", watchful), gittest.File("mood", "fails=0\n"))
		g.beatOnce(0)
	}
	g.push("ops", script("nodework/work.sh", watchful), gittest.File("mood", fmt.Sprintf("fails=1 # %d\n", n)))
}

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

// pointsAtMost is how many points of a series are tried unless FAULTS=all is set, evenly spread and always the same.
const pointsAtMost = 15

// TestKilledBetweenWrites runs a beat under a tracer that counts every system call with which the agent, or the shim,
// changes anything (makes, writes, syncs, renames, links, removes, locks, starts a process), over all its threads, and
// kills with -9 right before the N-th: for each N of the whole beat with FAULTS=all, else for some, spread evenly.
//
// INVARIANT (spec 6, 4): never two runs of one item at once; the next beat that is let alone ends with 0 (or, when the
// killed run counts as a failure, the one after it), having worked what is pushed; what is recorded as a success is a run
// that its script knows to have ended well, and is not repeated; state files are whole; the clone is what was pushed by
// git's own word; a file that git does not know is still there; both locks are free and no process is left.
func TestKilledBetweenWrites(t *testing.T) {
	t.Parallel()
	all := map[string]struct {
		ahead     ahead
		victim    victim
		untracked []string
		code      int // of a beat that nobody kills
	}{
		"the agent, at a first clone and work":  {ahead: aFirstClone, victim: theAgent},
		"the agent, at the move of a tree":      {ahead: aMove, victim: theAgent, untracked: people},
		"the agent, rebuilding a broken clone":  {ahead: aRebuild, victim: theAgent, untracked: people},
		"the agent, folding packs":              {ahead: aFold, victim: theAgent},
		"the agent, at a success":               {ahead: aSuccess, victim: theAgent},
		"the agent, at a failing attempt":       {ahead: aFailure, victim: theAgent, code: 1},
		"the shim, at a success":                {ahead: aSuccess, victim: theShim},
		"the shim, at a failing attempt":        {ahead: aFailure, victim: theShim, code: 1},
		"agent, shim and script, at a success":  {ahead: aSuccess, victim: everything},
		"agent, shim and script, at a failure":  {ahead: aFailure, victim: everything, code: 1},
		"agent, shim and script, at first work": {ahead: aFirstClone, victim: everything},
	}
	for name, s := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGrid(t, plan{work: "timeout: 30s, grace: 1s, retry_first: 10ms, retry_max: 10ms, wedge_after: 1000"})
			s.ahead(g, 0)
			whole := g.traced(s.victim, 0)
			if whole.Code != s.code || len(whole.Points) < 10 {
				t.Fatalf("a beat that is only watched ends with %d after %d points", whole.Code, len(whole.Points))
			}
			g.heal("", s.untracked)
			step := 1
			if os.Getenv("FAULTS") != "all" {
				step = max(1, len(whole.Points)/pointsAtMost)
			}
			killed, tried := 0, 0
			for at := 1 + step/2; at <= len(whole.Points); at += step {
				tried++
				s.ahead(g, tried)
				a := g.traced(s.victim, at)
				where := "after the beat"
				if a.Killed {
					killed++
					where = fmt.Sprintf("killed at point %d, %s", at, a.Points[at-1])
				}
				g.heal(where, s.untracked)
				if t.Failed() {
					for i, p := range a.Points {
						t.Logf("%3d %s", i+1, strings.ReplaceAll(p, g.dir, ""))
					}
					t.Fatal(where)
				}
			}
			if killed < tried*3/4 {
				t.Errorf("only %d of %d beats were killed", killed, tried)
			}
			t.Logf("%d points; killed at %d", len(whole.Points), killed)
		})
	}
}

// heal beats until the node is well, and holds it to all that must be true then.
func (g *grid) heal(where string, untracked []string) {
	g.t.Helper()
	tries := 0
	for {
		g.until("work of an earlier beat to end", func() bool { _, busy := g.shim(); return !busy })
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
