package run

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/work"
	"github.com/addagent/addagent/work/session"
)

// initYard is a node whose init is in hand: a clone with init scripts, and a memory outside of it.
type initYard struct {
	*yard
	memory string
}

func newInitYard(t *testing.T) *initYard {
	y := newYard(t)
	return &initYard{yard: y, memory: y.path("lib/init")}
}

// initOrder writes the scripts; "" is a missing one.
func (y *initYard) initOrder(scripts ...string) Order {
	y.t.Helper()
	o := y.order("true\n")
	o.Item, o.Script, o.Memory, o.Steps = work.InitName, "", y.memory, nil
	for i, path := range []string{"common", "part/app1", "stacktype/lad1", "stacktype/lad1/part/app1"} {
		s := work.Step{Script: "nodeinit/" + path + "/init.sh", Missing: i >= len(scripts) || scripts[i] == ""}
		if !s.Missing {
			file := filepath.Join(y.repoDir, s.Script)
			testkit.Must(y.t, os.MkdirAll(filepath.Dir(file), 0o755))
			testkit.Must(y.t, os.WriteFile(file, []byte(scripts[i]), 0o644))
		}
		o.Steps = append(o.Steps, s)
	}
	o.Env = y.environment(work.Init, o)
	return o
}

func (y *initYard) initLog() string {
	data, _ := os.ReadFile(filepath.Join(LogDir(filepath.Join(y.home, "log", "work"), "ops", work.InitName), latestLog))
	return string(data)
}

func (y *initYard) init(scripts ...string) (work.Attempt, work.Memory) {
	y.t.Helper()
	run := y.start(y.initOrder(scripts...))
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	if err := waited(ctx, run); err != nil {
		y.t.Fatalf("the shim did not end: %v\n%s", err, y.initLog())
	}
	m := work.Peek(y.memory)
	if m.Last == nil || len(m.Problems) > 0 {
		y.t.Fatalf("no attempt recorded: %+v\n%s", m, y.initLog())
	}
	return *m.Last, m
}

// TestInit: in order, in one shell, at the root of the repository, the missing ones named.
func TestInit(t *testing.T) {
	y := newInitYard(t)
	a, m := y.init(
		"echo \"common $PWD $0 ${BASH_SOURCE[0]} $# $ADD_LEVEL $ADD_ITEM\"\nDIR=\"$( cd \"$( dirname \"${BASH_SOURCE[0]}\" )\" && pwd )/../\"\nexport RESOURCE=$DIR/resource\nsay() { echo \"said $1\"; }\ncd /\n",
		"", "echo \"stacktype $PWD\"; say \"$DIR\"; env | grep ^RESOURCE=\n", "echo \"$ADD_TEMP\"\necho the last\n")
	want := strings.ReplaceAll(`addagent: sourcing nodeinit/common/init.sh
common REPO bash REPO/nodeinit/common/init.sh 0 init init
addagent: Skipped missing: nodeinit/part/app1/init.sh
addagent: sourcing nodeinit/stacktype/lad1/init.sh
stacktype REPO
said REPO/nodeinit/common/../
RESOURCE=REPO/nodeinit/common/..//resource
addagent: sourcing nodeinit/stacktype/lad1/part/app1/init.sh
MEMORY
the last
`, "REPO", y.repoDir)
	if want = strings.ReplaceAll(want, "MEMORY", y.memory); y.initLog() != want {
		t.Errorf("log\n%s\nwant\n%s", y.initLog(), want)
	}
	if !a.OK() || a.LastLine != "the last" || m.Version != commitA || m.Doing != "" || m.Done == nil {
		t.Errorf("attempt %+v, memory %+v", a, m)
	}
}

// TestInitThatIsNotThrough: whatever a script does to the shell, it does not end in a success that was none, and whose
// fault it is has a name.
func TestInitThatIsNotThrough(t *testing.T) {
	const part = "nodeinit/part/app1/init.sh"
	early := "exit 0 by " + part + " before init finished: a sourced script must return, not call exit or exec"
	tests := []struct {
		name, script string
		exit         int
		reason       work.Reason
		detail       string
	}{
		{"exit 0", "exit 0\n", 0, work.ReasonExit, early},
		{"exit 3", "exit 3\n", 3, work.ReasonExit, "exit 3 in " + part},
		{"return 3", "return 3\n", 3, work.ReasonExit, "exit 3 in " + part},
		{"last status", "false\n", 1, work.ReasonExit, "exit 1 in " + part},
		{"set -e", "set -e\nfalse\ntrue\n", 1, work.ReasonExit, "exit 1 in " + part},
		{"set -e, return 3", "set -e\nreturn 3\n", 3, work.ReasonExit, "exit 3 in " + part},
		{"in a function", "stop() { exit \"$1\"; }\nstop 0\n", 0, work.ReasonExit, early},
		{"set -u", "set -u\necho $no_such_thing\ntrue\n", 127, work.ReasonExit, "exit 127 in " + part},
		{"not now", "echo no network yet; return 75\n", 75, work.ReasonWaiting, "exit 75 in " + part},
		{"exec", "exec true\n", 0, work.ReasonExit, early},
		{"trap exit 0", "trap 'exit 0' EXIT\nreturn 4\n", 0, work.ReasonExit, early},
		{"trap exit 5", "trap 'exit 5' EXIT\n", 5, work.ReasonExit, "exit 5 after the last init script (a trap on EXIT?)"},
		{"syntax error", "if\n", 2, work.ReasonExit, "exit 2 in " + part},
		{"syntax error, posix", "set -o posix\neval 'if'\n", 2, work.ReasonExit, "exit 2 in " + part},
		{"noexec", "set -n\n", 0, work.ReasonExit, early},
		{"signal", "kill -9 $$\n", -1, work.ReasonSignal, "killed by SIGKILL in " + part},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			y := newInitYard(t)
			a, m := y.init("true\n", c.script, "echo went on\n")
			if a.Exit != c.exit || a.Reason != c.reason || a.Detail != c.detail && a.Detail != shortLine(c.detail) || a.Finished.IsZero() || m.Version != "" {
				t.Errorf("exit %d, reason %q, detail %q\n%s", a.Exit, a.Reason, a.Detail, y.initLog())
			}
			if c.name != "trap exit 5" && strings.Contains(y.initLog(), "went on") {
				t.Errorf("log %s", y.initLog())
			}
		})
	}
}

// TestInitThatIsThroughAllTheSame: what scripts do to their shell harms neither the next one nor us.
func TestInitThatIsThroughAllTheSame(t *testing.T) {
	tests := map[string]string{
		"options":     "set -eu -o pipefail -o noclobber\nshopt -s nullglob failglob extglob\n",
		"IFS":         "IFS=0123456789/\n",
		"globs off":   "set -f\n",
		"positional":  "set -- a b c; shift\n",
		"unset":       "unset PATH HOME ADD_TEMP ADD_RUN_ID ADD_REPO_DIR PWD\n",
		"functions":   "printf() { :; }; source() { :; }; cd() { :; }; exit() { :; }; echo() { :; }\n",
		"alias":       "shopt -s expand_aliases; alias source=: cd=: printf=false\n",
		"silent":      "exec >/dev/null 2>&1 </dev/null\n",
		"closed":      "exec <&- >&- 2>&-\n",
		"descriptors": "for i in {3..50}; do eval \"exec $i>&-\"; done\n",
		"cd":          "cd /; export CDPATH=/tmp:/\n",
		"readonly":    "readonly PATH=/nowhere DIR=x\n",
		"traps":       "trap 'true' EXIT; trap 'false' DEBUG; trap 'false' ERR RETURN; trap '' TERM INT HUP\n",
		"umask":       "umask 777\n",
		"subshell":    "(exit 3) || true; ( cd / && exit 0 )\n",
		"return":      "false; return 0\n",
		"posix":       "set -o posix\n",
		"cleans up":   "rm -rf \"$ADD_TEMP\"\n",
	}
	for name, script := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := newInitYard(t)
			a, m := y.init(script, "", "builtin echo \"$PWD\" >>"+y.path("through")+"\n")
			data, err := os.ReadFile(y.path("through"))
			if !a.OK() || m.Version != commitA || err != nil && name != "umask" || string(data) != y.repoDir+"\n" && name != "umask" {
				t.Errorf("attempt %+v, %q, %v\n%s", a, data, err, y.initLog())
			}
			if !strings.Contains(y.initLog(), "addagent: Skipped missing: nodeinit/stacktype/lad1/part/app1/init.sh\n") {
				t.Errorf("log %s", y.initLog())
			}
		})
	}
}

// TestInitScriptThatIsNotOnTheDisk: the tree has it, but on the disk it was removed or replaced.
func TestInitScriptThatIsNotOnTheDisk(t *testing.T) {
	for want, spoil := range map[string]func(path string) error{
		"cannot start: nodeinit/part/app1/init.sh is not there":  os.Remove,
		"cannot start: nodeinit/part/app1/init.sh is not a file": func(p string) error { return errors.Join(os.Remove(p), syscall.Mkfifo(p, 0o644)) },
	} {
		y := newInitYard(t)
		o := y.initOrder("echo ran\n", "true\n")
		testkit.Must(t, spoil(filepath.Join(y.repoDir, o.Steps[1].Script)))
		testkit.Must(t, waited(t.Context(), y.start(o)))
		if m := work.Peek(y.memory); m.Last == nil || m.Last.Reason != work.ReasonStart || m.Last.Detail != want || y.initLog() != session.NotePrefix+want+"\n" {
			t.Errorf("%+v, log %s", m.Last, y.initLog())
		}
	}
}

// TestInitNamesAreData: whatever a part is called, and wherever the clone lies.
func TestInitNamesAreData(t *testing.T) {
	y := newInitYard(t)
	odd := filepath.Join(y.home, "it's $HOME `x`")
	testkit.Must(t, os.Mkdir(odd, 0o755))
	testkit.Must(t, os.Rename(y.repoDir, filepath.Join(odd, "ops")))
	y.repoDir = filepath.Join(odd, "ops")
	y.script = filepath.Join(y.repoDir, "nodework", "work.sh")
	o := y.initOrder("true\n")
	step := "nodeinit/part/a'b; $(touch x) \\ %s/init.sh"
	testkit.Must(t, os.MkdirAll(filepath.Dir(filepath.Join(y.repoDir, step)), 0o755))
	testkit.Must(t, os.WriteFile(filepath.Join(y.repoDir, step), []byte("echo \"$PWD\"\n"), 0o644))
	o.Steps = []work.Step{{Script: step}, {Script: step, Missing: true}}
	testkit.Must(t, waited(t.Context(), y.start(o)))
	want := "addagent: sourcing " + step + "\n" + y.repoDir + "\naddagent: Skipped missing: " + step + "\n"
	if m := work.Peek(y.memory); m.Last == nil || !m.Last.OK() || y.initLog() != want {
		t.Errorf("%+v, log\n%s\nwant\n%s", m.Last, y.initLog(), want)
	}
}
