//go:build linux

package torture

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
)

// census is a script that looks at the whole tree: every file under load/ holds the serial number of its commit, so a
// tree that is half of one commit and half of another has more than one.
const census = `seen=$(cat load/*/[0-9]* | sort -u | tr '\n' ' ')
echo "census $ADD_VERSION $(cat serial) / $seen" >>"$T_DIR/journal"
`

// load is a commit that changes every one of its files, and some of their kinds: with each serial other paths are
// folders, links and executables.
func load(serial, files int) []gittest.Change {
	all := []gittest.Change{gittest.File("serial", fmt.Sprintf("%d\n", serial)), gittest.File("nodework/work.sh", census), gittest.Remove("load"), gittest.Remove("odd")}
	for i := range files {
		c := gittest.File(fmt.Sprintf("load/%02d/%04d", i%40, i), fmt.Sprintf("%d\n", serial))
		if (i+serial)%5 == 0 {
			c.Path += "-" + strings.Repeat("x", serial%3+1) // comes and goes
		}
		if (i+serial)%7 == 0 {
			c.Mode = "100755"
		}
		all = append(all, c)
	}
	for i := range 50 {
		path, text := fmt.Sprintf("odd/%02d", i), fmt.Sprintf("%d", serial)
		switch (i + serial) % 4 {
		case 0:
			all = append(all, gittest.File(path, text))
		case 1:
			all = append(all, gittest.File(path+"/inside/file", text))
		case 2:
			all = append(all, gittest.Change{Path: path, Content: "../serial", Mode: "120000"})
		}
	}
	return all
}

// TestKilledWhileTreeMoves kills beats that fetch some thousand changed files and move a tree to them, at moments all
// over that time, also the beats that finish what earlier ones left.
//
// INVARIANT (spec 4): whatever was left half done, the next beat that is let alone brings the tree to exactly what was
// pushed; a script never sees the files of two commits; files that git does not know survive, in folders too that come
// and go; git finds the clone in order.
func TestKilledWhileTreeMoves(t *testing.T) {
	t.Parallel()
	const usual = 8
	listed(t, usual)
	files := testkit.Rounds(500, 1500)
	r := dice(t)
	g := newGrid(t, plan{})
	g.push("ops", load(0, files)...)
	untracked := []string{"load/00/people.txt", "odd/people/deep/file", "people.txt"}

	// How long does it take undisturbed?
	begun := time.Now()
	g.beatOnce(0)
	whole := time.Since(begun)
	for _, path := range untracked {
		write(t, g.clone("ops")+"/"+path, "mine\n")
	}
	kills, early := 0, 0
	for round := 1; round <= rounds(t, usual); round++ {
		g.push("ops", load(round, files)...)
		for range 1 + r.IntN(4) {
			p := launch(t, g.command("beat"))
			pause(time.Duration(r.Int64N(int64(whole))))
			if p.alive() {
				kills++
			} else {
				early++
			}
			p.signal(syscall.SIGKILL)
			<-p.ended
		}
		g.beatOnce(0)
		if got, want := g.worked("ops", "root"), g.tip("ops"); got != want {
			t.Fatalf("round %d: worked %s, pushed %s", round, got, want)
		}
		g.sound("ops", untracked...)
		if t.Failed() {
			t.Fatalf("after round %d", round)
		}
	}
	t.Logf("killed %d beats of about %v, %d were done before their moment", kills, whole.Round(time.Millisecond), early)
	for _, path := range untracked {
		if got := read(g.clone("ops") + "/" + path); got != "mine\n" {
			t.Errorf("%s holds %q", path, got)
		}
	}
	for _, line := range g.journal() {
		if line[0] == "census" && !slices.Equal(line[2:], []string{line[2], "/", line[2]}) {
			t.Errorf("a script saw the files of more than one commit: %v", line)
		}
	}
	if g.count("census") == 0 {
		t.Error("no script ran")
	}
	if out, err := exec.Command("du", "-sm", g.clone("ops")+"/.git").Output(); err == nil {
		t.Logf(".git after it all, in MB: %s", out)
	}
}

// beatOnce is one undisturbed beat, which still waits for work of an earlier one.
func (g *grid) beatOnce(want int) string {
	g.t.Helper()
	g.until("work of an earlier beat to end", g.quiet)
	code, _, stderr := g.run("beat")
	if code != want {
		g.t.Errorf("beat ended with %d, want %d: %s", code, want, stderr)
	}
	return stderr
}
