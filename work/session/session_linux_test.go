package session

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/testkit"
	"golang.org/x/sys/unix"
)

func TestParseStat(t *testing.T) {
	const tail = " 1 2 77 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 THREADS 0 4711 0 0\n"
	line := func(name, state, threads string) []byte {
		return []byte("42 (" + name + ") " + state + strings.Replace(tail, "THREADS", threads, 1))
	}
	tests := []struct {
		data []byte
		want Process
		ok   bool
	}{
		{line("sleep", "S", "1"), Process{42, "sleep", 'S', 77, 4711}, true},
		{line("a) R 9 (", "D", "1"), Process{42, "a) R 9 (", 'D', 77, 4711}, true},
		{line("two\nlines", "R", "1"), Process{42, "two\nlines", 'R', 77, 4711}, true},
		{line("", "T", "1"), Process{42, "", 'T', 77, 4711}, true},
		{line("dead", "Z", "1"), Process{42, "dead", 'Z', 77, 4711}, true},
		{line("first thread ended", "Z", "3"), Process{42, "first thread ended", 'S', 77, 4711}, true},
		{[]byte("42 (sleep) S 1 2 77"), Process{}, false},
		{[]byte(""), Process{}, false},
		{[]byte(")("), Process{}, false},
		{line("x", "SS", "1"), Process{}, false},
		{line("x", "S", "many"), Process{}, false},
	}
	for _, c := range tests {
		if got, ok := parseStat(c.data); got != c.want || ok != c.ok {
			t.Errorf("%q: %+v %v, want %+v %v", c.data, got, ok, c.want, c.ok)
		}
	}
	// The session is 0 where its leader lives outside of this PID namespace, as in many a container.
	session, err := unix.Getsid(0)
	testkit.Must(t, err)
	me, ok := Read(os.Getpid())
	if !ok || me.PID != os.Getpid() || me.Start == 0 || me.Session != session {
		t.Errorf("this process in session %d: %+v %v", session, me, ok)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (sleep) S 1 2 77 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4711 0 0\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, ok := parseStat(data); !ok && p != (Process{}) {
			t.Errorf("%q: %+v", data, p)
		}
	})
}

func TestCarries(t *testing.T) {
	cmd := exec.Command("cat")
	cmd.Env = []string{"ADD_RUN_ID=r10", "X=ADD_RUN_ID=r1"}
	in, err := cmd.StdinPipe()
	testkit.Must(t, err)
	testkit.Must(t, cmd.Start())
	defer cmd.Wait()
	defer in.Close()
	testkit.Eventually(t, "its environment", func() bool { yes, _ := Carries(cmd.Process.Pid, "ADD_RUN_ID=r10"); return yes })
	for pid, entry := range map[int]string{cmd.Process.Pid: "ADD_RUN_ID=r1", 1<<22 + 1: "ADD_RUN_ID=r10"} {
		if yes, sure := Carries(pid, entry); yes || !sure {
			t.Errorf("%d carries %s: %v, sure %v", pid, entry, yes, sure)
		}
	}
	none := exec.Command("cat")
	none.Env = []string{}
	quiet, err := none.StdinPipe()
	testkit.Must(t, err)
	testkit.Must(t, none.Start())
	testkit.Eventually(t, "no environment", func() bool { yes, sure := Carries(none.Process.Pid, "ADD_RUN_ID=r10"); return !yes && !sure })
	testkit.Must(t, quiet.Close())
	testkit.Must(t, none.Wait())
}

// TestEndsWhatForksAway: a session whose processes multiply and ignore TERM while they are ended.
func TestEndsWhatForksAway(t *testing.T) {
	cmd := exec.Command("bash", "-c", `trap "" TERM; f() { while :; do (trap "" TERM; read -t 0.2 <> <(:)); done; }; f & f & f & f & wait`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	testkit.Must(t, cmd.Start())
	defer cmd.Wait()
	list := func() ([]Process, error) { return Of(cmd.Process.Pid) }
	testkit.Eventually(t, "children", func() bool { left, err := list(); return err == nil && len(left) > 5 })
	ended, stuck, err := End(list, 50*time.Millisecond)
	if err != nil || len(stuck) > 0 || len(ended) < 5 {
		t.Errorf("ended %s; stuck %v, %v", Listed(ended), stuck, err)
	}
	if left, err := list(); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if s := Listed(ended); !strings.Contains(s, " more") || strings.Count(s, ",") != 4 {
		t.Errorf("listed: %s", s)
	}
}

// TestNeverAloneInItsSession: a session in which each process has one child and ends is not taken for empty.
func TestNeverAloneInItsSession(t *testing.T) {
	goOn := filepath.Join(t.TempDir(), "on") // it ends when this is gone, at the end of the test at the latest
	testkit.Must(t, os.WriteFile(goOn, nil, 0o644))
	cmd := exec.Command("bash", "-c", `f() { [ ! -e "$0" ] || { read -t 0.01 <> <(:); f & }; }; f`, goOn)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	testkit.Must(t, cmd.Start())
	session := cmd.Process.Pid
	testkit.Must(t, cmd.Wait())
	for range 200 {
		if found, err := Of(session); err != nil || len(found) == 0 {
			t.Fatalf("found %v, %v", found, err)
		}
	}
	testkit.Must(t, os.Remove(goOn))
	testkit.Eventually(t, "its end", func() bool { found, err := Of(session); return err == nil && len(found) == 0 })
}

// TestSignalOnlyTheSame: a process that took over a number is not the one that was meant.
func TestSignalOnlyTheSame(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	testkit.Must(t, cmd.Start())
	defer cmd.Wait()
	p, ok := Read(cmd.Process.Pid)
	if !ok {
		t.Fatal("no process")
	}
	other := p
	other.Start++
	other.Signal(syscall.SIGKILL)
	alive := func() bool { p, ok := Read(p.PID); return ok && p.State != 'Z' && p.State != 'X' }
	if !alive() {
		t.Fatal("the wrong one was killed")
	}
	p.Signal(syscall.SIGKILL)
	testkit.Eventually(t, "its end", func() bool { return !alive() })
}
