package run

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/work"
)

// TestShutdown: the machine goes down while a script runs, as a mount namespace of its own shows it.
func TestShutdown(t *testing.T) {
	if again(t, ownNamespace()) {
		return
	}
	testkit.Must(t, mountSmall("/run", "1m"))
	testkit.Must(t, os.WriteFile("/run/nologin", nil, 0o644))
	const script, shim, both = "script", "shim", "both"
	for name, c := range map[string]struct {
		trap     string
		told     string // who is sent SIGTERM
		reason   work.Reason
		failures int
	}{
		"the shim is told":           {"exit 0", shim, work.ReasonShutdown, 0},
		"the script is gone already": {"exit 1", both, work.ReasonShutdown, 0},
		"the script is killed":       {"trap - TERM; kill $$", both, work.ReasonShutdown, 0},
		"it is done in time":         {"exit 0", script, "", 0},
		"not now":                    {"exit 75", script, work.ReasonWaiting, 0},
		"it fails by itself":         {"exit 3", script, work.ReasonExit, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t)
			o := y.order("trap '" + c.trap + "' TERM; echo $$ >" + y.path("script") + "; sleep 1000 & wait\n")
			run := y.start(o)
			y.pid("script")
			h := y.scriptRuns()
			if c.told == both { // all at once: what comes first to the shim is left to chance
				testkit.Must(t, syscall.Kill(h.PID, syscall.SIGSTOP))
			}
			if c.told != shim {
				testkit.Must(t, syscall.Kill(h.Session, syscall.SIGTERM))
				testkit.Eventually(t, "the end of the script", func() bool { return !alive(h.Session) })
			}
			if c.told != script {
				testkit.Must(t, syscall.Kill(h.PID, syscall.SIGTERM))
				testkit.Must(t, syscall.Kill(h.PID, syscall.SIGCONT))
			}
			a := y.wait(run)
			if a.Reason != c.reason || a.Failures != c.failures || a.Reason == work.ReasonShutdown && a.Shutdowns != 1 {
				t.Errorf("%+v", a)
			}
			y.allGone(o)
		})
	}
}

// A script that removes or empties the lock's file is waited for all the same: its shim is our child.
func TestWaitWithoutTheLockFile(t *testing.T) {
	for _, how := range []string{"rm ", "truncate -s 0 "} {
		y := newYard(t)
		run := y.start(y.order(how + y.lockPath + "; touch " + y.path("gone") + "; while [ ! -e " + y.path("go") + " ]; do read -t 0.01 <> <(:); done; exit 0\n"))
		testkit.Eventually(t, "the lock's file is gone", func() bool { _, err := os.Stat(y.path("gone")); return err == nil })
		short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if err := waited(short, run); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: wait: %v", how, err)
		}
		testkit.Must(t, os.WriteFile(y.path("go"), nil, 0o644))
		if a := y.wait(run); !a.OK() {
			t.Errorf("%s: attempt %+v", how, a)
		}
	}
}
