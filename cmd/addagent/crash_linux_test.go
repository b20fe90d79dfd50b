package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestCrashIsNoMisuse sends an agent what systemd's watchdog sends. It must not end with exit code 2: the unit takes
// that for a bad config, and leaves the agent dead.
func TestCrashIsNoMisuse(t *testing.T) {
	home := t.TempDir()
	log, err := os.Create(filepath.Join(home, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	// As testscript does: this binary is addagent when it is called so.
	path := filepath.Join(t.TempDir(), "addagent")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(home, "addagent.yaml")
	put(t, config, fmt.Sprintf("home: %[1]s\nrun_dir: %[1]s/run\nstate_dir: %[1]s/lib\n", home)) // nothing of it is this machine's
	cmd := exec.Command(path, "run", "--config", config)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(3 * time.Minute)
	for {
		if _, err := os.Stat(filepath.Join(home, "nodeinfo/beat.json")); err == nil {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("the agent ended by itself: %v", err)
		case <-deadline:
			_ = cmd.Process.Kill()
			t.Fatal("the agent does not beat")
		case <-look.C:
		}
	}
	if err := cmd.Process.Signal(syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := <-ended; !errors.As(err, &exit) || !exit.Sys().(syscall.WaitStatus).Signaled() {
		t.Errorf("it ended with %v, not by a signal", err)
	}
	said, err := os.ReadFile(log.Name())
	if err != nil || !strings.Contains(string(said), "goroutine ") {
		t.Errorf("no stacks: %v\n%s", err, said)
	}
}
