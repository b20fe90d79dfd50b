package packaging

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/testkit"
)

// TestWaits has a real agent beside it.
func TestWaits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, init string
		args       []string
		code       int
		says       string
	}{
		{"setup", "sleep 1000", []string{"--wait=setup", "--deadline=600"}, 0, "is setup"},
		{"initdone", "true", []string{"--wait=initdone", "--deadline=600"}, 0, "n1 is "},
		{"idle", "true", []string{"--wait=idle", "--deadline=600"}, 0, "n1 is idle"},
		{"first work fails", "true", []string{"--wait=idle", "--deadline=600"}, 3, "exit 6"},
		{"deadline", "sleep 1000", []string{"--wait=initdone", "--deadline=3"}, 1, "after 3 s the node is still setup, not initdone"},
		{"wedged", "exit 5", []string{"--wait=initdone", "--deadline=600"}, 3, "exit 5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.write(m.path("ops/it/nodeinit/common/init.sh"), c.init+"\n")
			m.write(m.path("ops/nodework/work.sh"), "#!/bin/sh\nexit "+map[bool]string{true: "6"}[c.name == "first work fails"]+"\n")
			for _, line := range []string{"init -q -b main", "add -A", "-c user.name=a -c user.email=a@b commit -q -m first"} {
				git := exec.Command("git", append([]string{"-C", m.path("ops")}, strings.Fields(line)...)...)
				if out, err := git.CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			m.write(m.path("more"), fmt.Sprintf("run_dir: %s\nstate_dir: %s\nbeat: { schedule: '@every 1s', spread: 0s }\nwork: { retry_first: 1s, retry_max: 1s, wedge_after: 1, grace: 1s }\n", m.path("run"), m.path("lib")))
			told := []string{"--nodepart=app1", "--initgitrepo=ops", "--instance-id=n1", "--repo", "ops=" + m.path("ops"), "--config-from", "file:" + m.path("more")}
			if code, out := m.bootstrap(append(told, "--wait=no")...); code != 0 {
				t.Fatalf("exit %d\n%s", code, out)
			}
			agent := exec.Command(filepath.Join(m.bin, "addagent"), "run", "--config", filepath.Join(m.etc, "addagent.yaml"))
			agent.Env = append(slices.Clone(m.env), "PATH="+os.Getenv("PATH")) // a repository given as a path needs git
			if err := agent.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				// Its work goes on in the shim.
				_ = agent.Process.Signal(os.Interrupt)
				_ = agent.Wait()
				endWork(t, filepath.Dir(m.home))
			})
			if c.name == "deadline" { // which is short: what is not there yet when it begins would not be when it ends
				m.await(filepath.Join(m.home, "nodeinfo/state.txt"), "setup\n")
			}
			code, out := m.bootstrap(append(told, c.args...)...)
			if code != c.code || !strings.Contains(out, c.says) {
				t.Errorf("exit %d\n%s", code, out)
			}
		})
	}
}

// await waits until a file holds this.
func (m *machine) await(path, content string) {
	m.t.Helper()
	var data []byte
	var err error
	if !testkit.Within(testkit.Patience, 20*time.Millisecond, func() bool {
		data, err = os.ReadFile(path)
		return string(data) == content
	}) {
		m.t.Fatalf("%s holds %q (%v), want %q", path, data, err, content)
	}
}

// endWork ends what is left of a node, and returns when all of it is gone: a shim that sees its script die still
// writes.
func endWork(t *testing.T, dir string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for left := holders(dir); len(left) > 0; left = holders(dir) {
		if time.Now().After(deadline) {
			t.Errorf("still alive: %v", left)
			return
		}
		for _, pid := range left {
			if p, err := os.FindProcess(pid); err == nil {
				_ = p.Kill()
			}
		}
		runtime.Gosched()
	}
}

// holders returns the processes that have a file below dir open: of work the script its log, the shim its lock as well.
func holders(dir string) []int {
	var pids []int
	all, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range all {
		to, err := os.Readlink(fd)
		var pid int
		if _, scanned := fmt.Sscanf(fd, "/proc/%d/", &pid); err == nil && scanned == nil && strings.HasPrefix(to, dir+"/") && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}
