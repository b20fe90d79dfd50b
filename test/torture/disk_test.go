//go:build linux

package torture

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
)

// diskSize is that of the disk in TestDiskFull.
const diskSize = 100 << 20

// TestDiskFull fills the disk under the node, but for a little, and goes on pushing. The little is another each time,
// so that the disk is full at another write.
//
// INVARIANT (spec 6, 1): nothing is half-written, ever: every state file is whole, every tracked file is that of HEAD
// or was never touched; no script runs whose result could not be kept; the node says that it is failing, and why, where
// it still can; when there is room again it heals by itself: idle, with the last push worked.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	listed(t, 8)
	if elsewhere(t) {
		return
	}
	home := mounted(t, fmt.Sprintf("size=%d", diskSize))
	g := newGrid(t, plan{home: home})
	n := 0
	push := func() {
		n++
		g.push("ops", gittest.File("nodework/work.sh", "echo start $ADD_RUN_ID $ADD_VERSION >>$T_DIR/journal\n"),
			gittest.File("big", noise(300_000)), gittest.File(fmt.Sprintf("d/%d", n%3), noise(10_000)), gittest.File("serial", fmt.Sprint(n)))
	}
	push()
	g.start()
	g.settle("ops", "root")
	for _, spare := range []int64{0, 8 << 10, 40 << 10, 200 << 10} {
		for _, back := range []bool{false, true} {
			// A push needs room for its pack. A branch moved back has its objects here: what needs room is the tree.
			push()
			g.settle("ops", "root")
			ballast := filepath.Join(home, "ballast")
			fill(t, ballast, spare)
			said := len(read(g.stderr()))
			before := g.count("start")
			if back {
				g.repos["ops"].Move("main", "main~1")
			} else {
				push()
			}
			if err := os.Remove(filepath.Join(g.memory("ops", "root"), "work.sh_VERSION")); err != nil { // "again"
				t.Fatal(err)
			}
			failing := regexp.MustCompile(`(?m)^\S+ WARNING failing.*(disk|space)`)
			g.until(fmt.Sprintf("the node to say that the disk is full with %d bytes free", spare), func() bool {
				g.surprise()
				return failing.MatchString(read(g.stderr())[said:])
			})
			// beat.json may not be written any more: the lines of beats are counted.
			g.until("two more beats", func() bool { return strings.Count(read(g.stderr())[said:], " | next ") > 2 })
			if !back && spare >= 200<<10 {
				if code, _, _ := g.run("status"); g.state() != "failing" || code != 1 {
					t.Errorf("with %d bytes free state.txt says %q, status ends with %d", spare, g.state(), code)
				}
			}
			if !back {
				g.tracked("ops")
			}
			g.intact()
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			g.settle("ops", "root")
			if full := strings.Count(read(g.stderr())[said:], "WARNING write "); full > 6 {
				// beat.json and the journal, and again when some bytes come free in between.
				t.Errorf("with %d bytes free, that files cannot be written was said %d times", spare, full)
			}
			g.tracked("ops")
			if runs := g.count("start") - before; runs > 3 {
				t.Errorf("with %d bytes free there were %d runs", spare, runs)
			}
			if t.Failed() {
				t.Fatalf("with %d bytes free, back %v", spare, back)
			}
		}
	}
	g.stop()
	g.sound("ops")
	if !strings.Contains(g.log(), "recovered after ") {
		t.Error("the log does not say that the node is well again")
	}
	// Every run that a script knows of is one that the node kept: none was repeated for want of room.
	seen := map[string]bool{}
	for _, line := range g.journal() {
		if seen[line[1]] {
			t.Errorf("run %s began twice", line[1])
		}
		seen[line[1]] = true
	}
}

// intact is whole, for a disk that is full now: the temporary file of a write that failed may be anywhere, and the
// journal of beats may have lost lines.
func (g *grid) intact() {
	g.t.Helper()
	for _, path := range []string{g.in("nodeinfo", "beat.json"), g.in("nodeinfo", "presence.json"), filepath.Join(g.memory("ops", "root"), "work.sh_RESULT.json")} {
		if text := read(path); !strings.HasPrefix(text, "{") || !strings.HasSuffix(text, "}\n") {
			g.t.Errorf("%s is half-written: %q", path, tail(text, 3))
		}
	}
	for field, want := range map[string]string{"state": `^(idle|failing|working)\n$`, "instance-id": "^" + promptID() + "\n$", "statelog": `^setup:\d{8}-\d{6};initdone:\d{8}-\d{6};\n$`} {
		if text := read(g.in("nodeinfo", field+".txt")); !regexp.MustCompile(want).MatchString(text) {
			g.t.Errorf("nodeinfo/%s.txt holds %q", field, text)
		}
	}
}

// fill writes a file until the disk is full, and then gives back as much as is to be spare.
func fill(t *testing.T, path string, spare int64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	chunk := make([]byte, 64<<10)
	size := int64(0)
	for {
		n, err := f.Write(chunk)
		size += int64(n)
		if errors.Is(err, syscall.ENOSPC) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(size - spare); err != nil {
		t.Fatal(err)
	}
}
