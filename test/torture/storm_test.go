//go:build linux

package torture

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
)

// TestStormOfAgents starts ten agents and ten beats of a cron in the same moment, three times, with a push before each,
// and kills the agent that won before the next storm.
//
// INVARIANT (spec 3, 6): one at a time beats; the others end with 4, or, a beat beside an agent, as that one's next
// beat; what is pushed is worked once, and never by two.
func TestStormOfAgents(t *testing.T) {
	t.Parallel()
	const storms = 3
	listed(t, storms)
	g := newGrid(t, plan{})
	for n := range storms {
		g.push("ops", script("nodework/work.sh", watchful), gittest.File("mood", "fails=0 # "+itoa(n)+"\n"))
		type one struct {
			*process
			command string
			stderr  *bytes.Buffer
		}
		var all []one
		for i := range 20 {
			o := one{command: []string{"run", "beat"}[i%2], stderr: &bytes.Buffer{}}
			cmd := g.command(o.command)
			cmd.Stderr = o.stderr
			o.process = launch(t, cmd)
			all = append(all, o)
		}
		living := func() (left []one) {
			for _, o := range all {
				if o.alive() {
					left = append(left, o)
				}
			}
			return left
		}
		g.until("at most one agent to be left", func() bool {
			left := living()
			return len(left) == 0 || len(left) == 1 && left[0].command == "run"
		})
		for _, o := range all {
			if !o.alive() && o.code() != 4 && !(o.code() == 0 && o.command == "beat") {
				t.Errorf("a %s in a storm ended with %d: %s", o.command, o.code(), o.stderr)
			}
			if !o.alive() && o.code() == 4 && !strings.Contains(o.stderr.String(), "another agent") && !strings.Contains(o.stderr.String(), "an agent runs here") {
				t.Errorf("a %s that came too late says %q", o.command, o.stderr)
			}
		}
		if left := living(); len(left) == 1 {
			g.settle("ops", "root")
			left[0].kill()
			noCrash(t, left[0].stderr.String())
		} else {
			g.beatOnce(0) // a beat may have won, and all agents come while it lasted
		}
		if g.worked("ops", "root") != g.tip("ops") || g.count("start") != n+1 || g.count("overlap") != 0 {
			t.Errorf("storm %d: worked %s, pushed %s, journal %v", n, g.worked("ops", "root"), g.tip("ops"), g.journal())
		}
	}
	g.beatOnce(0)
	g.sound("ops")
}

// neighbour is a second node on the same machine, with a home of its own, whose locks lie in the same run folder.
func (g *grid) neighbour(t *testing.T) *grid {
	t.Helper()
	b := newGrid(t, plan{})
	text := strings.Replace(read(b.config()), filepath.Join(b.dir, "run"), filepath.Join(g.dir, "run"), 1)
	write(t, b.config(), text)
	return b
}

// TestTwoHomesOneRunFolder lets two nodes share their locks by mistake: agents and beats of the one beside those of the
// other, and the one's work still running when the other's agent starts.
//
// INVARIANT (spec 3): one agent holds the locks, the other says who does and ends with 4; work of the one is never
// taken for an item of the other, nor counted as its failure; each works what it should as soon as the locks are free.
func TestTwoHomesOneRunFolder(t *testing.T) {
	t.Parallel()
	listed(t, 1)
	a := newGrid(t, plan{})
	b := a.neighbour(t)
	a.push("ops", script("nodework/work.sh", gated))
	b.push("ops", script("nodework/work.sh", watchful), gittest.File("mood", "fails=0\n"))
	first := a.start()
	a.until("the one's work", func() bool { return a.count("start") == 1 })
	for _, command := range []string{"run", "beat"} {
		if code, _, stderr := b.run(command); code != 4 || !strings.Contains(stderr, itoa(first.pid())) {
			t.Errorf("the other's %s ends with %d: %s", command, code, stderr)
		}
	}
	first.kill()
	// The one's shim still holds the work lock, and the other has the locks of agents.
	b.start()
	b.beats(3)
	if n := b.count("start"); n != 0 {
		t.Errorf("the other worked beside the one's work: %v", b.journal())
	}
	write(t, a.note("go"), "")
	b.settle("ops", "root")
	if got := a.worked("ops", "root"); got != a.tip("ops") {
		t.Errorf("the one's shim noted %q as worked, pushed %s", got, a.tip("ops"))
	}
	b.stop()
	a.start()
	a.settle("ops", "root")
	a.push("ops", gittest.File("later", "x"))
	a.settle("ops", "root")
	a.stop()
	for _, g := range []*grid{a, b} {
		if strings.Contains(g.log(), "failed at") || strings.Contains(g.log(), "interrupted") {
			t.Errorf("a failure was counted:\n%s", g.log())
		}
	}
	if a.count("start") != 2 || b.count("start") != 1 {
		t.Errorf("runs: %v and %v", a.journal(), b.journal())
	}
	a.sound("ops")
	b.tracked("ops")
	b.whole()
}

// TestUpgradedDuringWork replaces the agent's program, removes it, or writes another into its place, while work runs;
// then the agent goes on, or is started anew.
//
// INVARIANT (spec 6): the work goes on; an agent whose program is gone from disk starts its next work all the same; the
// new program's agent takes over what the old one's shim does, and repeats nothing.
func TestUpgradedDuringWork(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		replace func(path string) error
		restart bool
	}{
		"replaced, the agent goes on":   {replaceFile, false},
		"replaced, a new agent":         {replaceFile, true},
		"removed, the agent goes on":    {os.Remove, false},
		"removed and back, a new agent": {func(path string) error { return join(os.Remove(path), copyFile(path)) }, true},
		"no program any more, and then is": {func(path string) error {
			return join(os.Remove(path), os.WriteFile(path, []byte("#!/bin/false\n"), 0o755))
		}, false},
	}
	listed(t, len(cases))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGrid(t, plan{})
			g.program = filepath.Join(g.dir, "bin", "addagent")
			if err := join(os.Mkdir(filepath.Dir(g.program), 0o755), copyFile(g.program)); err != nil {
				t.Fatal(err)
			}
			first := g.push("ops", script("nodework/work.sh", gated))
			g.start()
			g.until("work", func() bool { return g.count("start") == 1 })
			if _, ok := g.shim(); !ok {
				t.Fatal("no shim")
			}
			if err := c.replace(g.program); err != nil {
				t.Fatal(err)
			}
			if c.restart {
				g.stop()
				g.start()
				g.until("the work to be taken over", func() bool { h := g.beat().InHand; return h != nil && h.Adopted })
			}
			second := g.push("ops", gittest.File("later", "x"))
			write(t, g.note("go"), "")
			g.settle("ops", "root")
			g.stop()
			g.sound("ops")
			if g.count("start") != 2 || g.count("end", "root") != 2 || g.journal()[0][3] != first || g.journal()[2][3] != second {
				t.Errorf("runs: %v, want one of %s and one of %s", g.journal(), first, second)
			}
		})
	}
}

func copyFile(path string) error {
	return exec.Command("cp", binary, path).Run() // not by ourselves: while a child of ours has it open for writing it cannot be started
}

// replaceFile is what a package manager does: a new file, renamed over the old one.
func replaceFile(path string) error {
	return join(copyFile(path+".new"), os.Rename(path+".new", path))
}
