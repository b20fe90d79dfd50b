//go:build linux

package torture

import (
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
)

// TestCronTells drives a node by single beats, as a cron does, with all places well; with one that is down, or hangs;
// and again when that is over.
//
// INVARIANT (spec 7, 11): a beat tells all places before it ends, and ends though one hangs; its work counts, what
// could not be told is said by that beat or by the next, and the first beat that finds the place well brings it the
// newest state; the room hears then what it could not hear.
func TestCronTells(t *testing.T) {
	t.Parallel()
	if elsewhere(t) {
		return
	}
	every := []string{"presence", "chat", "ec2"}
	hangs := func(b *bad) func(net.Conn) { return b.hang }
	cases := map[string]fault{
		"presence is down":  behave(nil, "presence"),
		"chat is down":      behave(nil, "chat"),
		"the cloud is down": behave(nil, "ec2"),
		"presence hangs":    behave(hangs, "presence"),
		"all hang":          behave(hangs, every...),
	}
	listed(t, len(cases))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			testkit.OneIn(t, 3)
			t.Parallel()
			g := newGrid(t, plan{beat: ", look_timeout: 10s", work: "timeout: 30s, grace: 1s, retry_first: 1s, retry_max: 1s, wedge_after: 1"})
			p := newPlaces(t, filepath.Join(g.dir, "store"))
			g.configure(p.all(g))
			g.push("ops", script("nodework/work.sh", "! [ -e bad ]\n"))
			told := func(state string, places ...string) {
				t.Helper()
				for _, place := range places {
					if !p.says(g, state, place) {
						t.Errorf("after the beat %s does not say that the node is %s: %q %+v", place, state, p.room.lines("ops"), p.record(g.id()))
					}
				}
			}
			g.beatInTime()
			told("idle", every...)

			c.breaks(p)
			g.push("ops", gittest.File("bad", "x"))
			code, _, stderr := g.run("beat")
			if code != 3 {
				t.Errorf("a beat that finds the node wedged ends with %d: %s", code, stderr)
			}
			told("wedged", slices.DeleteFunc(slices.Clone(every), func(place string) bool { return slices.Contains(c.places, place) })...)
			for _, place := range c.places {
				trouble := map[string]string{"presence": "presence repository: ", "chat": "chat: ", "ec2": "tags: "}[place]
				if troubles, _ := g.news(trouble); len(troubles) != 1 || !strings.Contains(stderr, "addagent: "+trouble) {
					t.Errorf("that %s is away was said in the log: %q; by the beat: %s", place, troubles, stderr)
				}
			}
			c.ends(p)
			g.push("ops", gittest.Remove("bad"))
			g.until("the pause is over, and a beat tells all", func() bool {
				code, _, _ := g.run("beat")
				return code == 0
			})
			told("idle", every...)
			if len(p.room.lines("ops", ": wedged: ")) != 1 || len(p.room.lines("ops", "recovered after ", " wedged")) != 1 {
				t.Errorf("the room heard %q", p.room.lines("ops"))
			}
			g.sound("ops")
			p.noSecrets(g)
		})
	}
}

// beatInTime is a beat that ends well, and is tried again when the metadata service did not get to answer within the
// second that it has, as on a busy machine.
func (g *grid) beatInTime() {
	g.t.Helper()
	g.until("a beat with an answer of the metadata service", func() bool {
		code, _, stderr := g.run("beat")
		late := strings.Contains(stderr, "did not answer within 1s")
		if code != 0 && !late {
			g.t.Errorf("beat ended with %d: %s", code, stderr)
		}
		return !late
	})
}

// TestTwoOfOneName gives a second machine the instance-id of one that is there already.
//
// INVARIANT (spec 7): the one whose ref was moved says so, critically, with both machines named, once, and stops
// telling; the other tells on, and hears of nothing; both work; when the second gets a name of its own the trouble of
// the first is over with the next thing that it tells.
func TestTwoOfOneName(t *testing.T) {
	t.Parallel()
	if elsewhere(t) {
		return
	}
	listed(t, 1)
	one, two := newGrid(t, plan{}), newGrid(t, plan{})
	p := newPlaces(t, filepath.Join(one.dir, "store"))
	for _, g := range []*grid{one, two} {
		g.configure(p.presence(g, ", refresh: 5s"))
		g.push("ops", script("nodework/work.sh", "echo start >>$T_DIR/journal\n"))
	}
	one.startOn("0123456789abcdef0123456789abcdef")
	one.settle("ops", "root")
	p.hear(one, "idle", "presence")
	hardware := p.record(one.id()).Hardware
	two.startOn("fedcba9876543210fedcba9876543210")
	two.settle("ops", "root")
	two.until("the second to say that there is another", func() bool {
		troubles, _ := two.news("clash: ")
		return len(troubles) > 0
	})
	if now := p.record(one.id()).Hardware; now != hardware {
		t.Errorf("the record is of %s, and was of %s: the second machine took the name of the first", now, hardware)
	}
	for _, g := range []*grid{one, two} {
		g.push("ops", gittest.File("later", "x"))
		g.settle("ops", "root")
	}
	p.hear(one, "idle", "presence")
	two.beats(3)
	troubles, _ := two.news("clash: ")
	if len(troubles) != 1 || !strings.Contains(two.log(), "CRITICAL presence repository: clash: ") || !strings.Contains(troubles[0], hardware) {
		t.Errorf("the clash was said %d times: %q", len(troubles), troubles)
	}
	if troubles, _ := one.news("clash: "); len(troubles) != 0 {
		t.Errorf("the first, whose ref was not moved, says %q", troubles)
	}
	one.stop()
	two.stop()
	two.remove(filepath.Join(two.dir, "lib", "instance.json"))
	write(t, two.in("nodeinfo", "instance-id.txt"), promptID()+"0\n")
	two.startOn("fedcba9876543210fedcba9876543210")
	two.until("the second to tell under a name of its own", func() bool { two.surprise(); return p.record(promptID()+"0").State == "idle" })
	two.stop()
	gittest.Fsck(t, p.store.Dir)
}

// startOn starts the agent on the machine with that id.
func (g *grid) startOn(id string) {
	g.t.Helper()
	run := g.command("run")
	cmd := exec.Command("unshare", append([]string{"--mount", "sh", "-c", hardware}, run.Args...)...)
	cmd.Dir, cmd.Env = "/", append(run.Env, "T="+g.dir, "ID="+id)
	g.agent = launch(g.t, cmd)
	g.until("a beat on "+id, func() bool { return g.beat().PID == g.agent.pid() })
}
