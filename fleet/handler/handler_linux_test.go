package handler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/work/session"
)

const shimArg = "handler-shim"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == shimArg {
		if Supervise(context.Background(), os.Stdin, os.Stdout) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// yard is a repository of handlers, and the doctor's clone of it.
type yard struct {
	*testing.T
	origin string
	out    string // where scripts write
	r      *Repository
}

func newYard(t *testing.T, scripts map[string]string) *yard {
	y := &yard{T: t, origin: filepath.Join(t.TempDir(), "origin"), out: t.TempDir()}
	testkit.Must(t, os.MkdirAll(y.origin, 0o755))
	y.git("init", "-q", "-b", "main")
	y.push(scripts)
	var err error
	y.r, err = Open(Options{Source: remote.Source{URL: y.origin}, Dir: filepath.Join(t.TempDir(), "handlers"), Shim: shimArg,
		Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + y.out, "AWS_SECRET_ACCESS_KEY=secret", "https_proxy=http://proxy:1"}})
	testkit.Must(t, err)
	t.Cleanup(func() { y.r.Close() })
	_, err = y.r.Look(t.Context())
	testkit.Must(t, err)
	return y
}

func (y *yard) git(args ...string) {
	y.Helper()
	c := exec.Command("git", append([]string{"-C", y.origin, "-c", "user.name=n", "-c", "user.email=n@example.org"}, args...)...)
	out, err := c.CombinedOutput()
	if err != nil {
		y.Fatalf("git %v: %v: %s", args, err, out)
	}
}

// push commits files; a name that ends in ! is executable.
func (y *yard) push(files map[string]string) {
	y.Helper()
	for name, text := range files {
		path := filepath.Join(y.origin, strings.TrimSuffix(name, "!"))
		testkit.Must(y, os.MkdirAll(filepath.Dir(path), 0o755))
		mode := os.FileMode(0o644)
		if strings.HasSuffix(name, "!") {
			mode = 0o755
		}
		testkit.Must(y, os.WriteFile(path, []byte(text), mode))
	}
	y.git("add", "-A")
	y.git("commit", "-q", "-m", "x")
}

func (y *yard) wrote(name string) string {
	data, _ := os.ReadFile(filepath.Join(y.out, name))
	return string(data)
}

func failing() event.Event {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return event.Event{ID: "53ac2f9e1b7d4c08", Type: "nodes", Name: "i-1", Node: "i-1", IP: "10.0.0.7", State: "fail\x1b[2J\ning", Code: "0",
		PreviousState: "idle", PreviousCode: "0", Time: "2026-03-01T12:00:00Z", At: at}
}

func always() time.Duration { return time.Minute }

// TestHandlersGetTheEvent: as JSON on standard input and in the environment, which holds no secret of the doctor; in
// the order of their names; what is done is not done again, and one that fails does not stop the others.
func TestHandlersGetTheEvent(t *testing.T) {
	y := newYard(t, map[string]string{
		"nodeevent/nodes/10-write.sh!":  "#!/bin/sh\ncat >$HOME/json; env | sort >$HOME/env; pwd >$HOME/pwd; printf a >>$HOME/order\n",
		"nodeevent/nodes/20-fail.sh":    "printf b >>$HOME/order; echo no luck; exit 3\n",
		"nodeevent/nodes/30-after.sh":   "printf c >>$HOME/order\n",
		"nodeevent/nodes/README.md":     "none",
		"nodeevent/instances/none.txt":  "none",
		"nodeevent/sets/folder.sh/x.sh": "exit 1\n",
	})
	types, err := y.r.Look(t.Context())
	testkit.Must(t, err)
	if fmt.Sprint(types) != "[nodes]" {
		t.Errorf("%v", types)
	}
	done, err := y.r.Run(t.Context(), failing(), nil, always)
	if err == nil || !strings.HasPrefix(err.Error(), "nodeevent/nodes/20-fail.sh: exit 3: no luck (log "+y.r.Dir+"/log/2026-03-01T120000Z_nodes_20-fail_") {
		t.Errorf("%v", err)
	}
	if y.wrote("order") != "abc" || len(done) != 2 {
		t.Errorf("%s, done %q", y.wrote("order"), done)
	}
	var e event.Event
	testkit.Must(t, json.Unmarshal([]byte(y.wrote("json")), &e))
	if want := failing(); e.State != want.State || e.ID != want.ID || !strings.HasSuffix(y.wrote("json"), "}\n") {
		t.Errorf("%+v", e)
	}
	env := y.wrote("env")
	for _, want := range []string{"ADD_EVENT_ID=53ac2f9e1b7d4c08", "ADD_EVENT_STATE=fail [2J ing", "ADD_EVENT_PREVIOUS_STATE=idle", "ADD_EVENT_IP=10.0.0.7", "https_proxy=http://proxy:1"} {
		if !strings.Contains("\n"+env, "\n"+want+"\n") {
			t.Errorf("no %s in:\n%s", want, env)
		}
	}
	if strings.Contains(env, "AWS") || y.wrote("pwd") != filepath.Join(y.r.Dir, "repo")+"\n" {
		t.Errorf("%s%s", env, y.wrote("pwd"))
	}
	y.push(map[string]string{"nodeevent/nodes/20-fail.sh": "printf d >>$HOME/order\n"})
	_, err = y.r.Look(t.Context())
	testkit.Must(t, err)
	done, err = y.r.Run(t.Context(), failing(), done, always)
	if err != nil || y.wrote("order") != "abcd" || len(done) != 3 {
		t.Errorf("%s, done %q, %v", y.wrote("order"), done, err)
	}
}

// TestHandlerThatIsEnded: with its deadline, its claim, its doctor or its shim ends a script with all that it started.
func TestHandlerThatIsEnded(t *testing.T) {
	const forks = "sh -c 'trap \"\" TERM; while :; do sleep 0.1; done' & echo $$ >$HOME/pid; echo begun; wait\n"
	for _, c := range []struct {
		what, config string
		left         time.Duration
		end          func(y *yard, stop context.CancelCauseFunc)
		want         string
	}{
		{"the deadline", "deadline: 1s\n", time.Minute, func(*yard, context.CancelCauseFunc) {}, "deadline of 1s passed"},
		{"the claim", "", time.Second, func(*yard, context.CancelCauseFunc) {}, "interrupted: its doctor did not renew its claim"},
		{"the doctor", "", time.Minute, func(_ *yard, stop context.CancelCauseFunc) { stop(errors.New("told to end")) }, "told to end"},
		{"the shim", "", time.Minute, func(y *yard, _ context.CancelCauseFunc) { syscall.Kill(y.parent(), syscall.SIGKILL) }, "its shim ended without a result"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			scripts := map[string]string{"nodeevent/nodes/hang.sh": forks}
			if c.config != "" {
				scripts["nodeevent/nodes/handler.yaml"] = c.config
			}
			y := newYard(t, scripts)
			ctx, stop := context.WithCancelCause(t.Context())
			defer stop(nil)
			ended, until := make(chan error, 1), time.Now().Add(c.left)
			go func() {
				_, err := y.r.run(ctx, failing(), nil, func() time.Duration { return time.Until(until) }, 100*time.Millisecond)
				ended <- err
			}()
			testkit.Eventually(t, "its begin", func() bool { return strings.HasSuffix(y.wrote("pid"), "\n") })
			c.end(y, stop)
			if err := <-ended; err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
			testkit.Eventually(t, "nothing left", func() bool { left, err := session.Of(y.pid()); return err == nil && len(left) == 0 })
		})
	}
}

func (y *yard) pid() (pid int) {
	_, _ = fmt.Sscan(y.wrote("pid"), &pid)
	return pid
}

// parent is the shim of the script that runs.
func (y *yard) parent() (pid int) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", y.pid()))
	testkit.Must(y, err)
	after := string(data[slices.Index(data, ')')+1:])
	var state string
	_, _ = fmt.Sscan(after, &state, &pid)
	return pid
}

// TestHandlersThatCannotRun: what is wrong is said, with file, line and column, and nothing counts as done.
func TestHandlersThatCannotRun(t *testing.T) {
	y := newYard(t, map[string]string{"nodeevent/nodes/a.sh": "exit 0\n", "nodeevent/nodes/handler.yaml": "dedline: 1m\n"})
	_, err := y.r.Run(t.Context(), failing(), nil, always)
	if err == nil || err.Error() != `nodeevent/nodes/handler.yaml:1:1: unknown key "dedline", did you mean deadline?` {
		t.Errorf("%v", err)
	}
	for _, wrong := range []string{"deadline: 0s\n", "deadline: 25h\n", "deadline: soon\n", "[]\n"} {
		y.push(map[string]string{"nodeevent/nodes/handler.yaml": wrong})
		_, err = y.r.Look(t.Context())
		testkit.Must(t, err)
		if done, err := y.r.Run(t.Context(), failing(), nil, always); err == nil || len(done) > 0 {
			t.Errorf("%q: done %q", wrong, done)
		}
	}
	if _, err := Open(y.r.Options); !errors.Is(err, files.ErrHeld) {
		t.Errorf("two in one folder: %v", err)
	}
	// A server that is down: the version from before stays.
	testkit.Must(t, os.Rename(y.origin, y.origin+".gone"))
	types, err := y.r.Look(t.Context())
	if err == nil || fmt.Sprint(types) != "[nodes]" {
		t.Errorf("%v, %v", types, err)
	}
}
