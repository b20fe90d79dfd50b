package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/fleettest"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/node"
)

// TestFullDisk: a command whose output cannot be written fails.
func TestFullDisk(t *testing.T) {
	repo := filepath.Join(t.TempDir(), "presence.git")
	say(t, repo, node.Idle)
	for _, args := range []string{"nodes", "nodes --json", "node i-1", "node i-1 --json", "log", "log --json", "log -f", "nodes --watch", "presence:list", "presence:list --json",
		"presence:list --raw", "presence:reap --dry-run --older-than 1ns", "presence:fold", "presence:fold --json", "version", "version --json", "help", "nodes --help", "completion bash"} {
		if args == "presence:reap --dry-run --older-than 1ns" { // only that has lines to print
			if err := fleettest.Report(repo, fleettest.One("i-2", node.Leaving, "a", "", time.Now().Add(-time.Hour)).Record, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		var words bytes.Buffer
		p := testProcess(full, &words, append(strings.Fields(args), "--presence", repo)...)
		if code := p.run(t.Context()); code != cli.ExitFailed || !strings.Contains(words.String(), "no space left on device") {
			t.Errorf("addctl %s: exit %d, %s", args, code, words.String())
		}
		full.Close()
	}
}
