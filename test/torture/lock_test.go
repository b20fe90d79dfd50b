//go:build linux

package torture

import (
	"bytes"
	"strings"
	"syscall"
	"testing"
)

// TestOneAgentANode starts a second agent, and a beat of a cron, beside a running agent.
//
// INVARIANT (spec 3, 11): one agent beats; another ends with 4 and names the process that does, and changes nothing; a
// beat asks that one to beat now, and ends as that beat did.
func TestOneAgentANode(t *testing.T) {
	t.Parallel()
	listed(t, 2)
	g := newGrid(t, plan{})
	g.push("ops", script("nodework/work.sh", "echo start $ADD_ITEM >>$T_DIR/journal\n"))
	first := g.start()
	g.settle("ops", "root")
	code, _, stderr := g.run("run")
	if code != 4 || !strings.Contains(stderr, "another agent") || !strings.Contains(stderr, itoa(first.pid())) {
		t.Errorf("a second agent ends with %d: %q, want 4 and process %d named", code, stderr, first.pid())
	}
	if code, _, stderr := g.run("beat"); code != 0 {
		t.Errorf("a beat beside the agent ends with %d: %q", code, stderr)
	}
	g.beats(2)
	if !first.alive() || g.count("start") != 1 {
		t.Errorf("the first agent lives: %v; runs: %v", first.alive(), g.journal())
	}
	g.stop()
	g.sound("ops")
}

// TestBeatsAtOnce starts many beats in the same moment, as a cron does after the machine slept, with work that takes
// longer than all of them.
//
// INVARIANT (spec 3): one of them works, once; the others end with 4 at once.
func TestBeatsAtOnce(t *testing.T) {
	t.Parallel()
	listed(t, 1)
	g := newGrid(t, plan{})
	g.push("ops", script("nodework/work.sh", gated))
	type beat struct {
		*process
		stderr bytes.Buffer
	}
	all := make([]*beat, 6)
	for i := range all {
		all[i] = &beat{}
		cmd := g.command("beat")
		cmd.Stderr = &all[i].stderr
		all[i].process = launch(t, cmd)
	}
	living := func() (n int) {
		for _, b := range all {
			if b.alive() {
				n++
			}
		}
		return n
	}
	g.until("one beat to be left and to work", func() bool { return living() == 1 && g.count("start") == 1 })
	write(t, g.note("go"), "")
	g.until("it to end", func() bool { return living() == 0 })
	won := 0
	for _, b := range all {
		switch b.code() {
		case 0:
			won++
		case 4:
			if !strings.Contains(b.stderr.String(), "another agent") {
				t.Errorf("a beat that came too late says %q", b.stderr.String())
			}
		default:
			t.Errorf("a beat ended with %d: %s", b.code(), b.stderr.String())
		}
		noCrash(t, b.stderr.String())
	}
	if won != 1 || g.count("start") != 1 || g.worked("ops", "root") != g.tip("ops") {
		t.Errorf("%d beats won; journal %v", won, g.journal())
	}
	g.sound("ops")
}

// TestBeatWithWorkInHandElsewhere interrupts a beat while its work runs, and beats again.
//
// INVARIANT (spec 3, 11): the interrupted beat ends with 130 and leaves the work to its shim; the next beat reports it,
// neither waits for it nor looks nor works, and ends with 0; the one after its end takes the result.
func TestBeatWithWorkInHandElsewhere(t *testing.T) {
	t.Parallel()
	listed(t, 1)
	g := newGrid(t, plan{})
	first := g.push("ops", script("nodework/work.sh", gated))
	cmd := g.command("beat")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	p := launch(t, cmd)
	g.until("the work to begin", func() bool { return g.count("start") == 1 })
	p.signal(syscall.SIGINT)
	g.until("the beat to end", func() bool { return !p.alive() })
	if p.code() != 130 || !strings.Contains(stderr.String(), "continues") {
		t.Errorf("an interrupted beat ends with %d: %q", p.code(), stderr.String())
	}
	g.push("ops", script("nodework/work.sh", gated+"exit 0\n"))
	for range 2 {
		g.whileWorking()
	}
	if n := g.count("start"); n != 1 {
		t.Errorf("%d runs", n)
	}
	write(t, g.note("go"), "")
	g.until("the work to end", func() bool { _, there := g.shim(); return !there })
	if g.worked("ops", "root") != first {
		t.Errorf("worked %q, want %s", g.worked("ops", "root"), first)
	}
	g.beatOnce(0)
	if g.worked("ops", "root") != g.tip("ops") || g.count("start") != 2 {
		t.Errorf("worked %q; journal %v", g.worked("ops", "root"), g.journal())
	}
	g.sound("ops")
}

// whileWorking is a beat beside work of an earlier one.
func (g *grid) whileWorking() {
	g.t.Helper()
	code, _, errs := g.run("beat")
	b := g.beat()
	if code != 0 || b.InHand == nil || !b.InHand.Adopted || asked(b) || len(b.Started) != 0 || b.State != "working" {
		g.t.Errorf("a beat with work in hand elsewhere ends with %d: %q; %s, in hand %+v, looks %v", code, errs, b.State, b.InHand, b.Looks)
	}
}
