//go:build linux

package torture

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// process is one that a test started, waited for from the beginning.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended
	asked bool          // a test ended it: its end is no surprise
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// code is the exit code of a process that has ended; -1 when a signal ended it.
func (p *process) code() int { return p.cmd.ProcessState.ExitCode() }

// signal sends s; that it ended meanwhile is fine.
func (p *process) signal(s syscall.Signal) {
	p.asked = true
	_ = p.cmd.Process.Signal(s)
}

// kill ends it as hard as can be, and returns when it is gone.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// launch starts cmd; the test ends it if it still runs.
func launch(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in ProcessState
		close(p.ended)
	}()
	t.Cleanup(p.kill)
	return p
}

// running is a living process that this package did not start itself: a shim, a script, what a script started.
type running struct {
	pid, session int
	start        string // clock ticks after boot: with pid it names a process forever
	line         string // its command line, for messages
	shim         bool
}

func (r running) String() string { return fmt.Sprintf("%d (%s)", r.pid, r.line) }

// kill sends SIGKILL, if the process is still the one that was seen.
func (r running) kill() {
	if now, ok := look(r.pid); ok && now.start == r.start {
		_ = syscall.Kill(r.pid, syscall.SIGKILL) // it may have ended by itself
	}
}

func (r running) alive() bool {
	now, ok := look(r.pid)
	return ok && now.start == r.start
}

// look reads one process; false when it is not there, or dead and not buried.
func look(pid int) (running, bool) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return running{}, false
	}
	end := bytes.LastIndexByte(data, ')')
	fields := strings.Fields(string(data[end+1:]))
	if end < 0 || len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return running{}, false
	}
	session, err := strconv.Atoi(fields[3])
	if err != nil {
		return running{}, false
	}
	line, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return running{pid: pid, session: session, start: fields[19], line: strings.TrimSpace(string(bytes.ReplaceAll(line, []byte{0}, []byte(" "))))}, true
}

// processes lists the living processes of the node: its shims, and whatever carries its ADD_HOME.
func (g *grid) processes() []running {
	names, err := os.ReadDir("/proc")
	if err != nil {
		g.t.Fatal(err)
	}
	var all []running
	for _, e := range names {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		dir := filepath.Join("/proc", e.Name())
		shim := false
		if exe, err := os.Readlink(filepath.Join(dir, "exe")); err == nil && strings.TrimSuffix(exe, " (deleted)") == g.program {
			line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
			lock, _ := os.Readlink(filepath.Join(dir, "fd", "3"))
			shim = bytes.Contains(line, []byte("\x00work-shim")) && lock == g.workLock()
		}
		if !shim {
			environ, err := os.ReadFile(filepath.Join(dir, "environ"))
			if err != nil || !bytes.Contains(environ, []byte("\x00ADD_HOME="+g.home+"\x00")) {
				continue
			}
		}
		if r, ok := look(pid); ok {
			r.shim = shim
			all = append(all, r)
		}
	}
	return all
}

// shim is the shim that holds the node's work lock now.
func (g *grid) shim() (running, bool) {
	for _, r := range g.processes() {
		if r.shim {
			return r, true
		}
	}
	return running{}, false
}

// scripts are the processes of the script that runs now, its own first.
func (g *grid) scripts() []running {
	var all []running
	for _, r := range g.processes() {
		switch {
		case r.shim:
		case r.pid == r.session:
			all = append([]running{r}, all...)
		default:
			all = append(all, r)
		}
	}
	return all
}
