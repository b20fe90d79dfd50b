package run

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/clone"
	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/work"
)

// handGrid is a node: the clone of a repository ops, a survey, and a hand.
type handGrid struct {
	*work.Survey
	*Runner
	t     *testing.T
	home  string
	bare  *gittest.Repo
	clone *clone.Repo
	at    []work.At
	place work.Place
}

// newHandGrid has the repository ops with these files; the item common of it is always there.
func newHandGrid(t *testing.T, changes ...gittest.Change) *handGrid {
	t.Helper()
	home := t.TempDir()
	g := &handGrid{t: t, home: home, place: work.Place{Nodepart: "app1", Init: "ops"}, bare: gittest.New(t, filepath.Join(t.TempDir(), "ops.git"))}
	g.Survey = &work.Survey{Root: g.file("gitrepo"), StateDir: g.file("lib"),
		Open: func(_, version string) (*objects.Tree, error) { return g.clone.Tree(version) }}
	g.Runner = &Runner{
		LockPath: g.file("run/work.lock"), Home: home, StateDir: g.file("lib"), UserHome: home, User: "root",
		Timeout: 5 * time.Minute, Grace: 200 * time.Millisecond,
		Rules: work.Rules{RetryFirst: time.Minute, RetryMax: time.Hour, WedgeAfter: 3, Node: "n"},
	}
	source := remote.Source{URL: g.bare.Git("rev-parse", "--absolute-git-dir"), Branch: "main"}
	g.clone = clone.New(g.file("gitrepo/ops"), source, clone.Limits{})
	g.push(append(changes, gittest.File("nodework/common/work.sh", "true\n"))...)
	return g
}

// push commits to the repository and moves its clone.
func (g *handGrid) push(changes ...gittest.Change) {
	g.t.Helper()
	g.bare.Commit("main", changes...)
	sight, err := g.clone.Look(g.t.Context(), nil)
	testkit.Must(g.t, err)
	g.at = []work.At{{Repo: "ops", Version: sight.Version}}
}

// item judges and gives one item; false when it is not there.
func (g *handGrid) item(name string) (work.Judgement, bool) {
	for _, j := range g.Judge(g.at, g.place, time.Now()).Judgements {
		if j.Item.Name == name {
			return j, true
		}
	}
	return work.Judgement{}, false
}

// start starts an item, due or not.
func (g *handGrid) start(name string) work.InHand {
	g.t.Helper()
	_, err := g.Acquire()
	testkit.Must(g.t, err)
	j, ok := g.item(name)
	if !ok {
		g.t.Fatalf("no item %s", name)
	}
	h, err := g.Start(j, work.PlanRun(j, g.Rules, time.Now()), work.Env{NodeID: "i-1", Nodepart: "app1"})
	testkit.Must(g.t, err)
	return h
}

// end waits for what is in hand.
func (g *handGrid) end() work.Outcome {
	g.t.Helper()
	select {
	case o := <-g.Done():
		return o
	case <-time.After(soon):
		g.t.Fatal("no end")
	}
	return work.Outcome{}
}

func (g *handGrid) do(name string) work.Attempt {
	g.t.Helper()
	h := g.start(name)
	o := g.end()
	if o.Last == nil || o.Last.RunID != h.RunID || o.Item != name {
		g.t.Fatalf("outcome %+v of %+v", o, h)
	}
	return *o.Last
}

func (g *handGrid) file(name string) string { return filepath.Join(g.home, name) }

func (g *handGrid) read(name string) string {
	data, _ := os.ReadFile(g.file(name))
	return string(data)
}

// TestHandDoesInit: from the tree to the memory, and back by a person's word.
func TestHandDoesInit(t *testing.T) {
	g := newHandGrid(t,
		gittest.File("it/nodeinit/common/init.sh", "export SET=by-common\n"),
		gittest.File("it/nodeinit/part/app1/init.sh", "echo $SET; env | grep ^ADD_ >\"$ADD_HOME/env\"\n"))
	a := g.do("init")
	if !a.OK() || a.LastLine != "by-common" || a.Verdict != work.First || a.Log != g.file("log/work/ops_init/"+filepath.Base(a.Log)) {
		t.Errorf("%+v", a)
	}
	env := g.read("env")
	for _, want := range []string{"ADD_LEVEL=init", "ADD_ITEM=init", "ADD_REPO=ops", "ADD_TEMP=" + g.file("lib/init"), "ADD_VERDICT=first", "ADD_RUN_ID=" + a.RunID, "ADD_ATTEMPT=1"} {
		if !strings.Contains(env, want+"\n") {
			t.Errorf("no %s in %s", want, env)
		}
	}
	if _, ok := g.item("init"); ok || !g.Judge(g.at, g.place, time.Now()).InitDone {
		t.Error("it is not done")
	}
	if entries, err := os.ReadDir(g.file("gitrepo/ops/.temp")); err == nil {
		t.Errorf("in the clone: %v", entries)
	}
	if err := g.Again("ops", "init", "ann"); err == nil {
		t.Error("forgotten without the lock")
	}
	_, err := g.Acquire()
	testkit.Must(t, err)
	for _, bad := range []string{"", "..", "a/b"} {
		if g.Again("ops", bad, "ann") == nil || g.Again(bad, "root", "ann") == nil {
			t.Errorf("forgot %q", bad)
		}
	}
	testkit.Must(t, g.Again("ops", "init", "ann"))
	testkit.Must(t, g.Again("ops", "nosuchitem", "ann"))
	g.Release()
	if j, ok := g.item("init"); !ok || j.Verdict != work.First {
		t.Errorf("%+v", j)
	}
	if a := g.do("init"); !a.OK() || a.Attempt != 1 {
		t.Errorf("%+v", a)
	}
}

// TestInitOutlivesItsAgent: the next one adopts it, and there is one run of it.
func TestInitOutlivesItsAgent(t *testing.T) {
	g := newHandGrid(t, gittest.File("nodeinit/common/init.sh", "echo begun >>$ADD_HOME/runs; while [ ! -e $ADD_HOME/go ]; do read -t 0.01 <> <(:); done; true\n"))
	j, _ := g.item("init")
	o := g.order(j, work.Env{}, time.Now().UTC())
	o.LockPath = g.LockPath
	testkit.Must(t, os.MkdirAll(filepath.Dir(o.LockPath), 0o755))
	agent := exec.Command(testBinary(t), "test-agent")
	(&yard{t: t}).agent(agent, o)
	testkit.Must(t, agent.Process.Kill())
	_ = agent.Wait()
	testkit.Eventually(t, "a running script", func() bool { return g.read("runs") != "" })
	h, ok := g.Found()
	if !ok || h.Repo != "ops" || h.Item != "init" || h.RunID != o.Attempt.RunID || h.Version != j.Version || h.Log == "" || h.Attempt != 1 {
		t.Fatalf("found %+v, %v", h, ok)
	}
	testkit.Must(t, os.WriteFile(g.file("go"), nil, 0o644))
	if out := g.end(); out.Last == nil || !out.Last.OK() || out.Item != "init" {
		t.Errorf("%+v", out)
	}
	if _, ok := g.item("init"); ok || g.read("runs") != "begun\n" {
		t.Errorf("runs %q", g.read("runs"))
	}
}

// TestInitShimKilled: in the middle, and between the marker and the result. What is left is ended before anything else
// runs, and the next try is a whole one.
func TestInitShimKilled(t *testing.T) {
	for name, script := range map[string]string{
		"in the middle":    "sleep 1000 & echo $! >$ADD_HOME/child; echo $$ >$ADD_HOME/bash; trap '' TERM; while :; do wait; done\n",
		"after the marker": "trap 'sleep 1000 & echo $! >$ADD_HOME/child; echo $$ >$ADD_HOME/bash; while :; do wait; done' EXIT; trap '' TERM\n",
	} {
		t.Run(name, func(t *testing.T) {
			g := newHandGrid(t, gittest.File("nodeinit/common/init.sh", "echo common >>$ADD_HOME/ran\n"),
				gittest.File("nodeinit/part/app1/init.sh", "[ -e $ADD_HOME/healed ] && return 0\n"+script))
			y := &yard{t: t, home: g.home, lockPath: g.LockPath}
			h := g.start("init")
			testkit.Eventually(t, "the script", func() bool {
				return strings.HasSuffix(g.read("bash"), "\n") && strings.HasSuffix(g.read("child"), "\n")
			})
			bash, child := y.pid("bash"), y.pid("child")
			testkit.Must(t, syscall.Kill(y.scriptRuns().PID, syscall.SIGKILL))
			if out := g.end(); out.Last == nil || !out.Last.Finished.IsZero() {
				t.Fatalf("%+v", out)
			}
			if !alive(bash) || !alive(child) {
				t.Fatal("nothing is left: this proves nothing")
			}
			said, err := g.Acquire()
			testkit.Must(t, err)
			if len(said) != 1 || !strings.HasPrefix(said[0], "init: interrupted: its supervisor was killed; ended what was left: ") {
				t.Errorf("said %q", said)
			}
			g.Release()
			if alive(bash) || alive(child) {
				t.Error("it lives on")
			}
			j, ok := g.item("init")
			if !ok || j.Memory.Last.RunID != h.RunID || j.Memory.Last.Reason != work.ReasonInterrupted || j.Memory.Last.Failures != 1 || j.Memory.Doing != "" {
				t.Errorf("%+v", j.Memory)
			}
			testkit.Must(t, os.WriteFile(g.file("healed"), nil, 0o644))
			if a := g.do("init"); !a.OK() || a.Attempt != 2 || g.read("ran") != "common\ncommon\n" {
				t.Errorf("%+v, ran %q", a, g.read("ran"))
			}
		})
	}
}

// TestInitDeadlineAndNotNow: the same ends as work has.
func TestInitDeadlineAndNotNow(t *testing.T) {
	g := newHandGrid(t, gittest.File("nodeinit/common/init.sh", "true\n"),
		gittest.File("nodeinit/part/app1/init.sh", "if [ -e $ADD_HOME/late ]; then sleep 1000; fi; echo no network; exit 75\n"))
	if a := g.do("init"); a.Reason != work.ReasonWaiting || a.LastLine != "no network" || a.Failures != 0 {
		t.Errorf("%+v", a)
	}
	testkit.Must(t, os.WriteFile(g.file("late"), nil, 0o644))
	g.Timeout = 5 * time.Second // a busy machine takes its time to get that far
	for n := 1; n <= 3; n++ {
		if a := g.do("init"); a.Reason != work.ReasonDeadline || a.Detail != "deadline of 5s passed in nodeinit/part/app1/init.sh" || a.Failures != n {
			t.Errorf("%+v", a)
		}
	}
	j, _ := g.item("init")
	if s := work.PlanRun(j, g.Rules, time.Now()); !s.Wedged || s.Due {
		t.Errorf("%+v", s)
	}
}

// TestHugeFieldsOfNodeinfo: they would make the kernel refuse to start anything.
func TestHugeFieldsOfNodeinfo(t *testing.T) {
	g := newHandGrid(t)
	g.push(gittest.File("nodework/common/work.sh", "echo begun; env | grep -c ^ADD_NODEINFO_\n"))
	fields := map[string]string{"fits": "x"}
	for i := range 60 {
		fields[fmt.Sprintf("f%02d", i)] = strings.Repeat("x", 60<<10)
	}
	_, err := g.Acquire()
	testkit.Must(t, err)
	j, _ := g.item("common")
	h, err := g.Start(j, work.NextRun{}, work.Env{Fields: fields})
	testkit.Must(t, err)
	if out := g.end(); !out.Last.OK() || out.Last.LastLine != "1" {
		t.Errorf("%+v", out.Last)
	}
	data, err := os.ReadFile(h.Log)
	if log := string(data); err != nil || strings.Count(log, "is too large for the environment") != 60 ||
		!strings.HasPrefix(log, "addagent: nodeinfo/f00.txt is too large for the environment (61440 bytes; at most 8192, and 262144 of all fields): not passed to the script\n") {
		t.Errorf("%.600s, %v", log, err)
	}
	g.Env = map[string]string{"HUGE": strings.Repeat("x", 1<<20)}
	if a := g.do("common"); a.Reason != work.ReasonStart || !strings.Contains(a.Detail, "its environment is too large (1") {
		t.Errorf("%+v", a)
	}
}

// TestLastFailureIsKept: what runs at every beat does not push its log out.
func TestLastFailureIsKept(t *testing.T) {
	g := newHandGrid(t)
	g.push(gittest.File("nodework/common/work.sh", "[ $ADD_ATTEMPT != 1 ]\n"))
	failed := g.do("common")
	if failed.Reason != work.ReasonExit {
		t.Fatalf("%+v", failed)
	}
	dir := filepath.Dir(failed.Log)
	for i := range logsKept + 3 {
		path, err := newLog(dir, time.Now().Add(time.Duration(i+1)*time.Second))
		testkit.Must(t, err)
		testkit.Must(t, showLog(path))
	}
	if a := g.do("common"); !a.OK() {
		t.Errorf("%+v", a)
	}
	if target, err := os.Readlink(filepath.Join(dir, failedLog)); err != nil || target != filepath.Base(failed.Log) {
		t.Errorf("failed.log: %q, %v", target, err)
	}
	if _, err := os.Stat(failed.Log); err != nil {
		t.Error(err)
	}
}

// TestAlwaysIsToldTheVerdict: it runs whatever that is, and each success moves what verdicts compare with.
func TestAlwaysIsToldTheVerdict(t *testing.T) {
	g := newHandGrid(t)
	g.push(gittest.File("nodework/common/work.sh", "echo $ADD_VERDICT $ADD_PREVIOUS_VERSION; [ ! -e $ADD_HOME/broken ]\n"),
		gittest.File("nodework/common/work.yaml", "run: always\nwatch: [ app/ ]\n"))
	before := ""
	one := func(want work.Verdict, ok bool) {
		t.Helper()
		j, _ := g.item("common")
		if s := work.PlanRun(j, g.Rules, time.Now()); j.Verdict != want || !s.Due {
			t.Errorf("%s: %+v", j.Verdict, s)
		}
		a := g.do("common")
		if a.OK() != ok || a.Verdict != want || a.LastLine != strings.TrimSpace(string(want)+" "+before) {
			t.Errorf("%+v", a)
		}
		if ok {
			before = a.Version
		}
	}
	one(work.First, true)
	one(work.Same, true)
	g.push(gittest.File("README", "x\n"))
	one(work.Unaffected, true)
	one(work.Same, true)
	g.push(gittest.File("app/x", "x\n"))
	one(work.Changed, true)
	testkit.Must(t, os.WriteFile(g.file("broken"), nil, 0o644))
	one(work.Same, false)
	testkit.Must(t, os.Remove(g.file("broken")))
	g.push(gittest.File("app/x", "y\n")) // else it waits for its delay
	one(work.Changed, true)
}

// TestSetsOfServices: a run gets the sets that it is recorded with, or does not begin.
func TestSetsOfServices(t *testing.T) {
	g := newHandGrid(t)
	g.push(gittest.File("nodework/common/work.sh", "cat $ADD_SERVICES_FILE; echo\n"))
	_, err := g.Acquire()
	testkit.Must(t, err)
	defer g.Release()
	j, _ := g.item("common")
	start := func(sets string) error {
		t.Helper()
		j.Sets = []byte(sets)
		_, err := g.Start(j, work.PlanRun(j, g.Rules, time.Now()), work.Env{})
		if err == nil {
			if o := g.end(); o.Last == nil || o.Last.LastLine != "[1]" {
				t.Errorf("%+v", o.Last)
			}
			_, err = g.Acquire()
		}
		return err
	}
	testkit.Must(t, start("[1]"))
	testkit.Must(t, start("")) // not all are known
	o := g.order(j, work.Env{}, time.Now().UTC())
	o.Files[filepath.Join("/proc/none", "services.json")] = []byte("[2]") // as on a full disk
	before := g.Last("ops", "common").RunID
	if _, err := Start(g.lock, o, g.Program); err == nil || !strings.Contains(err.Error(), "services.json") || g.Last("ops", "common").RunID != before {
		t.Errorf("a run began without its sets: %v", err)
	}
}
