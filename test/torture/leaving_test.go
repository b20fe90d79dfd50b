//go:build linux

package torture

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/testkit"
)

// aRun is a machine as far as its end goes: /run is a folder of its own, in which the sign of a shutdown can lie.
const aRun = `mount --make-rprivate / && mount -t tmpfs none /run || exit 9
exec "$0" "$@"
`

// startIn starts the agent in a machine whose shutdown goesDown can begin.
func (g *grid) startIn() *process {
	g.t.Helper()
	out, err := os.OpenFile(g.stderr(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		g.t.Fatal(err)
	}
	defer out.Close()
	run := g.command("run")
	cmd := exec.Command("unshare", append([]string{"--mount", "sh", "-c", aRun}, run.Args...)...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = "/", run.Env, out, out
	g.agent = launch(g.t, cmd)
	return g.agent
}

// goesDown begins the shutdown of the machine: logins are refused, and all processes are told to end.
func (g *grid) goesDown() {
	g.t.Helper()
	write(g.t, fmt.Sprintf("/proc/%d/root/run/nologin", g.agent.pid()), "")
	g.agent.signal(syscall.SIGTERM)
}

// TestLeaves ends the agent with TERM, while its machine goes down, and while it does not; with all places well, and
// with one or all that hang; when it is idle, and in the middle of work.
//
// INVARIANT (spec 7, 3): a node whose machine goes down says so in every place that answers before its process ends,
// and a place that hangs holds up neither the others nor the end; what a room could not hear it hears when the node is
// back; a restart of the agent is not reported.
func TestLeaves(t *testing.T) {
	t.Parallel()
	if elsewhere(t) {
		return
	}
	every := []string{"presence", "chat", "ec2"}
	cases := map[string]struct {
		down, work bool
		hang       []string
	}{
		"the machine goes down":                     {down: true},
		"the machine goes down, in work":            {down: true, work: true},
		"the machine goes down, presence hangs":     {down: true, hang: []string{"presence"}},
		"the machine goes down, chat hangs":         {down: true, hang: []string{"chat"}},
		"the machine goes down, the cloud hangs":    {down: true, hang: []string{"ec2"}},
		"the machine goes down, and all hang":       {down: true, hang: every},
		"the agent is restarted":                    {},
		"the agent is restarted, in work":           {work: true},
		"the agent is restarted, and all hang":      {hang: every},
		"the agent is restarted, in work, all hang": {work: true, hang: every},
	}
	listed(t, len(cases))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			testkit.OneIn(t, 3)
			t.Parallel()
			g := newGrid(t, plan{})
			p := newPlaces(t, filepath.Join(g.dir, "store"))
			g.configure(p.all(g))
			g.push("ops", script("nodework/work.sh", gated))
			write(t, g.note("go"), "")
			g.startIn()
			g.settle("ops", "root")
			p.hear(g, "idle", every...)
			if c.work {
				g.remove(g.note("go"))
				g.push("ops", script("nodework/work.sh", gated+"# again\n"))
				g.until("work", func() bool { return g.count("start") == 2 })
				p.hear(g, "working", every...)
			}
			for _, b := range p.ways(c.hang...) {
				b.becomes(func(c net.Conn) { b.hang(c) })
			}
			before := len(p.room.lines("ops"))
			if c.down {
				g.goesDown()
			} else {
				g.agent.signal(syscall.SIGTERM)
			}
			// A shutdown kills after some time what has not ended: that must not be needed.
			g.until("the agent to end after TERM", func() bool { return !g.agent.alive() })
			said := func(place string) bool {
				switch place {
				case "presence":
					return p.record(g.id()).State == "leaving"
				case "ec2":
					return p.cloud.tag("add:state") == "leaving"
				}
				return len(p.room.lines("ops", "leaving: the machine is shutting down")) == 1
			}
			for _, place := range every {
				want := c.down && !slices.Contains(c.hang, place)
				if got := said(place); got != want {
					t.Errorf("when the process had ended, %s said that the node leaves: %t, want %t", place, got, want)
				}
			}
			if g.state() == "leaving" != c.down {
				t.Errorf("the node's own files say %s", g.state())
			}
			if !c.down && len(p.room.lines("ops")) != before {
				t.Errorf("the room heard of a restart: %q", p.room.lines("ops")[before:])
			}

			for _, b := range p.ways(c.hang...) {
				b.becomes(nil)
			}
			write(t, g.note("go"), "")
			g.startIn()
			g.until("a beat of the next agent", func() bool { return g.beat().PID == g.agent.pid() })
			g.settle("ops", "root")
			p.hear(g, "idle", "presence", "ec2")
			if c.down {
				g.until("the room to hear that it left, and is back", func() bool {
					all := strings.Join(p.room.lines("ops"), "\n")
					return strings.Count(all, "leaving: ") == 1
				})
			}
			g.stop()
			g.sound("ops")
			if n := len(p.room.lines("ops", "leaving")); n > 1 || n == 1 != c.down {
				t.Errorf("the room heard %d times that the node leaves: %q", n, p.room.lines("ops"))
			}
		})
	}
}

// TestCloudTakesTheMachine has the cloud give notice to a machine: that a spot instance is to be ended, that an Auto
// Scaling group lets it go; with something pushed in the same moment, and work in hand; and takes the notice back.
// Between the two the metadata service hangs, or is away.
//
// INVARIANT (spec 7): the next beat says that the node leaves, and why, in all places; no work begins that would be
// cut, and what runs is not disturbed; while the metadata service says nothing, what it said last is true; when it
// takes a spot notice back, the node is back and does what was pushed; an Auto Scaling group takes none back.
func TestCloudTakesTheMachine(t *testing.T) {
	t.Parallel()
	if elsewhere(t) {
		return
	}
	cases := map[string]struct {
		gives, takes func(p *places)
		says         string
		work, final  bool
	}{
		"a spot notice": {func(p *places) { p.meta.SetSpot("terminate", time.Now().Add(2*time.Minute)) },
			func(p *places) { p.meta.SetSpot("", time.Time{}) }, "spot interruption: terminate at ", false, false},
		"a spot notice, in work": {func(p *places) { p.meta.SetSpot("stop", time.Now().Add(2*time.Minute)) },
			func(p *places) { p.meta.SetSpot("", time.Time{}) }, "spot interruption: stop at ", true, false},
		"a group that lets go": {func(p *places) { p.meta.SetLifecycle("Terminated") },
			func(p *places) { p.meta.SetLifecycle("InService") }, "Auto Scaling: Terminated", false, true},
	}
	listed(t, len(cases))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGrid(t, plan{})
			p := newPlaces(t, filepath.Join(g.dir, "store"))
			g.configure(p.all(g))
			g.push("ops", script("nodework/work.sh", gated))
			write(t, g.note("go"), "")
			g.start()
			g.settle("ops", "root")
			p.hear(g, "idle", "presence", "chat", "ec2")
			begun := 1
			if c.work {
				g.remove(g.note("go"))
				g.push("ops", script("nodework/work.sh", gated+"# in work\n"))
				g.until("work", func() bool { return g.count("start") == 2 })
				begun = 2
			}
			c.gives(p)
			p.hear(g, "leaving", "presence", "chat", "ec2")
			if r := p.record(g.id()); !strings.HasPrefix(r.Reason, c.says) || g.state() != "leaving" {
				t.Errorf("the node is %s; presence says why: %q, want %q", g.state(), r.Reason, c.says)
			}
			g.push("ops", script("nodework/work.sh", gated+"# later\n"))
			write(t, g.note("go"), "")
			g.beats(3)
			before, _ := g.news("metadata: ") // a busy machine may have taken its time to answer
			p.meta.Instead("*", func(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() })
			g.beats(2)
			if n := g.count("start"); n != begun || g.state() != "leaving" {
				t.Errorf("%d runs, want %d; a node that leaves, and hears nothing, is %s", n, begun, g.state())
			}
			if n := g.count("end"); n != begun {
				t.Errorf("%d of %d runs ended", n, begun)
			}
			p.meta.Instead("*", nil)
			c.takes(p)
			if c.final {
				g.beats(3)
				if n := g.count("start"); n != begun || g.state() != "leaving" {
					t.Errorf("%d runs, want %d; a node that its group has let go is %s", n, begun, g.state())
				}
			} else {
				g.settle("ops", "root")
				p.hear(g, "idle", "presence", "ec2")
			}
			g.stop()
			g.sound("ops")
			if n := len(p.room.lines("ops", "leaving: ")); n != 1 {
				t.Errorf("the room heard %d times that the node leaves: %q", n, p.room.lines("ops"))
			}
			asked := 1
			if c.final { // what the group said holds without another answer
				asked = 0
			}
			if troubles, over := g.news("metadata: "); len(troubles)-len(before) != asked || len(over) != len(troubles) {
				t.Errorf("that the metadata service hangs was said %q, its end %q", troubles, over)
			}
		})
	}
}
