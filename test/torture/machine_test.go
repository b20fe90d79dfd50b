//go:build linux

package torture

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/work"
)

// machineInit is process 1 of a machine: it keeps an agent running, buries the dead, and after a reboot was asked for
// starts nothing any more.
const machineInit = `mount --bind "$T/boot_id" /proc/sys/kernel/random/boot_id && mount -t tmpfs none /run || exit 9
while :; do
	[ -e /run/nologin ] || "$@"
	sleep 0.1
done
`

// machineReboot is the stand-in for reboot(8): logins are refused, all processes are told to end, and then made to.
const machineReboot = `#!/bin/bash
echo reboot >>"$T_DIR/journal"
: >/run/nologin
setsid -f bash -c 'kill -TERM -1; sleep 5; kill -KILL -1'
sleep 1000
`

// boot starts a machine of the node's own: namespaces of processes and mounts, in which its agent runs under an init.
// To kill that is to cut its power. Each has a boot id of its own.
func (g *grid) boot(id string) *process {
	g.t.Helper()
	write(g.t, filepath.Join(g.dir, "boot_id"), id+"\n")
	run := g.command("run")
	cmd := exec.Command("unshare", append([]string{"--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", machineInit, "init"}, run.Args...)...)
	cmd.Dir, cmd.Env = "/", append(run.Env, "T="+g.dir)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	p := launch(g.t, cmd)
	g.t.Cleanup(func() {
		p.kill()
		noCrash(g.t, out.String())
		if g.t.Failed() {
			g.t.Logf("the machine said:\n%s", tail(out.String(), 20))
		}
	})
	return p
}

// cut is the end of a machine, from one moment to the next.
func (g *grid) cut(machine *process) {
	g.t.Helper()
	machine.kill()
	g.until("all of the machine to be gone", func() bool { return len(g.processes()) == 0 })
}

// TestMachineGoesDown puts a node into a machine of its own and cuts that machine's power while work runs, has its
// script reboot it, once and twice in a row, and has its script kill all that runs (kill -9 -1).
//
// INVARIANT (spec 6): what was cut is known to have been cut, and why, and is repeated; a shutdown during work counts
// as a failure only from the second time in a row; nothing of another boot is taken for running; the node comes back by
// itself.
func TestMachineGoesDown(t *testing.T) {
	t.Parallel()
	if elsewhere(t) {
		return
	}
	cases := map[string]struct {
		script    string
		shutdowns int    // that the test waits for
		cut       bool   // the test cuts the power while work runs
		runs      int    // of the first push
		says      string // part of the log
	}{
		"power cut":                    {script: `[ -e "$T_DIR/go" ] || sleep 1000`, cut: true, runs: 2, says: "the machine shut down"},
		"power cut, TERM was ignored":  {script: `trap '' TERM; [ -e "$T_DIR/go" ] || while :; do sleep 1; done`, cut: true, runs: 2, says: "the machine shut down"},
		"reboot by the script":         {script: `[ -e "$T_DIR/go" ] || bash "$T_DIR/reboot"`, shutdowns: 1, runs: 2, says: "the machine is shutting down"},
		"reboot by the script, twice":  {script: `[ -e "$T_DIR/go" ] || bash "$T_DIR/reboot"`, shutdowns: 2, runs: 3, says: "the machine is shutting down"},
		"kill of all that runs (-1)":   {script: `[ -e "$T_DIR/go" ] || { : >"$T_DIR/go"; kill -9 -1; }`, runs: 2, says: "its supervisor was killed"},
		"TERM to all that runs (-1)":   {script: `[ -e "$T_DIR/go" ] || { : >"$T_DIR/go"; kill -TERM -1; sleep 1000; }`, runs: 2, says: "failed at"},
		"agent ended by init, in work": {script: `[ -e "$T_DIR/go" ] || { : >"$T_DIR/go"; kill -TERM $(sed 's/.*"pid":\([0-9]*\).*/\1/' "$T_DIR/../run/beat.lock"); until grep -q '"adopted": *true' "$ADD_HOME/nodeinfo/beat.json"; do sleep 0.1; done; }`, runs: 1, says: "taking it over"},
	}
	listed(t, len(cases))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			testkit.OneIn(t, 2)
			t.Parallel()
			g := newGrid(t, plan{})
			write(t, g.note("reboot"), machineReboot)
			version := g.push("ops", script("nodework/work.sh", "echo start $ADD_RUN_ID $ADD_VERSION $ADD_ATTEMPT >>$T_DIR/journal\n"+c.script+"\nexit 0\n"))
			machine := g.boot("11111111-0000-4000-8000-000000000001")
			g.until("work", func() bool { return g.count("start") == 1 })
			if c.cut {
				g.until("the script", func() bool { return len(g.scripts()) > 0 })
				g.cut(machine)
				write(t, g.note("go"), "")
				machine = g.boot("11111111-0000-4000-8000-000000000002")
			}
			for n := range c.shutdowns {
				g.until("the machine to go down", func() bool { return g.count("reboot") == n+1 && len(g.processes()) == 0 })
				g.cut(machine)
				if a := g.last("ops", "root"); a.Reason != work.ReasonShutdown || a.Failures != n {
					t.Errorf("after shutdown %d in a row the attempt is recorded as %q with %d failures: %+v", n+1, a.Reason, a.Failures, a)
				}
				if n == c.shutdowns-1 {
					write(t, g.note("go"), "")
				}
				machine = g.boot("11111111-0000-4000-8000-00000000001" + itoa(n))
			}
			g.settle("ops", "root")
			g.push("ops", gittest.File("later", "x"))
			g.settle("ops", "root")
			g.cut(machine)
			g.sound("ops")
			if !strings.Contains(g.log(), c.says) {
				t.Errorf("the log does not say %q", c.says)
			}
			if n := g.count("start"); n != c.runs+1 {
				t.Errorf("%d runs, want %d, the last of a later push than %s: %v", n, c.runs+1, version, g.journal())
			}
		})
	}
}
