package run

import (
	"os"
	"syscall"
	"testing"

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
