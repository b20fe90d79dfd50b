package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/work"
	"github.com/addagent/addagent/work/session"
)

func TestHowScriptsEnd(t *testing.T) {
	tests := []struct {
		name, script string
		exit         int
		reason       work.Reason
		detail, last string
	}{
		{"exit", "echo no; exit 3\n", 3, work.ReasonExit, "exit 3", "no"},
		{"not now", "echo db is down; exit 75\n", 75, work.ReasonWaiting, "exit 75", "db is down"},
		{"signal", "kill -SEGV $$\n", -1, work.ReasonSignal, "killed by SIGSEGV", ""},
		{"killed", "echo x; kill -9 $$\n", -1, work.ReasonSignal, "killed by SIGKILL", "x"},
		{"no newline", "printf 'all is well'\n", 0, "", "", "all is well"},
		{"closed stdout", "exec >&- 2>&-\nexit 4\n", 4, work.ReasonExit, "exit 4", ""},
		{"reads stdin", "read x && exit 9; exit 5\n", 5, work.ReasonExit, "exit 5", ""},
		{"empty", "", 0, "", "", ""},
		{"missing command", "nosuchcommand\n", 127, work.ReasonExit, "exit 127", ""},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t)
			a := y.do(c.script)
			if a.Exit != c.exit || a.Reason != c.reason || a.Detail != c.detail || c.last != "" && a.LastLine != c.last {
				t.Errorf("exit %d, reason %q, detail %q, last line %q", a.Exit, a.Reason, a.Detail, a.LastLine)
			}
			if a.Finished.IsZero() || a.OK() != (c.exit == 0) {
				t.Errorf("attempt %+v", a)
			}
		})
	}
}

func TestExecutableScripts(t *testing.T) {
	foreign := "\x7fELF is no program at all"
	tests := []struct{ name, script, detail string }{
		{"bash", "#!/bin/bash\nexit 0\n", ""},
		{"env", "#!/usr/bin/env bash\nexit 0\n", ""},
		{"wrong interpreter", "#!/no/such/thing -x\n", `cannot start: nodework/work.sh: its interpreter "/no/such/thing" is not there`},
		{"carriage return", "#!/bin/bash\r\nexit 0\r\n", `cannot start: nodework/work.sh: its interpreter "/bin/bash\r" is not there`},
		{"interpreter not executable", "#!/etc/passwd\n", `cannot start: nodework/work.sh: permission denied: it or its interpreter "/etc/passwd" is not executable, ` +
			`or lies on a file system mounted noexec`},
		{"no shebang", "exit 0\n", "cannot start: nodework/work.sh is executable, but not a program for this machine: begin it with #!/bin/bash, or make it non-executable"},
		{"foreign program", foreign, "cannot start: nodework/work.sh is executable, but not a program for this machine: begin it with #!/bin/bash, or make it non-executable"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			y := newYard(t)
			o := y.order(c.script)
			o.Executable = true
			testkit.Must(t, os.Chmod(o.Script, 0o755))
			a := y.wait(y.start(o))
			if a.Detail != c.detail && a.Detail != shortLine(c.detail) {
				t.Errorf("detail %q\nwant   %q", a.Detail, c.detail)
			}
			if (c.detail == "") != a.OK() || c.detail != "" && a.Reason != work.ReasonStart {
				t.Errorf("attempt %+v", a)
			}
			if c.detail != "" && !strings.Contains(y.log(), c.detail) {
				t.Errorf("the log does not say why: %q", y.log())
			}
		})
	}
	for name, spoil := range map[string]func(y *yard, o *Order){
		"deleted": func(y *yard, o *Order) { testkit.Must(t, os.Remove(o.Script)) },
		"a folder": func(y *yard, o *Order) {
			testkit.Must(t, os.Remove(o.Script))
			testkit.Must(t, os.Mkdir(o.Script, 0o755))
		},
		"not executable": func(y *yard, o *Order) { o.Executable = true },
	} {
		t.Run(name, func(t *testing.T) {
			y := newYard(t)
			o := y.order("exit 0\n")
			spoil(y, &o)
			if a := y.wait(y.start(o)); a.Reason != work.ReasonStart || !strings.HasPrefix(a.Detail, "cannot start: nodework/work.sh") {
				t.Errorf("attempt %+v", a)
			}
		})
	}
}

func TestEnvironmentIsExact(t *testing.T) {
	y := newYard(t)
	t.Setenv("NOTIFY_SOCKET", "/run/agent")
	t.Setenv("GODEBUG", "madvdontneed=1")
	t.Setenv("SECRET_OF_THE_AGENT", "x")
	o := y.order("env -0 > " + y.path("env") + "\numask > " + y.path("umask") + "\ngrep ^Sig /proc/self/status > " + y.path("signals") +
		"\nls -l /proc/self/fd > " + y.path("fds") + "\nreadlink /proc/self/fd/0 > " + y.path("stdin") + "\n")
	o.Env = append(o.Env, "SPACES=a b  c", "EMPTY=", "LINES=a\nb")
	run := y.start(o)
	if a := y.wait(run); !a.OK() {
		t.Fatalf("attempt %+v", a)
	}
	data, err := os.ReadFile(y.path("env"))
	testkit.Must(t, err)
	// bash adds these itself.
	got := slices.DeleteFunc(strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00"), func(e string) bool {
		return strings.HasPrefix(e, "PWD=") || strings.HasPrefix(e, "SHLVL=") || strings.HasPrefix(e, "_=") || strings.HasPrefix(e, "OLDPWD=")
	})
	want := slices.Clone(o.Env)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("environment\n%q\nwant\n%q", got, want)
	}
	for file, want := range map[string]string{"umask": "0022\n", "stdin": "/dev/null\n"} {
		if data, _ := os.ReadFile(y.path(file)); string(data) != want {
			t.Errorf("%s: %q, want %q", file, data, want)
		}
	}
	signals, _ := os.ReadFile(y.path("signals"))
	for line := range strings.Lines(string(signals)) {
		name, mask, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		if (name == "SigIgn" || name == "SigBlk") && !noSignals(mask) {
			t.Errorf("%s is %s in the script, want none", name, mask)
		}
	}
	fds, _ := os.ReadFile(y.path("fds"))
	if bytes.Contains(fds, []byte("work.lock")) {
		t.Errorf("the script has the lock:\n%s", fds)
	}
}

func TestDeadline(t *testing.T) {
	tests := []struct{ name, script string }{
		{"plain", "echo $$ > PIDS/a; sleep 1000\n"},
		{"ignores TERM", "trap '' TERM; echo $$ > PIDS/a; while :; do sleep 1000; done\n"},
		{"background children", "(sleep 1000 & echo $! > PIDS/b; wait) & echo $! > PIDS/a; wait\n"},
		{"groups of their own", "set -m; sleep 1000 & echo $! > PIDS/a; timeout 1000 sleep 1000 & echo $! > PIDS/b; wait\n"},
		{"stopped child", "sleep 1000 & echo $! > PIDS/a; kill -STOP $!; wait\n"},
		{"other environment", "env -i sleep 1000 & echo $! > PIDS/a; trap 'exit 0' TERM; wait\n"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t)
			testkit.Must(t, os.Mkdir(y.path("pids"), 0o755))
			o := y.order(strings.ReplaceAll(c.script, "PIDS", y.path("pids")))
			o.Timeout, o.Grace = 10*time.Second, 300*time.Millisecond // a busy machine takes its time to begin
			a := y.wait(y.start(o))
			if a.Reason != work.ReasonDeadline || a.Detail != "deadline of 10s passed" || a.Exit != -1 {
				t.Errorf("attempt %+v", a)
			}
			if !strings.Contains(y.log(), "addagent: deadline of 10s passed; ended ") {
				t.Errorf("log %q", y.log())
			}
			y.allGone(o)
			files, _ := os.ReadDir(y.path("pids"))
			for _, f := range files {
				if pid := y.pid("pids/" + f.Name()); alive(pid) {
					t.Errorf("process %s (%d) lives on", f.Name(), pid)
				}
			}
			if len(files) == 0 {
				t.Error("the script did not begin")
			}
		})
	}
}

// allGone checks that no process carries the run's id any more.
func (y *yard) allGone(o Order) {
	y.t.Helper()
	left, err := session.Processes(0, func(p session.Process) bool { yes, _ := session.Carries(p.PID, runEntry(o.Attempt.RunID)); return yes })
	if err != nil || len(left) > 0 {
		y.t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestLeftBehindAfterANormalEnd(t *testing.T) {
	y := newYard(t)
	o := y.order("sleep 1000 & echo $! > " + y.path("child") + "\n" +
		"setsid bash -c 'echo $$ > " + y.path("server") + "; exec sleep 1000' >/dev/null 2>&1 &\n" +
		"while [ ! -s " + y.path("server") + " ]; do :; done; echo done\n")
	a := y.wait(y.start(o))
	server, child := y.pid("server"), y.pid("child")
	t.Cleanup(func() { _ = syscall.Kill(server, syscall.SIGKILL) })
	if !a.OK() || a.LastLine != "done" {
		t.Errorf("attempt %+v", a)
	}
	if alive(child) {
		t.Error("the child that was left in the session lives on")
	}
	if !alive(server) {
		t.Error("the server in a session of its own was ended")
	}
	if want := fmt.Sprintf("addagent: left 1 process behind; ended sleep (%d)\n", child); !strings.Contains(y.log(), want) {
		t.Errorf("log %q, want %q in it", y.log(), want)
	}
}

func TestOutputHelperThatEndsByItselfIsNotEnded(t *testing.T) {
	y := newYard(t)
	// The script goes when the helper is at work: what is left of that is a moment, also on a busy machine.
	if a := y.do("exec 3>&1 > >(sed -u s/^/out:/) 2>&1; echo hello; while [ ! -s /proc/$$/fd/3 ]; do :; done\n"); !a.OK() || a.LastLine != "out:hello" || strings.Contains(y.log(), session.NotePrefix) {
		t.Errorf("attempt %+v, log %q", a, y.log())
	}
}

func TestShimToldToStop(t *testing.T) {
	y := newYard(t)
	o := y.order("trap 'echo stopping; exit 0' TERM; sleep 1000 & echo $! > " + y.path("child") + "; wait\n")
	o.Grace = soon
	run := y.start(o)
	y.pid("child")
	testkit.Must(t, syscall.Kill(y.scriptRuns().PID, syscall.SIGTERM))
	a := y.wait(run)
	if a.Reason != work.ReasonInterrupted || a.Detail != "interrupted: told to stop" || a.LastLine != "stopping" || a.Failures != 1 {
		t.Errorf("attempt %+v", a)
	}
	y.allGone(o)
}

func TestGiantOutput(t *testing.T) {
	y := newYard(t)
	// It goes on when no more than the 16 MB that may stay are on the disk of its 400 (a block is 512 bytes): they are
	// cut out while it runs, or it meets its deadline.
	a := y.do("echo first line\nhead -c 400000000 /dev/zero\nwhile [ $(stat -L -c %b /proc/$$/fd/1) -gt 40000 ]; do :; done\n" +
		"yes 'a line that is repeated' | head -n 2000000\necho; echo the end\n")
	if !a.OK() || a.LastLine != "the end" {
		t.Errorf("attempt %+v", a)
	}
	if n := onDisk(t, a.Log); n > 8<<20 {
		t.Errorf("%d bytes on disk at the end", n)
	}
	log := y.log()
	if !strings.HasPrefix(log, "first line\n") || !strings.HasSuffix(log, "\na line that is repeated\n\nthe end\n") || strings.Count(log, "bytes cut here by addagent") != 1 {
		t.Errorf("log of %d bytes, begins %q, ends %q", len(log), log[:min(len(log), 40)], log[max(0, len(log)-80):])
	}
}

func onDisk(t *testing.T, path string) int64 {
	t.Helper()
	var s syscall.Stat_t
	if err := syscall.Stat(path, &s); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return s.Blocks * 512
}

// TestResultThatCannotBeWritten: the shim says so where the script's output is.
func TestResultThatCannotBeWritten(t *testing.T) {
	y := newYard(t)
	run := y.start(y.order("mv .temp away && ln -s /proc .temp\n"))
	testkit.Must(t, waited(t.Context(), run))
	if !strings.HasPrefix(y.log(), "addagent: record the end: ") {
		t.Errorf("log %q", y.log())
	}
	if _, held, err := ReadHolder(y.lockPath); held || err != nil {
		t.Errorf("held %v, %v", held, err)
	}
}

// TestScriptThatRemovesItsMemory: `git clean -fdx` in a deploy script takes .temp away. The end is recorded all the
// same, with its count.
func TestScriptThatRemovesItsMemory(t *testing.T) {
	y := newYard(t)
	if a := y.do("rm -rf .temp; exit 3\n"); a.Reason != work.ReasonExit || a.Failures != 1 || a.Finished.IsZero() {
		t.Errorf("attempt %+v", a)
	}
	if a := y.do("rm -rf .temp\n"); !a.OK() {
		t.Errorf("attempt %+v", a)
	}
	if m := work.Peek(work.MemoryDir(y.repoDir, "root")); m.Version == "" || m.Done == nil {
		t.Errorf("memory %+v", m)
	}
}

// TestPipeInPlaceOfTheScript: reading one would never end, and no deadline is set yet.
func TestPipeInPlaceOfTheScript(t *testing.T) {
	y := newYard(t)
	o := y.order("true\n")
	testkit.Must(t, os.Remove(y.script))
	testkit.Must(t, syscall.Mkfifo(y.script, 0o755))
	if a := y.wait(y.start(o)); a.Reason != work.ReasonStart || !strings.Contains(a.Detail, "is not a file") {
		t.Errorf("attempt %+v", a)
	}
}

// TestStoppedShim: it was sent SIGSTOP. No node hangs for that.
func TestStoppedShim(t *testing.T) {
	for name, wait := range map[string]func(*yard, *Shim) *Shim{
		"by who started it": func(_ *yard, run *Shim) *Shim { return run },
		"by who adopted it": func(y *yard, _ *Shim) *Shim {
			run, ok, err := adopt(y.lockPath)
			if !ok || err != nil {
				y.t.Fatalf("adopt: %v, %v", ok, err)
			}
			return run
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t)
			run := y.start(y.order("while [ ! -e " + y.path("go") + " ]; do read -t 0.01 <> <(:); done; exit 4\n"))
			h := y.scriptRuns()
			testkit.Must(t, syscall.Kill(h.PID, syscall.SIGSTOP))
			testkit.Eventually(t, "a stopped shim", func() bool { p, _ := session.Read(h.PID); return p.State == 'T' })
			testkit.Must(t, os.WriteFile(y.path("go"), nil, 0o644))
			if a := y.wait(wait(y, run)); a.Reason != work.ReasonExit || a.Exit != 4 {
				t.Errorf("attempt %+v", a)
			}
		})
	}
}

func TestShimByHand(t *testing.T) {
	out, err := exec.Command(testBinary(t), "work-shim").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "addagent: read order: EOF") {
		t.Errorf("%v: %s", err, out)
	}
	y := newYard(t)
	o := y.order("exit 0\n")
	data, _ := json.Marshal(o)
	cmd := exec.Command(testBinary(t), "work-shim")
	cmd.Stdin = bytes.NewReader(data)
	out, err = cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "for the agent, not for people") {
		t.Errorf("%v: %s", err, out)
	}
}
