package run

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/work"
	"golang.org/x/sys/unix"
)

func TestShimKilled(t *testing.T) {
	tests := map[string]string{
		"obeys":        "echo working; sleep 1000 & echo $! > CHILD; wait\n",
		"ignores TERM": "trap '' TERM; echo working; (trap '' TERM; sleep 1000) & echo $! > CHILD; while :; do wait; done\n",
		"only the child, with another environment, is left": "echo working; env -i sleep 1000 & echo $! > CHILD; wait\n",
		"other environment": "trap '' TERM; echo working; env -i sleep 1000 & echo $! > CHILD; while :; do wait; done\n",
	}
	for name, script := range tests {
		t.Run(name, func(t *testing.T) {
			y := newYard(t)
			o := y.order(strings.ReplaceAll(script, "CHILD", y.path("child")) + "\n")
			run := y.start(o)
			child := y.pid("child")
			h := y.scriptRuns()
			testkit.Must(t, syscall.Kill(h.PID, syscall.SIGKILL))
			if a := y.wait(run); !a.Finished.IsZero() {
				t.Fatalf("attempt %+v", a)
			}
			if name == "obeys" || strings.HasPrefix(name, "only") {
				testkit.Eventually(t, "the script dies with its shim", func() bool { return !alive(h.Session) })
			}
			if !alive(child) {
				t.Fatal("the child is gone before the sweep: this test proves nothing")
			}
			// Two agents die after they took the lock and before they swept; what the lock says of the session outlives
			// that.
			for range 2 {
				l, err := TryLock(y.lockPath, "beat")
				testkit.Must(t, err)
				testkit.Must(t, l.Close())
			}
			l, err := TryLock(y.lockPath, "beat")
			testkit.Must(t, err)
			defer l.Close()
			swept, err := sweepAll(l, []string{y.repoDir, y.path("gitrepo/none")}, "", 200*time.Millisecond)
			if err != nil || len(swept) != 1 ||
				!strings.HasPrefix(swept[0], "ops:root interrupted: its supervisor was killed; ended what was left: ") {
				t.Errorf("swept %+v, %v", swept, err)
			}
			y.allGone(o)
			if alive(child) || alive(h.Session) {
				t.Error("the session is not empty")
			}
			a := y.last()
			if a.Reason != work.ReasonInterrupted || a.Detail != "interrupted: its supervisor was killed" || a.LastLine != "working" || a.Failures != 1 {
				t.Errorf("attempt %+v", a)
			}
			if again, err := sweepAll(l, []string{y.repoDir}, "", 0); err != nil || len(again) != 0 {
				t.Errorf("swept again: %+v, %v", again, err)
			}
		})
	}
}

// TestSweepWithoutTheLockFile: /run was cleaned. The session is found by its oldest process, and a server in its
// own session is spared.
func TestSweepWithoutTheLockFile(t *testing.T) {
	y := newYard(t)
	o := y.order("trap '' TERM\nsetsid bash -c 'echo $$ > " + y.path("server") + "; exec sleep 1000' >/dev/null 2>&1 &\nwhile :; do sleep 1000; done\n")
	run := y.start(o)
	server := y.pid("server")
	t.Cleanup(func() { _ = syscall.Kill(server, syscall.SIGKILL) })
	h := y.scriptRuns()
	testkit.Must(t, os.Remove(y.lockPath))
	testkit.Must(t, syscall.Kill(h.PID, syscall.SIGKILL))
	if err := waited(context.Background(), run); err != nil {
		t.Fatal(err)
	}
	l, err := TryLock(y.lockPath, "beat")
	testkit.Must(t, err)
	defer l.Close()
	_, err = sweepAll(l, []string{y.repoDir}, "", 100*time.Millisecond)
	testkit.Must(t, err)
	if alive(h.Session) {
		t.Error("the script lives on")
	}
	if !alive(server) {
		t.Error("the server in a session of its own was ended")
	}
}

func TestSweepOfAnotherBoot(t *testing.T) {
	y := newYard(t)
	dir := work.MemoryDir(y.repoDir, "root")
	a := y.order("").Attempt
	a.BootID = "another boot"
	testkit.Must(t, recordAttempt(dir, nil, a))
	l, err := TryLock(y.lockPath, "beat")
	testkit.Must(t, err)
	defer l.Close()
	swept, err := sweepAll(l, []string{y.repoDir}, "", time.Minute)
	if err != nil || len(swept) != 1 || swept[0] != "ops:root interrupted: the machine shut down" {
		t.Errorf("swept %+v, %v", swept, err)
	}
	if got := y.last(); got.Reason != work.ReasonInterrupted || got.Detail != "interrupted: the machine shut down" {
		t.Errorf("attempt %+v", got)
	}
}

// TestSweepFinishesACommit: killed between the result and the rename of DOING.
func TestSweepFinishesACommit(t *testing.T) {
	y := newYard(t)
	dir := work.MemoryDir(y.repoDir, "root")
	a := y.order("").Attempt
	testkit.Must(t, recordAttempt(dir, nil, a))
	testkit.Must(t, recordEnd(dir, a.End("", 0, "", "", time.Now())))
	testkit.Must(t, os.Rename(work.VersionIn(dir).Path, work.DoingIn(dir).Path))
	l, err := TryLock(y.lockPath, "beat")
	testkit.Must(t, err)
	defer l.Close()
	swept, err := sweepAll(l, []string{y.repoDir}, "", time.Minute)
	if m := work.Peek(work.MemoryDir(y.repoDir, "root")); err != nil || len(swept) != 1 || m.Version != commitA || m.Doing != "" {
		t.Errorf("swept %+v, %v; memory %+v", swept, err, m)
	}
}

// TestSweepLeavesOthersAlone: a session number that now belongs to another process.
func TestSweepLeavesOthersAlone(t *testing.T) {
	other := exec.Command("sleep", "1000")
	other.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	testkit.Must(t, other.Start())
	t.Cleanup(func() { other.Process.Kill(); other.Wait() })
	list := leftOf(work.Attempt{RunID: "gone"}, Holder{RunID: "gone", Session: other.Process.Pid})
	if left, err := list(); err != nil || len(left) != 0 {
		t.Errorf("found %v, %v", left, err)
	}
}

// TestUnfinishedRunThatCannotBeRead has no descriptor free just when the memory of a run is read that may still go on.
func TestUnfinishedRunThatCannotBeRead(t *testing.T) {
	y := newYard(t)
	dir := work.MemoryDir(y.repoDir, "root")
	o := y.order("")
	testkit.Must(t, recordAttempt(dir, nil, o.Attempt))
	var was unix.Rlimit
	testkit.Must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &was))
	testkit.Must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: was.Max}))
	began := o.begin()
	_, swept := sweepItem(&Lock{}, dir, 0)
	testkit.Must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &was))
	for _, err := range []error{began, swept} {
		if !errors.Is(err, unix.EMFILE) {
			t.Errorf("got %v, want to hear that nothing could be opened", err)
		}
	}
	if a := y.last(); a.RunID != o.Attempt.RunID || !a.Finished.IsZero() {
		t.Errorf("the attempt is %+v, want it as it was", a)
	}
}
