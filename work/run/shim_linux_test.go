package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/work"
	"github.com/addagent/addagent/work/session"
)

// TestMain lets the test binary be what the agent's is: started again as a shim, or as an agent that starts work and is
// killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "work-shim":
			syscall.Exit(Supervise(context.Background())) // not os.Exit: under the race detector that takes a second
		case "test-agent":
			os.Exit(testAgent())
		case "test-wedge": // what `addagent wedge REASON` is
			if err := SayWedged(os.Getenv("ADD_TEMP"), os.Getenv("ADD_RUN_ID"), os.Args[2]); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// testAgent takes the lock, starts the order on stdin, says so and stays until it is killed.
func testAgent() int {
	var o Order
	err := json.NewDecoder(os.Stdin).Decode(&o)
	if err == nil {
		var l *Lock
		if l, err = TryLock(o.LockPath, "beat"); err == nil {
			_, err = sweepAll(l, []string{o.RepoDir}, filepath.Join(filepath.Dir(o.LockPath), "lib"), o.Grace)
		}
		if err == nil {
			_, err = Start(l, o, Program{})
		}
	}
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	fmt.Println("started")
	for {
		_ = syscall.Pause() // without cgo, the runtime takes an empty select for a deadlock
	}
}

const (
	commitA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	soon    = 6 * time.Minute // longer than the deadline of a script, and far more than anything here takes: a deadline, not a measure
)

// yard is a node's home with one clone and one item in it.
type yard struct {
	t        *testing.T
	home     string
	repoDir  string
	lockPath string
	script   string
	runs     int
}

func newYard(t *testing.T) *yard {
	t.Helper()
	home := t.TempDir()
	y := &yard{t: t, home: home, repoDir: filepath.Join(home, "gitrepo", "ops"), lockPath: filepath.Join(home, "work.lock")}
	y.script = filepath.Join(y.repoDir, "nodework", "work.sh")
	testkit.Must(t, os.MkdirAll(filepath.Dir(y.script), 0o755))
	return y
}

// order writes the script and orders it.
func (y *yard) order(script string) Order {
	y.t.Helper()
	testkit.Must(y.t, os.WriteFile(y.script, []byte(script), 0o644))
	y.runs++
	now := time.Now()
	id := newRunID(now)
	o := Order{
		Repo: "ops", Item: "root", RepoDir: y.repoDir, Memory: work.MemoryDir(y.repoDir, "root"), Script: y.script, Logs: filepath.Join(y.home, "log", "work"),
		Attempt: work.Attempt{RunID: id, Verdict: work.First, Version: commitA, Ids: map[string]string{".": commitA}, Fingerprint: "f00d",
			Attempt: y.runs, Started: now.UTC(), BootID: bootID()},
		Timeout: 5 * time.Minute, Grace: 500 * time.Millisecond,
	}
	o.Env = y.environment("", o)
	return o
}

func (y *yard) environment(level work.Level, o Order) []string {
	env, _ := (&Runner{UserHome: y.home, User: "root", Home: y.home}).environ(work.Item{Level: level}, work.Env{}, o)
	return env
}

func (y *yard) start(o Order) *Shim {
	y.t.Helper()
	l, err := TryLock(y.lockPath, "beat")
	testkit.Must(y.t, err)
	run, err := Start(l, o, Program{})
	testkit.Must(y.t, err)
	return run
}

// wait waits for the run and returns its attempt as recorded.
func (y *yard) wait(run *Shim) work.Attempt {
	y.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	if err := waited(ctx, run); err != nil {
		y.t.Fatalf("the shim did not end: %v\n%s", err, y.log())
	}
	return y.last()
}

func (y *yard) last() work.Attempt {
	y.t.Helper()
	m := work.Peek(work.MemoryDir(y.repoDir, "root"))
	if m.Last == nil || len(m.Problems) > 0 {
		y.t.Fatalf("no attempt recorded: %+v", m)
	}
	return *m.Last
}

func (y *yard) do(script string) work.Attempt {
	y.t.Helper()
	return y.wait(y.start(y.order(script)))
}

func (y *yard) log() string {
	data, _ := os.ReadFile(filepath.Join(LogDir(filepath.Join(y.home, "log", "work"), "ops", "root"), latestLog))
	return string(data)
}

func (y *yard) path(name string) string { return filepath.Join(y.home, name) }

// pid waits for a process id in a file that a script writes.
func (y *yard) pid(name string) int {
	y.t.Helper()
	defer func() {
		if y.t.Failed() {
			y.t.Logf("holder %+v\nlast %+v\nlog %s", y.holder(), y.last(), y.log())
		}
	}()
	return y.pidOf(name)
}

// pidOf is pid where no work of the yard's own is to be shown.
func (y *yard) pidOf(name string) int {
	y.t.Helper()
	var pid int
	testkit.Eventually(y.t, "a process id in "+name, func() bool {
		data, err := os.ReadFile(y.path(name))
		if err != nil || !bytes.HasSuffix(data, []byte("\n")) {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(data)))
		return err == nil
	})
	return pid
}

func alive(pid int) bool {
	p, ok := session.Read(pid)
	return ok && p.State != 'Z' && p.State != 'X'
}

func (y *yard) holder() Holder {
	h, _, err := ReadHolder(y.lockPath)
	testkit.Must(y.t, err)
	return h
}

// scriptRuns waits until the shim noted the script's session, and returns the holder.
func (y *yard) scriptRuns() Holder {
	y.t.Helper()
	testkit.Eventually(y.t, "a running script", func() bool { return y.holder().Session != 0 })
	return y.holder()
}

func TestWorkSucceeds(t *testing.T) {
	y := newYard(t)
	run := y.start(y.order("echo one; pwd; echo last line >&2\n"))
	a := y.wait(run)
	if !a.OK() || a.Exit != 0 || a.Detail != "" || a.LastLine != "last line" || a.Log != run.Log {
		t.Errorf("attempt: %+v", a)
	}
	if want := "one\n" + y.repoDir + "\nlast line\n"; y.log() != want {
		t.Errorf("log %q, want %q", y.log(), want)
	}
	m := work.Peek(work.MemoryDir(y.repoDir, "root"))
	if m.Version != commitA || m.Doing != "" || m.Done == nil || m.Done.Version != commitA {
		t.Errorf("memory: %+v", m)
	}
	if _, held, err := ReadHolder(y.lockPath); held || err != nil {
		t.Errorf("lock held %v, %v after the end", held, err)
	}
	if _, err := os.Stat(y.lockPath); err != nil {
		t.Errorf("lock file: %v", err)
	}
}

// TestIgnoredSignalsAreDefaultAgain: an agent started with nohup ignores SIGHUP, and what is ignored would be so in
// every script.
func TestIgnoredSignalsAreDefaultAgain(t *testing.T) {
	y := newYard(t)
	o := y.order("grep SigIgn /proc/self/status\n")
	o.LockPath = y.lockPath
	cmd := exec.Command("/bin/sh", "-c", `trap "" HUP INT TSTP; exec 9>`+y.path("leak")+`; exec "$0" test-agent`, testBinary(t))
	y.agent(cmd, o)
	testkit.Eventually(t, "the end", func() bool { _, held, err := ReadHolder(y.lockPath); return err == nil && !held })
	_, mask, found := strings.Cut(y.log(), "SigIgn:\t")
	if mask, _, _ = strings.Cut(mask, "\n"); !found || !noSignals(mask) {
		t.Errorf("signals in the script: %s", y.log())
	}
}

// noSignals tells whether a mask of /proc/PID/status is empty, but for 32 to 34: the C library keeps those to itself,
// no program can set them, and this test's parent may have left them ignored.
func noSignals(mask string) bool {
	bits, err := strconv.ParseUint(mask, 16, 64)
	return err == nil && bits&^(7<<31) == 0
}

func testBinary(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	testkit.Must(t, err)
	return path
}

// agent starts an agent process with this order and returns when it said that work started. It is killed at the end of
// the test.
func (y *yard) agent(cmd *exec.Cmd, o Order) {
	y.t.Helper()
	data, err := json.Marshal(o)
	testkit.Must(y.t, err)
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.StdoutPipe()
	testkit.Must(y.t, err)
	testkit.Must(y.t, cmd.Start())
	y.t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line := make([]byte, 200)
	n, _ := out.Read(line)
	if string(line[:n]) != "started\n" {
		y.t.Fatalf("agent: %q", line[:n])
	}
}

func TestAgentKilledWorkGoesOn(t *testing.T) {
	y := newYard(t)
	o := y.order("echo begun; while [ ! -e " + y.path("go") + " ]; do read -t 0.01 <> <(:); done; echo ended\n")
	o.LockPath = y.lockPath
	cmd := exec.Command(testBinary(t), "test-agent")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	y.agent(cmd, o)
	// As a terminal does at ^C and when it goes away, and then the worst.
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP, syscall.SIGKILL} {
		_ = syscall.Kill(-cmd.Process.Pid, s)
	}
	_ = cmd.Wait()
	h := y.scriptRuns()

	// The next agent finds the lock taken, and adopts.
	_, err := TryLock(y.lockPath, "beat")
	var busy *Busy
	if !errors.As(err, &busy) || busy.Holder.PID != h.PID || busy.Holder.Item != "ops:root" || busy.Holder.RunID != o.Attempt.RunID {
		t.Fatalf("lock: %v", err)
	}
	run, ok, err := adopt(y.lockPath)
	if err != nil || !ok || run.RunID != o.Attempt.RunID || run.Item != "ops:root" {
		t.Fatalf("adopt: %+v %v %v", run, ok, err)
	}
	short, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := waited(short, run); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("wait: %v", err)
	}
	testkit.Must(t, os.WriteFile(y.path("go"), nil, 0o644))
	if a := y.wait(run); !a.OK() || a.LastLine != "ended" {
		t.Errorf("attempt %+v", a)
	}
	if _, ok, err := adopt(y.lockPath); ok || err != nil {
		t.Errorf("adopt after the end: %v %v", ok, err)
	}
}

func TestNeverTwoAtOnce(t *testing.T) {
	y := newYard(t)
	script := "set -o noclobber; echo $$ > " + y.path("one") + " || exit 50; echo >> " + y.path("count") + "; rm " + y.path("one") + "\n"
	testkit.Must(t, os.WriteFile(y.script, []byte(script), 0o644))
	type result struct {
		runs int
		err  error
	}
	results := make(chan result)
	const each = 4
	for range 3 {
		o := y.order(script) // the same item from three agents
		go func() {
			r := result{}
			defer func() { results <- r }()
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for until := time.Now().Add(soon); r.runs < each && time.Now().Before(until); {
				<-tick.C
				l, err := TryLock(y.lockPath, "beat")
				if busy := (*Busy)(nil); errors.As(err, &busy) {
					continue
				}
				var run *Shim
				if err == nil {
					run, err = Start(l, o, Program{})
				}
				if err == nil {
					err = waited(context.Background(), run)
				}
				if r.err = err; err != nil {
					return
				}
				r.runs++
			}
		}()
	}
	for range 3 {
		if r := <-results; r.err != nil || r.runs != each {
			t.Errorf("%d runs, %v", r.runs, r.err)
		}
	}
	data, _ := os.ReadFile(y.path("count"))
	if len(data) != 3*each || !y.last().OK() {
		t.Errorf("%d of %d runs alone; last %+v", len(data), 3*each, y.last())
	}
}

func TestChangedFile(t *testing.T) {
	y := newYard(t)
	o := y.order("cat " + y.path("changed") + "\n")
	o.Files = map[string][]byte{y.path("changed"): changedList([]string{"a b", "c/d"})}
	if a := y.wait(y.start(o)); !a.OK() || y.log() != "a b\nc/d\n" {
		t.Errorf("attempt %+v, log %q", a, y.log())
	}
}

func TestStartRefused(t *testing.T) {
	y := newYard(t)
	l, err := TryLock(y.lockPath, "beat")
	testkit.Must(t, err)
	defer l.Close()
	o := y.order("exit 0\n")
	if _, err := Start(l, o, Program{Path: "/no/such/agent"}); err == nil {
		t.Error("start with a shim that is not there")
	}
	if a := y.last(); a.Reason != work.ReasonStart || a.Finished.IsZero() || !strings.Contains(a.Detail, "/no/such/agent") {
		t.Errorf("attempt %+v", a)
	}
	unfinished := y.order("exit 0\n").Attempt
	testkit.Must(t, recordAttempt(work.MemoryDir(y.repoDir, "root"), nil, unfinished))
	if _, err := Start(l, y.order("exit 0\n"), Program{}); err == nil || !strings.Contains(err.Error(), unfinished.RunID+" of ops:root has no recorded end") {
		t.Errorf("start beside an unfinished run: %v", err)
	}
	if _, err := sweepAll(l, []string{y.repoDir}, "", 0); err != nil {
		t.Error(err)
	}
	// The lock is still ours, and good for the next item.
	if _, err := TryLock(y.lockPath, "beat"); err == nil {
		t.Error("the lock was given away")
	}
	run, err := Start(l, y.order("exit 0\n"), Program{})
	testkit.Must(t, err)
	if a := y.wait(run); !a.OK() {
		t.Errorf("attempt %+v", a)
	}
}
