package run

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/work"
)

// TestUnwedge: failures, delay and wedge go, the verdict does not.
func TestUnwedge(t *testing.T) {
	g := newHandGrid(t)
	g.push(gittest.File("nodework/common/work.sh", "[ -e $ADD_HOME/healed ]\n"))
	for range 3 {
		g.do("common")
	}
	j, _ := g.item("common")
	if s := work.PlanRun(j, g.Rules, time.Now()); !s.Wedged || s.Due {
		t.Fatalf("%+v", s)
	}
	if err := g.Unwedge("ops", "common"); err == nil {
		t.Error("without the lock")
	}
	_, err := g.Acquire()
	testkit.Must(t, err)
	if err := g.Unwedge("ops", "common"); err != nil {
		t.Error(err)
	}
	for _, item := range []string{"common", "init", "nosuchitem"} {
		if err := g.Unwedge("ops", item); err != nil {
			t.Errorf("%s: %v", item, err)
		}
	}
	g.Release()
	j, _ = g.item("common")
	if s := work.PlanRun(j, g.Rules, time.Now()); s.Wedged || s.Failing || !s.Due || s.Attempt != 1 || s.Reason != "" {
		t.Errorf("%+v", s)
	}
	if l := j.Memory.Last; l.Unwedged.IsZero() || l.OK() || l.Reason != work.ReasonExit || j.Verdict != work.First || j.Memory.Version != "" {
		t.Errorf("%+v: %+v", j, l)
	}
	if a := g.do("common"); a.Attempt != 1 || a.Failures != 1 || !a.WedgedSince.IsZero() || !a.Unwedged.IsZero() {
		t.Errorf("%+v", a)
	}
	testkit.Must(t, os.WriteFile(g.file("healed"), nil, 0o644))
	if a := g.do("common"); !a.OK() {
		t.Errorf("%+v", a)
	}
	// After a success there is nothing to forget, and the success stays.
	_, err = g.Acquire()
	testkit.Must(t, err)
	defer g.Release()
	if err := g.Unwedge("ops", "common"); err != nil {
		t.Error(err)
	}
	if j, _ := g.item("common"); j.Verdict != work.Same || !j.Memory.Last.OK() {
		t.Errorf("%+v", j)
	}
	g.Release()
	testkit.Must(t, os.Remove(g.file("healed")))
	g.push(gittest.File("nodework/common/work.sh", "# new\n[ -e $ADD_HOME/healed ]\n"))
	g.do("common")
	_, err = g.Acquire()
	testkit.Must(t, err)
	// It failed and is not wedged: that it waits for its delay is forgotten all the same.
	if err := g.Unwedge("ops", "common"); err != nil {
		t.Error(err)
	}
	if j, _ := g.item("common"); j.Verdict != work.Changed || !work.PlanRun(j, g.Rules, time.Now()).Due {
		t.Errorf("%+v", j)
	}
}

// TestScriptSaysThatItIsWedged: whatever its exit is, and whatever process writes the end; what another run said is
// not heard.
func TestScriptSaysThatItIsWedged(t *testing.T) {
	g := newHandGrid(t)
	say := testBinary(t) + " test-wedge"
	for name, test := range map[string]struct {
		script string
		exit   int
	}{
		"exit 0":   {say + " 'no such disk'", 0},
		"exit 3":   {say + " 'no such disk'; exit 3", 3},
		"not now":  {say + " 'no such disk'; exit 75", 75},
		"twice":    {say + " 'a first guess'; " + say + " 'no such\n disk'; exit 1", 1},
		"in vain":  {"rm -rf \"$ADD_TEMP\"; " + say + " 'no such disk'; exit 1", 1},
		"signal":   {say + " 'no such disk'; kill -9 $$", -1},
		"in child": {"( " + say + " 'no such disk' ); true", 0},
	} {
		g.push(gittest.File("nodework/common/work.sh", test.script+"\n"))
		a := g.do("common")
		if a.Reason != work.ReasonWedged || a.Detail != "wedged: no such disk" || a.Exit != test.exit || a.Attempt != 1 {
			t.Errorf("%s: %+v", name, a)
		}
		j, _ := g.item("common")
		if s := work.PlanRun(j, g.Rules, time.Now()); !s.Wedged || s.Due || !strings.HasPrefix(s.Reason, "wedged: no such disk") {
			t.Errorf("%s: %+v", name, s)
		}
	}
	// The word of that last run lies there still.
	g.push(gittest.File("nodework/common/work.sh", "[ ! -e $ADD_TEMP/"+wedgedFile+" ]\n"))
	if a := g.do("common"); !a.OK() {
		t.Errorf("%+v", a)
	}
	g.push(gittest.File("nodework/common/work.sh", "ADD_RUN_ID=another "+say+" x\n"))
	if a := g.do("common"); !a.OK() {
		t.Errorf("%+v", a)
	}
	// The shim is killed after the word: the process that ends the attempt has heard it.
	g.push(gittest.File("nodework/common/work.sh", say+" 'no such disk'; echo $PPID >$ADD_HOME/shim; sleep 1000\n"))
	g.start("common")
	testkit.Must(t, syscall.Kill((&yard{t: t, home: g.home, lockPath: g.LockPath}).pidOf("shim"), syscall.SIGKILL))
	g.end()
	said, err := g.Acquire()
	testkit.Must(t, err)
	defer g.Release()
	if j, _ := g.item("common"); j.Memory.Last.Reason != work.ReasonWedged || j.Memory.Last.Detail != "wedged: no such disk" || len(said) != 1 {
		t.Errorf("%+v, %q", j.Memory.Last, said)
	}
}

func TestSayWedgedRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ temp, run, reason, want string }{
		{"", "r", "x", "ADD_TEMP and ADD_RUN_ID"}, {"relative", "r", "x", "ADD_TEMP and ADD_RUN_ID"}, {dir, "", "x", "ADD_TEMP and ADD_RUN_ID"},
		{dir, "r", " \n", "give a reason"}, {filepath.Join(dir, "file", "x"), "r", "x", "mark wedged: mkdir"},
	} {
		testkit.Must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
		if err := SayWedged(c.temp, c.run, c.reason); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	testkit.Must(t, SayWedged(dir, "r", strings.Repeat("long ", 1000)))
	var said saidWedged
	data, err := os.ReadFile(filepath.Join(dir, wedgedFile))
	if err != nil || json.Unmarshal(data, &said) != nil || said.RunID != "r" || len([]rune(said.Reason)) != 200 || heardWedged(dir, "r") == "" || heardWedged(dir, "s") != "" {
		t.Errorf("%s, %v", data, err)
	}
}
