package offer

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/service"
	"github.com/addagent/addagent/service/tree"
)

// checked is one check of a service whose script, if it has one, is in a clone.
func checked(t *testing.T, root string, c service.Check, script string) service.Result {
	t.Helper()
	dir := filepath.Join(root, "ops", "nodeservice", "db")
	testkit.Must(t, os.MkdirAll(dir, 0o755))
	if script != "" {
		testkit.Must(t, os.WriteFile(filepath.Join(dir, c.Target), []byte(script), 0o644))
	}
	k := &kept{SetUp: true, Offer: tree.Offer{Description: service.Description{Name: "db", Port: 3306, Check: c}, Repo: "ops", Dir: "nodeservice/db"}}
	o := &Offers{Root: root, Env: []string{"PATH=" + os.Getenv("PATH"), "ADD_HOME=" + root}, all: map[string]*kept{"db": k}}
	return o.check(t.Context(), []string{"db"}, "")[0]
}

// TestScriptsThatCheck: whatever a script does, the beat goes on within its time, and nothing of it is left.
func TestScriptsThatCheck(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		want   service.Result
	}{
		"passes":              {"true", service.Result{Outcome: service.Pass}},
		"is told of it":       {`[ "$ADD_SERVICE $ADD_SERVICE_PORT" = "db 3306" ] && [ -d nodeservice ]`, service.Result{Outcome: service.Pass}},
		"fails":               {"echo no table; exit 3", service.Result{Outcome: service.Fail, Why: "check.sh: exit status 3: no table"}},
		"starts":              {"echo replaying; exit 75", service.Result{Outcome: service.Warming, Why: "replaying"}},
		"says more":           {"echo role=slave; echo code=ER0007; echo state=lagging; exit 1", service.Result{Outcome: service.Fail, Role: "slave", Code: "ER0007", State: "lagging", Why: "check.sh: exit status 1"}},
		"says what it cannot": {"echo role=king; echo code=000000; exit 1", service.Result{Outcome: service.Fail, Why: "check.sh: exit status 1: code=000000"}},
		"says hostile things": {`printf 'state=\033[2J\nrole=master\n'; exit 0`, service.Result{Outcome: service.Pass, Role: "master", State: "[2J"}},
		"hangs":               {"sleep 1000 & echo $! >$ADD_HOME/pid; wait", service.Result{Outcome: service.Fail, Why: "no answer within 1 s"}},
		"does not obey":       {"trap '' TERM INT HUP; echo $$ >$ADD_HOME/pid; while :; do :; done", service.Result{Outcome: service.Fail, Why: "no answer within 1 s"}},
		"forks":               {"sleep 1000 & echo $! >$ADD_HOME/pid; exit 0", service.Result{Outcome: service.Pass}},
		"forks a session":     {"setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo $! >$ADD_HOME/pid; exit 0", service.Result{Outcome: service.Pass}},
		"forks a group":       {"set -m; sleep 1000 >/dev/null 2>&1 & echo $! >$ADD_HOME/pid; exit 0", service.Result{Outcome: service.Pass}},
		"hangs in a session":  {"env -i setsid -w bash -c 'echo $$ >'$ADD_HOME'/pid; trap \"\" TERM; sleep 1000'", service.Result{Outcome: service.Fail, Why: "no answer within 1 s"}},
		"floods":              {"echo $$ >$ADD_HOME/pid; echo first; yes", service.Result{Outcome: service.Fail, Why: "no answer within 1 s"}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			got := checked(t, root, service.Check{Kind: service.Exec, Target: "check.sh"}, c.script)
			if strings.Contains(got.Why, "no answer") {
				got.Role, got.State = c.want.Role, c.want.State
			}
			if got != c.want && !(name == "says hostile things" && got.Outcome == service.Pass && !strings.ContainsRune(got.State, 27)) {
				t.Errorf("%+v, want %+v", got, c.want)
			}
			data, err := os.ReadFile(filepath.Join(root, "pid"))
			if err != nil {
				return
			}
			testkit.Eventually(t, "nothing is left", func() bool { return exec.Command("kill", "-0", strings.TrimSpace(string(data))).Run() != nil })
		})
	}
	if got := checked(t, t.TempDir(), service.Check{Kind: service.Exec, Target: "gone.sh"}, ""); got != (service.Result{}) {
		t.Errorf("a script that is gone: %+v", got)
	}
}

// TestScriptThatIsKept: a check that a push took out of the clone runs from the copy, so it can prove that delete.sh
// worked.
func TestScriptThatIsKept(t *testing.T) {
	root := t.TempDir()
	k := &kept{SetUp: true, Copy: commit, Offer: tree.Offer{Description: service.Description{Name: "db", Check: service.Check{Kind: service.Exec, Target: "check.sh"}}, Repo: "ops", Dir: "nodeservice/db"}}
	o := &Offers{Root: root, StateDir: root, Env: []string{"PATH=" + os.Getenv("PATH")}, all: map[string]*kept{"db": k}}
	write := func(top, script string) {
		dir := filepath.Join(top, "nodeservice", "db")
		testkit.Must(t, os.MkdirAll(dir, 0o755))
		testkit.Must(t, os.WriteFile(filepath.Join(dir, "check.sh"), []byte(script), 0o644))
	}
	check := func(want service.Outcome) {
		t.Helper()
		if got := o.check(t.Context(), []string{"db"}, "")[0]; got.Outcome != want {
			t.Errorf("%+v, want %d", got, want)
		}
	}
	check(service.Unasked)
	write(o.copyDir("db", commit), `[ -d nodeservice ] && [ "${ADD_SERVICE_PORT-unset}" = "" ]`)
	check(service.Pass)
	write(o.copyDir("db", commit), "exit 1")
	check(service.Fail)
	write(filepath.Join(root, "ops"), "true")
	check(service.Pass)
}

// TestShortageIsNoFailure: a machine without descriptors, memory or processes withdraws no service.
func TestShortageIsNoFailure(t *testing.T) {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EAGAIN, syscall.ECONNREFUSED, syscall.ENOENT} {
		want := service.Unasked
		if e == syscall.ECONNREFUSED || e == syscall.ENOENT {
			want = service.Fail
		}
		for _, err := range []error{
			&net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{}, Err: os.NewSyscallError("socket", e)},
			&url.Error{Op: "Get", Err: &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{}, Err: os.NewSyscallError("socket", e)}},
			&os.PathError{Op: "fork/exec", Path: "/bin/bash", Err: e},
		} {
			if got := failed(t.Context(), err); got.Outcome != want {
				t.Errorf("%v: %+v", err, got)
			}
		}
	}
}

// TestPortsAndFiles: real servers, also one that accepts and says nothing.
func TestPortsAndFiles(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	defer silent.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	testkit.Must(t, closed.Close())
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/", http.StatusFound)
		}
	})
	plain, secure := httptest.NewServer(page), httptest.NewTLSServer(page)
	defer plain.Close()
	defer secure.Close()
	root := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(root, name)
		testkit.Must(t, os.WriteFile(path, []byte(text), 0o644))
		return path
	}
	dead := exec.Command("true")
	testkit.Must(t, dead.Run())
	for n, c := range []struct {
		check service.Check
		want  string // of the failure; "" = it passes
	}{
		{service.Check{}, ""},
		{service.Check{Kind: service.TCP, Target: silent.Addr().String()}, ""},
		{service.Check{Kind: service.TCP, Target: closed.Addr().String()}, "connection refused"},
		{service.Check{Kind: service.HTTP, Target: plain.URL, Expect: 200}, ""},
		{service.Check{Kind: service.HTTP, Target: secure.URL, Expect: 200}, ""},
		{service.Check{Kind: service.HTTP, Target: plain.URL + "/moved", Expect: 302}, ""},
		{service.Check{Kind: service.HTTP, Target: plain.URL, Expect: 204}, "status 200, not 204"},
		{service.Check{Kind: service.HTTP, Target: "http://" + silent.Addr().String(), Expect: 200}, "no answer within 1 s"},
		{service.Check{Kind: service.PID, Target: file("own", fmt.Sprintln(os.Getpid()))}, ""},
		{service.Check{Kind: service.PID, Target: file("dead", strconv.Itoa(dead.ProcessState.Pid()))}, "is not running"},
		{service.Check{Kind: service.PID, Target: file("words", "x")}, "contains no process id"},
		{service.Check{Kind: service.PID, Target: filepath.Join(root, "none")}, "no such file"},
	} {
		got := checked(t, root, c.check, "")
		if pass := got.Outcome == service.Pass; pass != (c.want == "") || !strings.Contains(got.Why, c.want) {
			t.Errorf("%d: %v: %+v, want %q", n, c.check, got, c.want)
		}
	}
}
