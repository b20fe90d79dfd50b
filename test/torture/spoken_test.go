//go:build linux

package torture

import (
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/node"
)

// TestKilledWhileTelling kills the agent with -9 at random moments while it tells its states to presence, a room and
// the cloud, starts it again at once, and goes on pushing good commits and bad ones.
//
// INVARIANT (spec 7): at every moment the ref of the node holds a whole history; the node never takes itself for
// another machine; the newest state arrives in all places; the room hears of each wedge that lasted, and of its end,
// and no line more often than once and once for each kill.
func TestKilledWhileTelling(t *testing.T) {
	t.Parallel()
	if elsewhere(t) {
		return
	}
	const usual = 24
	listed(t, usual)
	r := dice(t)
	g := newGrid(t, plan{work: "timeout: 30s, grace: 1s, retry_first: 1s, retry_max: 1s, wedge_after: 1"})
	p := newPlaces(t, filepath.Join(g.dir, "store"))
	g.configure(p.all(g))
	g.push("ops", script("nodework/work.sh", "true\n"))
	g.start()
	g.settle("ops", "root")
	wedges := 0
	kills := rounds(t, usual)
	for n := 0; n < kills; {
		wedges++
		// Another item each time: the same failure is said once an hour, whatever happens to the agent.
		bad := "nodework/work.d/bad" + itoa(wedges) + "/work.sh"
		g.push("ops", script(bad, "exit 1\n"))
		n += g.killed(r, 3, "wedged", "ops:root+bad"+itoa(wedges)+": exit 1")
		p.hear(g, "wedged", "presence", "ec2")
		g.push("ops", gittest.Remove(bad))
		n += g.killed(r, 3, "idle", "")
		p.hear(g, "idle", "presence", "ec2")
		gittest.Fsck(t, p.store.Dir)
	}
	p.hear(g, "idle", "presence", "chat", "ec2")
	g.stop()
	g.sound("ops")
	if troubles, _ := g.news("clash"); len(troubles) > 0 {
		t.Errorf("the node took itself for another: %q", troubles)
	}
	// A run that a kill cut off is a wedge, too.
	told := strings.Join(p.subjects(g.id()), " ")
	if n := strings.Count(told, "wedged"); n < wedges {
		t.Errorf("presence was told of %d wedges, and %d there were: %s", n, wedges, told)
	}
	lines := map[string]int{}
	for _, line := range p.room.lines("ops") {
		lines[line]++
	}
	for line, n := range lines {
		if n > 1+kills {
			t.Errorf("the room heard %d times: %s", n, line)
		}
	}
	for n := range wedges {
		if len(p.room.lines("ops", ": wedged: ", "ops:root+bad"+itoa(n+1)+": exit 1")) == 0 {
			t.Errorf("the room did not hear of wedge %d of %d: %q", n+1, wedges, p.room.lines("ops"))
		}
	}
	if n := len(p.room.lines("ops", "recovered after ", " wedged")); n < wedges {
		t.Errorf("the room heard of %d ends of %d wedges: %q", n, wedges, p.room.lines("ops"))
	}
	p.noSecrets(g)
}

// killed kills the agent some times, each at a random moment of the seconds in which it works and tells, and tells how
// often; in the end the agent lives and the node is in that state for that reason.
func (g *grid) killed(r *rand.Rand, times int, state node.State, why string) int {
	g.t.Helper()
	for range times {
		pause(time.Duration(r.IntN(900)) * time.Millisecond)
		g.surprise()
		g.agent.kill()
		g.start()
	}
	g.until("the node to be "+string(state), func() bool {
		g.surprise()
		b := g.beat()
		return b.State == state && strings.Contains(b.Reason, why) && b.InHand == nil
	})
	return times
}
