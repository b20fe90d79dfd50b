package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/work"
)

// TestKilledAnywhere kills agent, shim and script at random moments, round after round. The script holds a lock of its
// own that its children inherit: it says when a second run, or what was left of one, is beside it.
func TestKilledAnywhere(t *testing.T) {
	t.Run("work", func(t *testing.T) {
		y := newYard(t)
		killedAnywhere(t, y, y.order)
	})
	t.Run("init", func(t *testing.T) {
		y := newInitYard(t)
		killedAnywhere(t, y.yard, func(script string) Order {
			i := strings.LastIndex(script, "\n(trap")
			return y.initOrder(script[:i], "", script[i:])
		})
	})
}

func killedAnywhere(t *testing.T, y *yard, order func(script string) Order) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	script := "exec 9>>" + y.path("guard") + "\nflock -n 9 || echo two >> " + y.path("violations") + "\n" +
		"trap 'exit 7' TERM\n(trap '' TERM; sleep 0.1; echo child) &\nset -m; sleep 0.1 & wait\necho ended\n"
	// Clean up when the test fails, too: nothing may outlive it.
	var orders []Order
	t.Cleanup(func() {
		for _, o := range orders {
			y.allGone(o)
		}
	})
	counts := map[string]int{}
	for range 20 {
		o := order(script)
		o.LockPath, o.Grace = y.lockPath, 50*time.Millisecond
		orders = append(orders, o)
		data, err := json.Marshal(o)
		testkit.Must(t, err)
		agent := exec.Command(testBinary(t), "test-agent")
		agent.Stdin = bytes.NewReader(data)
		var out bytes.Buffer
		agent.Stdout, agent.Stderr = &out, &out
		testkit.Must(t, agent.Start())
		// Most of it happens within a tenth of a second after the lock was taken.
		testkit.Eventually(t, "the agent takes the lock or gives up", func() bool {
			h, held, err := ReadHolder(y.lockPath)
			return err == nil && held && (h.PID == agent.Process.Pid || h.RunID == o.Attempt.RunID) || o.known()
		})
		<-time.After(time.Duration(random.IntN(100)) * time.Millisecond)
		h := y.holder()
		switch random.IntN(4) {
		case 0:
			counts["agent"]++
		case 1:
			if h.Purpose == PurposeWork && h.PID != agent.Process.Pid {
				counts["shim"]++
				_ = syscall.Kill(h.PID, syscall.SIGKILL)
			}
		case 2:
			if h.RunID == o.Attempt.RunID && h.Session > 1 {
				counts["script"]++
				_ = syscall.Kill(h.Session, syscall.SIGKILL)
			}
		default:
			testkit.Eventually(t, "the end of work", func() bool { _, held, err := ReadHolder(y.lockPath); return err == nil && !held })
		}
		_ = agent.Process.Kill()
		_ = agent.Wait()
		if strings.Contains(out.String(), "error") {
			t.Errorf("agent: %s", &out)
		}
		testkit.Eventually(t, "a free lock", func() bool { _, held, err := ReadHolder(y.lockPath); return err == nil && !held })
	}
	t.Logf("killed %v", counts)
	l, err := TryLock(y.lockPath, "beat")
	testkit.Must(t, err)
	if _, err := sweepAll(l, []string{y.repoDir}, y.path("lib"), 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	o := order(script)
	run, err := Start(l, o, Program{})
	testkit.Must(t, err)
	testkit.Must(t, waited(t.Context(), run))
	if m := work.Peek(o.Memory); m.Last == nil || !m.Last.OK() || m.Version != commitA || m.Doing != "" || len(m.Problems) > 0 {
		t.Errorf("memory %+v, last %+v", m, m.Last)
	}
	if data, err := os.ReadFile(y.path("violations")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("violations: %q, %v", data, err)
	}
	left, err := filepath.Glob(filepath.Join(o.Memory, "*.corrupt"))
	if err != nil || len(left) > 0 {
		t.Errorf("set aside: %v, %v", left, err)
	}
}

// known tells whether this run was recorded.
func (o Order) known() bool {
	last := work.Peek(o.Memory).Last
	return last != nil && last.RunID == o.Attempt.RunID
}

// TestFullDisk: the script fills the disk, its result lands all the same; a full disk lets nothing start, and heals.
func TestFullDisk(t *testing.T) {
	y := newYard(t)
	small := filepath.Join(y.home, "gitrepo")
	testkit.Must(t, os.RemoveAll(small))
	testkit.Must(t, os.Mkdir(small, 0o755))
	if err := mountSmall(small, "1m"); err != nil {
		if again(t, ownNamespace()) {
			return
		}
		t.Fatalf("no small file system here: %v", err)
	}
	t.Cleanup(func() { _ = unmount(small) })
	testkit.Must(t, os.MkdirAll(filepath.Dir(y.script), 0o755))
	logs := filepath.Join(small, "log")
	o := y.order("if [ -e " + y.path("healed") + " ]; then exit 0; fi; echo begun; head -c 10000000 /dev/zero || exit 9\n")
	o.Logs = logs
	a := y.wait(y.start(o))
	if a.Reason != work.ReasonExit || a.Exit != 9 || a.Finished.IsZero() {
		t.Fatalf("attempt %+v", a)
	}
	fill(t, small)
	if err := SayWedged(work.MemoryDir(y.repoDir, "root"), "r", "no room"); !errors.Is(err, syscall.ENOSPC) || !strings.HasPrefix(err.Error(), "mark wedged: disk full: ") {
		t.Errorf("said wedged on a full disk: %v", err)
	}
	l, err := TryLock(y.lockPath, "beat")
	testkit.Must(t, err)
	defer l.Close()
	next := o
	next.Attempt.RunID += "x"
	next.Env = append(next.Env, runEntry(next.Attempt.RunID))
	if _, err := Start(l, next, Program{}); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "disk full") {
		t.Fatalf("start on a full disk: %v", err)
	}
	if got := y.last(); got.RunID != a.RunID {
		t.Errorf("a run that did not start is remembered: %+v", got)
	}
	if entries, _ := os.ReadDir(LogDir(logs, "ops", "root")); len(entries) != 3 { // the log and the two links to it
		t.Errorf("logs: %v", entries)
	}
	testkit.Must(t, os.Remove(filepath.Join(small, "ballast")))
	testkit.Must(t, os.Truncate(a.Log, 0))
	testkit.Must(t, os.WriteFile(y.path("healed"), nil, 0o644))
	run, err := Start(l, next, Program{})
	testkit.Must(t, err)
	if got := y.wait(run); !got.OK() {
		t.Errorf("it does not heal: %+v", got)
	}
}
