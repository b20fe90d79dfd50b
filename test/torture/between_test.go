//go:build linux && amd64

package torture

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
)

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

// pointsAtMost is how many points of a series are tried unless FAULTS=all is set, evenly spread and always the same.
func pointsAtMost() int { return testkit.Rounds(3, 15) }

// TestKilledBetweenWrites runs a beat under a tracer that counts every system call with which the agent, or the shim,
// changes anything (makes, writes, syncs, renames, links, removes, locks, starts a process), over all its threads, and
// kills with -9 right before the N-th: for each N of the whole beat with FAULTS=all, else for some, spread evenly.
//
// INVARIANT (spec 6, 4): never two runs of one item at once; the next beat that is let alone ends with 0 (or, when the
// killed run counts as a failure, the one after it), having worked what is pushed; what is recorded as a success is a
// run that its script knows to have ended well, and is not repeated; state files are whole; the clone is what was
// pushed by git's own word; a file that git does not know is still there; both locks are free and no process is left.
func TestKilledBetweenWrites(t *testing.T) {
	t.Parallel()
	all := map[string]struct {
		ahead     ahead
		victim    victim
		untracked []string
		code      int // of a beat that is not killed
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
	listed(t, len(all))
	for name, s := range all {
		t.Run(name, func(t *testing.T) {
			testkit.OneIn(t, 3)
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
				step = max(1, len(whole.Points)/pointsAtMost())
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
