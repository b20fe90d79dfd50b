//go:build linux

package torture

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
)

// hardware runs a command as on a machine with another id.
const hardware = `set -e
cp -a /etc "$T/etc.$ID"
echo "$ID" >"$T/etc.$ID/machine-id"
mount --make-rprivate /
mount --bind "$T/etc.$ID" /etc
exec "$0" "$@"
`

// beatOn is one beat on the machine with that id; it must end well.
func (g *grid) beatOn(id string) {
	g.t.Helper()
	beat := g.command("beat")
	cmd := exec.Command("unshare", append([]string{"--mount", "sh", "-c", hardware}, beat.Args...)...)
	cmd.Dir, cmd.Env = "/", append(beat.Env, "T="+g.dir, "ID="+id)
	if out, err := cmd.CombinedOutput(); err != nil {
		g.t.Fatalf("a beat on %s: %v\n%s\n%s", id, err, out, tail(g.log(), 20))
	}
}

// TestDiskCopied sets a node up and has it work, and then goes on with its disk on other hardware, as an image does
// that was made of a living node.
//
// INVARIANT (spec 1, 7): on other hardware a node begins at presetup, under a name of its own, with its init done
// again; what the other one remembered of itself is set aside, not lost; what was worked is in the clone and is not
// worked again; on the same hardware nothing is done again, however often it starts.
func TestDiskCopied(t *testing.T) {
	t.Parallel()
	if elsewhere(t) {
		return
	}
	listed(t, 2)
	const one, two = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
	g := newGrid(t, plan{})
	write(t, g.in("nodeinfo", "initgitrepo.txt"), "ops\n")
	g.push("ops", gittest.File("nodeinit/common/init.sh", "echo init >>\"$T_DIR/journal\"\n"),
		gittest.File("nodework/common/work.sh", "echo work >>\"$T_DIR/journal\"\n"))
	first := strings.TrimSpace(read(g.in("nodeinfo", "instance-id.txt")))
	journal := func(want string) {
		t.Helper()
		if got := strings.Join(strings.Fields(read(g.note("journal"))), " "); got != want {
			t.Errorf("what ran: %s; want %s", got, want)
		}
	}
	g.beatOn(one)
	g.beatOn(one)
	journal("init work")
	born := read(g.in("nodeinfo", "statelog.txt"))

	// A person wrote that id: it stays with the machine that it was written for.
	g.beatOn(two)
	journal("init work init")
	if now := strings.TrimSpace(read(g.in("nodeinfo", "instance-id.txt"))); now == first {
		t.Errorf("two machines are called %s", now)
	}
	if log := read(g.in("nodeinfo", "statelog.txt")); strings.Count(log, "setup:") != 1 || strings.Count(log, "initdone:") != 1 {
		t.Errorf("the statelog of the copy is %s, that of the first %s", log, born)
	}
	for _, aside := range []string{g.in("nodeinfo", "statelog.txt.copied"), filepath.Join(g.dir, "lib", "instance.json.copied"), filepath.Join(g.dir, "lib", "init.copied")} {
		if !exists(aside) {
			t.Errorf("%s is not there: what the first machine remembered is lost", aside)
		}
	}
	g.beatOn(two)
	journal("init work init")
	if g.state() != "idle" {
		t.Errorf("the copy is %s", g.state())
	}
}
