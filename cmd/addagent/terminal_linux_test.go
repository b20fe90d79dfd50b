package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/cli"
	"golang.org/x/sys/unix"
)

// terminal is a pseudo terminal: what is written to screen comes out of the other side.
func terminal(t *testing.T) (screen *os.File, shown func() string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(&text, master) // ends with EIO when the screen is closed
	}()
	return screen, func() string {
		screen.Close()
		<-done
		master.Close()
		return text.String()
	}
}

// TestNoColours: no command writes an escape sequence, to a pipe, or to a terminal
// whose owner wants none. That there was something to see is checked as well.
func TestNoColours(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "addagent.yaml")
	for path, text := range map[string]string{
		config: fmt.Sprintf("home: %[1]s\nrun_dir: %[1]s/run\nstate_dir: %[1]s/lib\nrepos: [ { name: ops, url: %[1]s/gone } ]\n", dir),
		filepath.Join(dir, "nodeinfo", "instance-id.txt"): "i-1\n",
	} {
		put(t, path, text)
	}
	env := func(name string) string { return map[string]string{"NO_COLOR": "1", "TERM": "xterm-256color"}[name] }
	for _, args := range []string{"beat", "status", "why", "plan", "check", "log", "version", "help", "help log", "no-such", "run --no-such", "completion bash"} {
		run := func(out, words io.Writer) {
			p := &process{&cli.Process{Args: append(strings.Fields(args), "--config", config), In: strings.NewReader(""), Out: out, Err: words, Env: env, Getuid: func() int { return 1000 }}}
			p.Run(t.Context())
		}
		out, words := &bytes.Buffer{}, &bytes.Buffer{}
		run(out, words)
		screen, shown := terminal(t)
		run(screen, screen)
		onScreen := shown()
		for where, text := range map[string]string{"a pipe": out.String() + words.String(), "a terminal": onScreen} {
			if text == "" || strings.Contains(text, "\x1b") {
				t.Errorf("addagent %s shows on %s: %q", args, where, text)
			}
		}
	}
}
