//go:build linux

package torture

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/work"
)

// bigOutput is how many bytes the talkative script prints.
const bigOutput = 200_000_000

// TestScriptsMisbehave has a dozen items side by side, each with a script that does one thing that scripts do.
//
// INVARIANT (spec 6): each is bounded in time and disk, fails or succeeds for itself alone with a reason that a person
// understands, and does not stop the next; nothing of its session is left, and what it put into a session of its own on
// purpose lives on.
func TestScriptsMisbehave(t *testing.T) {
	t.Parallel()
	g := newGrid(t, plan{work: "timeout: 30s, grace: 1s, retry_first: 1h, retry_max: 1h, wedge_after: 100"})
	items := []struct {
		name, script, yaml string
		reason             work.Reason // "" = success
		says               string      // part of the detail
	}{
		{"a-interpreter", "#!/no/such/interpreter\n", "", work.ReasonStart, `its interpreter "/no/such/interpreter" is not there`},
		{"b-windows", "#!/bin/bash\r\necho hello\r\n", "", work.ReasonStart, `"/bin/bash\r"`},
		{"c-nothing", "", "", work.ReasonStart, "begin it with #!/bin/bash"},
		{"d-fails", "echo the cause >&2; exit 3", "", work.ReasonExit, "exit 3"},
		{"e-signal", "kill -SEGV $$", "", work.ReasonSignal, "SIGSEGV"},
		{"f-output", "head -c 200000000 /dev/zero | tr '\\0' 'x'; echo; echo the end", "timeout: 5m", "", ""},
		{"g-children", "sleep 1000 & setsid sleep 1000 >/dev/null 2>&1 & until [ \"$(cut -d' ' -f6 /proc/$!/stat)\" = $! ]; do :; done; (sleep 1000 &) ; exit 0", "", "", ""},
		{"h-stubborn", "trap '' TERM; while :; do sleep 0.1; done", "timeout: 1s", work.ReasonDeadline, "deadline of 1s passed"},
		{"i-groups", "set -m; timeout 500 sleep 500 & while :; do sleep 0.1; done", "timeout: 1s", work.ReasonDeadline, "deadline of 1s passed"},
		{"j-later", "echo the database is away; exit 75", "", work.ReasonWaiting, "exit 75"},
		{"k-stdin", "read -r line; [ -z \"$line\" ]", "", "", ""},
		{"l-yaml", "exit 0", "wtach: x", "", ""},
		{"z-good", "exit 0", "", "", ""},
	}
	listed(t, len(items))
	var changes []gittest.Change
	for _, it := range items {
		dir := "nodework/work.d/" + it.name
		text := it.script
		if text != "" && !strings.HasPrefix(text, "#!") {
			text = "#!/bin/bash\necho start $ADD_ITEM >>$T_DIR/journal\n" + text
		}
		changes = append(changes, gittest.Change{Path: dir + "/work.sh", Content: text, Mode: "100755"})
		if it.yaml != "" {
			changes = append(changes, gittest.File(dir+"/work.yaml", it.yaml+"\n"))
		}
	}
	g.push("ops", changes...)
	g.start()
	g.until("the last item to be worked", func() bool {
		g.surprise()
		return g.worked("ops", "root+z-good") != "" && g.last("ops", "root+j-later").Waits >= 3
	})
	// The one that says "not now" is asked again at each beat, the others are left alone.
	g.stop()
	for _, it := range items {
		item := "root+" + it.name
		a := g.last("ops", item)
		switch {
		case it.name == "l-yaml":
			if a.RunID != "" {
				t.Errorf("%s was run though its work.yaml cannot be understood", it.name)
			}
		case a.Finished.IsZero() || a.Reason != it.reason || !strings.Contains(a.Detail, it.says):
			t.Errorf("%s ended with %q: %q (finished %v), want %q: ... %s ...", it.name, a.Reason, a.Detail, a.Finished, it.reason, it.says)
		case it.reason == "" != (g.worked("ops", item) == g.tip("ops")):
			t.Errorf("%s: worked %q", it.name, g.worked("ops", item))
		}
		if n := g.count("start", item); n > 1 && it.name != "j-later" {
			t.Errorf("%s ran %d times", it.name, n)
		}
	}
	if got := g.last("ops", "root+d-fails").LastLine; got != "the cause" {
		t.Errorf("last line of d-fails: %q", got)
	}
	if b := g.beat(); b.State != "failing" || !strings.Contains(b.Reason, "work.yaml:1:1") {
		t.Errorf("the node is %s: %s", b.State, b.Reason)
	}
	g.checkTalker()

	// Left on purpose is what has a session of its own, and only that.
	left := g.processes()
	if len(left) != 1 || !strings.HasPrefix(left[0].line, "sleep 1000") {
		t.Errorf("left running: %v, want the one sleep with a session of its own", left)
	}
	for _, r := range left {
		r.kill()
	}
	g.until("it to end", func() bool { return len(g.processes()) == 0 })
	g.sound("ops")
}

// checkTalker looks at the log of the script with the long output.
func (g *grid) checkTalker() {
	g.t.Helper()
	a := g.last("ops", "root+f-output")
	var st syscall.Stat_t
	if err := syscall.Stat(a.Log, &st); err != nil {
		g.t.Fatal(err)
	}
	if st.Size > 8<<20 || st.Blocks*512 > 8<<20 {
		g.t.Errorf("the log of %d bytes of output has %d bytes and takes %d on disk", bigOutput, st.Size, st.Blocks*512)
	}
	text := read(a.Log)
	if !strings.Contains(text, "bytes cut here by addagent") || !strings.HasSuffix(text, "x\nthe end\n") || a.LastLine != "the end" {
		g.t.Errorf("the log does not say that it was cut, or lost its end: ...%q; last line %q", text[max(0, len(text)-80):], a.LastLine)
	}
}

// TestScriptGoneFromDisk takes the script away behind the agent's back, makes it unreadable, or puts a folder there.
//
// INVARIANT (spec 6): the item fails with a reason that names the script; the next push puts the script back and works
// it.
func TestScriptGoneFromDisk(t *testing.T) {
	t.Parallel()
	listed(t, 2)
	g := newGrid(t, plan{})
	n := 0
	push := func() {
		n++
		g.push("ops", gittest.File("nodework/work.sh", "exit 0\n"), gittest.File("serial", strings.Repeat("x", n)))
	}
	push()
	g.start()
	g.settle("ops", "root")
	path := filepath.Join(g.clone("ops"), "nodework", "work.sh")
	damages := map[string]func() error{
		"work.sh is not there":  func() error { return os.Remove(path) },
		"work.sh is not a file": func() error { return join(os.Remove(path), os.Mkdir(path, 0o755)) },
	}
	if os.Getuid() != 0 { // nothing is unreadable to root
		damages["work.sh cannot be read"] = func() error { return os.Chmod(path, 0) }
	}
	for says, damage := range damages {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(g.memory("ops", "root"), "work.sh_VERSION")); err != nil {
			t.Fatal(err)
		}
		g.until("the node to say "+says, func() bool {
			b := g.beat()
			return b.State == "failing" && strings.Contains(b.Reason, says) && g.state() == "failing"
		})
		push()
		g.settle("ops", "root")
	}
	// And gone in git too: then there is nothing to do, and nothing to complain about.
	tip := g.push("ops", gittest.Remove("nodework"))
	g.until("the node to have no work", func() bool {
		b := g.beat()
		return len(b.Items) == 0 && b.State == "idle" && len(b.Looks) == 1 && b.Looks[0].Version == tip
	})
	g.stop()
	g.sound("ops")
}

func join(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestWedgedAndOut fails until it is wedged, and gets out by a pushed fix; then fails half-way and gets out by a
// revert.
//
// INVARIANT (spec 6, 5): failures are counted per version, the node is failing and then wedged, and neither counted nor
// tried on; other items go on; a pushed fix is tried at once though the next try was an hour away; a revert to what
// worked before is worked again, since the failed run may have left anything behind.
func TestWedgedAndOut(t *testing.T) {
	t.Parallel()
	listed(t, 1)
	g := newGrid(t, plan{work: "timeout: 30s, grace: 1s, retry_first: 1s, retry_max: 1h, wedge_after: 2"})
	body := func(exit string) gittest.Change {
		return script("nodework/work.sh", "echo run root $ADD_VERSION $ADD_VERDICT >>$T_DIR/journal; "+exit+"\n")
	}
	other := script("nodework/common/work.sh", "echo run common $ADD_VERSION >>$T_DIR/journal\n")
	good := g.push("ops", body("exit 0"), other)
	g.start()
	g.settle("ops", "root", "common")

	broken := g.push("ops", body("exit 5"))
	g.until("the node to be wedged", func() bool { g.surprise(); return g.state() == "wedged" })
	g.beats(3)
	if n := g.count("run", "root", broken); n != 2 {
		t.Errorf("the broken version ran %d times, want 2", n)
	}
	if b := g.beat(); b.State != "wedged" || !strings.Contains(b.Reason, "ops:root: exit 5") {
		t.Errorf("the node is %s: %s", b.State, b.Reason)
	}
	if g.worked("ops", "common") != broken || g.worked("ops", "root") != good {
		t.Errorf("worked common %s, root %s", g.worked("ops", "common"), g.worked("ops", "root"))
	}
	if code, _, _ := g.run("status"); code != 3 {
		t.Errorf("status ends with %d, want 3", code)
	}
	fixed := g.push("ops", body("exit 0 # fixed"))
	g.settle("ops", "root", "common")

	half := g.push("ops", body("echo half >>$T_DIR/damage; exit 6"))
	g.until("the node to be failing", func() bool {
		return g.last("ops", "root").Version == half && g.state() != "idle" && g.state() != "working"
	})
	reverted := g.push("ops", body("rm -f $T_DIR/damage; exit 0 # fixed")) // another script than fixed, by its content
	g.settle("ops", "root", "common")
	half = g.push("ops", body("echo half >>$T_DIR/damage; exit 6"))
	g.until("the node to be failing", func() bool {
		return g.last("ops", "root").Version == half && g.state() != "idle" && g.state() != "working"
	})
	back := g.repos["ops"].Move("main", reverted) // the same commit as before: nothing watched differs from the last success
	g.settle("ops", "root", "common")
	if n := g.count("run", "root", back); n != 2 {
		t.Errorf("the version that was moved back to ran %d times, want a second time: the failed one left damage", n)
	}
	if exists(g.note("damage")) {
		t.Error("what the failed run left behind is still there")
	}
	g.stop()
	if g.count("run", "root", fixed) != 1 {
		t.Errorf("the fix ran %d times", g.count("run", "root", fixed))
	}
	for _, said := range []string{`CRITICAL wedged .*ops:root: exit 5 \(2 failures in a row\)  -> addagent why`, `recovered after .* wedged`} {
		if !regexp.MustCompile(said).MatchString(g.log()) {
			t.Errorf("the log does not say %s", said)
		}
	}
	g.sound("ops")
}
