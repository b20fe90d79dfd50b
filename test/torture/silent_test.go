//go:build linux

package torture

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
)

// TestStatusOfASilentNode fills a living node's disk to the last byte, makes its home or its state folder read-only,
// stops its agent, or kills it; and asks for the status when no beat came for too long.
//
// INVARIANT (spec 1, 11): beat.json cannot say why it was not written, so status says it by other signs, and names the
// next command: which folder cannot be written and why, what is with the process that holds the lock, the last line of
// the log; it leaves nothing behind, and is silent again when all is well.
func TestStatusOfASilentNode(t *testing.T) {
	t.Parallel()
	if elsewhere(t) {
		return
	}
	cases := map[string]struct {
		breaks func(t *testing.T, g *grid) (mend func())
		says   []string // HOME, LIB and PID stand for those of the node
		code   int
	}{
		"the disk is full": {func(t *testing.T, g *grid) func() {
			ballast := g.in("ballast")
			fill(t, ballast, 0)
			return func() { g.remove(ballast) }
		}, []string{"disk      HOME/nodeinfo cannot be written: no space left on device", "process   process PID is alive", "then      df -h HOME/nodeinfo"}, 1},
		"the home is read-only": {func(t *testing.T, g *grid) func() { return readOnly(t, g.home) },
			[]string{"disk      HOME/nodeinfo cannot be written: read-only file system", "then      findmnt --target HOME/nodeinfo"}, 1},
		"the agent is stopped": {func(t *testing.T, g *grid) func() {
			g.agent.signal(syscall.SIGSTOP)
			return func() { g.agent.signal(syscall.SIGCONT) }
		}, []string{"process   process PID is stopped", "log       ", "then      kill -CONT PID"}, 0},
		"the agent is killed": {func(_ *testing.T, g *grid) func() {
			g.agent.kill()
			return func() { g.start() }
		}, []string{"NOT RUNNING", "process   process PID held the beat lock last and has exited", "log       ", "then      addagent run"}, 1},
	}
	listed(t, len(cases))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGrid(t, plan{home: mounted(t, fmt.Sprintf("size=%d", diskSize))})
			g.push("ops", script("nodework/work.sh", "true\n"))
			g.start()
			g.settle("ops", "root")
			pid := g.agent.pid()
			mend := c.breaks(t, g)
			var code int
			var status string
			g.until("status to say that the node is silent", func() bool {
				code, status, _ = g.run("status")
				return strings.Contains(status, "LATE") || strings.Contains(status, "NOT RUNNING")
			})
			names := strings.NewReplacer("HOME", g.home, "PID", fmt.Sprint(pid))
			for _, says := range c.says {
				if want := names.Replace(says); !strings.Contains(status, want) {
					t.Errorf("status does not say %q:\n%s", want, status)
				}
			}
			if code != c.code || strings.HasPrefix(status, "IDLE") || !strings.Contains(status, "\n  state     IDLE since ") || strings.Count(status, "  then ") != 1 {
				t.Errorf("status ends with %d:\n%s", code, status)
			}
			var s struct{ Silence map[string]string }
			if _, text, _ := g.run("status", "--json"); json.Unmarshal([]byte(text), &s) != nil || s.Silence["next"] == "" {
				t.Errorf("as JSON %+v", s)
			}
			mend()
			g.push("ops", gittest.File("serial", "1"))
			g.settle("ops", "root")
			g.until("status to be as ever", func() bool {
				code, status, _ = g.run("status")
				return code == 0 && !strings.Contains(status, "process   ")
			})
			if left, err := filepath.Glob(g.in("nodeinfo", ".[^l]*")); err != nil || len(left) > 0 { // but .lock
				t.Errorf("left behind: %q, %v", left, err)
			}
			g.agent.asked = false
			g.stop()
		})
	}
}
