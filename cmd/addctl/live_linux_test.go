package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/fleettest"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
	"golang.org/x/sys/unix"
)

// terminal is a pseudo terminal and what was written to it so far.
type terminal struct {
	master *os.File
	name   string
	mu     sync.Mutex
	text   bytes.Buffer
	ended  chan struct{}
}

func newTerminal(t *testing.T, width, height uint16) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	p := &terminal{master: master, name: fmt.Sprintf("/dev/pts/%d", n), ended: make(chan struct{})}
	p.resize(t, width, height)
	return p
}

func (p *terminal) resize(t *testing.T, width, height uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(p.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height}); err != nil {
		t.Fatal(err)
	}
}

// follow reads until no process has the terminal open.
func (p *terminal) follow() {
	go func() {
		defer close(p.ended)
		buf := make([]byte, 4096)
		for {
			n, err := p.master.Read(buf)
			p.mu.Lock()
			p.text.Write(buf[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
}

func (p *terminal) shown() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// wait waits until what was written since from holds a text, and returns how much there is then.
func (p *terminal) wait(t *testing.T, from int, want string) int {
	t.Helper()
	var text string
	if !testkit.Within(testkit.Patience, 20*time.Millisecond, func() bool {
		text = p.shown()
		return strings.Contains(text[from:], want)
	}) {
		t.Fatalf("%q is not in what was shown: %q", want, text[from:])
	}
	return len(text)
}

// say says that i-1 is in a state.
func say(t *testing.T, repo string, s node.State) {
	t.Helper()
	now := time.Now()
	if err := fleettest.Report(repo, fleettest.One("i-1", s, "a", "", now).Record, now); err != nil {
		t.Fatal(err)
	}
}

// TestLiveView runs addctl on a terminal: it fills the screen, marks what changes, follows the size, and leaves the
// terminal as it was.
func TestLiveView(t *testing.T) {
	dir := t.TempDir()
	repo := filepath.Join(dir, "presence.git")
	say(t, repo, node.Idle)
	screen := newTerminal(t, 100, 20)
	tty, err := os.OpenFile(screen.name, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// testscript.Main makes this binary addctl where it is called so.
	addctl := filepath.Join(dir, "addctl")
	if err := os.Symlink(self, addctl); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(addctl, "nodes", "--presence", repo, "--watch", "--every", "1s")
	c.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "TERM=xterm"}
	c.Stdin, c.Stdout, c.Stderr = tty, tty, tty
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	tty.Close()
	screen.follow()
	t.Cleanup(func() { _ = c.Process.Kill(); screen.master.Close() })

	screen.wait(t, 0, "\x1b[?1049h\x1b[?25l\x1b[?7l")
	at := screen.wait(t, 0, "1 node: 1 idle; read from the nodes' refs")
	screen.wait(t, 0, "i-1")
	say(t, repo, node.Wedged)
	screen.wait(t, at, "* \x1b[1mi-1\x1b[0m")
	screen.wait(t, at, "\x1b[31mwedged\x1b[0m")
	at = len(screen.shown())
	screen.resize(t, 30, 10)
	screen.wait(t, at, "1 node: 1 wedged; read from t…")
	if _, err := io.WriteString(screen.master, "\x03"); err != nil { // ^C, as a person presses it
		t.Fatal(err)
	}
	err = c.Wait()
	if c.ProcessState.ExitCode() != 130 {
		t.Errorf("it ended with %v", err)
	}
	<-screen.ended
	if text := screen.shown(); !strings.HasSuffix(strings.TrimSuffix(text, "^C"), "\x1b[?7h\x1b[?25h\x1b[?1049l") {
		t.Errorf("the terminal was left as: %q", text[max(0, len(text)-80):])
	}
}

// TestNoColours: nothing on a pipe has any, and nothing on a terminal whose owner wants none.
func TestNoColours(t *testing.T) {
	dir := t.TempDir()
	repo := filepath.Join(dir, "presence.git")
	say(t, repo, node.Wedged)
	for _, args := range []string{"nodes", "node i-1", "log", "presence:list", "presence:reap --dry-run", "help nodes", "no-such"} {
		for _, env := range []string{"NO_COLOR=1", "TERM=dumb", ""} {
			screen := newTerminal(t, 80, 24)
			tty, err := os.OpenFile(screen.name, os.O_RDWR|unix.O_NOCTTY, 0)
			if err != nil {
				t.Fatal(err)
			}
			screen.follow()
			run := func(out io.Writer) {
				p := testProcess(out, out, append(strings.Fields(args), "--presence", repo)...)
				p.Env = func(name string) string {
					if k, v, _ := strings.Cut(env, "="); k == name {
						return v
					}
					return map[string]string{"XDG_CACHE_HOME": dir}[name]
				}
				p.run(t.Context())
			}
			pipe := &bytes.Buffer{}
			run(pipe)
			run(tty)
			tty.Close()
			<-screen.ended
			screen.master.Close()
			onScreen := screen.shown()
			if pipe.Len() == 0 || onScreen == "" || strings.Contains(pipe.String(), "\x1b") {
				t.Errorf("addctl %s on a pipe: %q", args, pipe)
			}
			if coloured := strings.Contains(onScreen, "\x1b[31m"); coloured && env != "" || !coloured && env == "" && (args == "nodes" || args == "node i-1" || args == "log") {
				t.Errorf("addctl %s on a terminal with %q: %q", args, env, onScreen)
			}
		}
	}
}
