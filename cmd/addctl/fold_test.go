package main

import (
	"bytes"
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/fleettest"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/node"
)

// TestFoldAsService: systemd hears that it is ready, alive and stopping; to be stopped is no failure; under the
// journal lines have no times.
func TestFoldAsService(t *testing.T) {
	dir := t.TempDir()
	repo := filepath.Join(dir, "presence.git")
	now := time.Now()
	if err := fleettest.Report(repo, fleettest.One("i-1", node.Idle, "a", "", now).Record, now); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "notify")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer systemd.Close()
	if err := systemd.SetReadDeadline(now.Add(3 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	hear := func(want string) {
		t.Helper()
		buf := make([]byte, 4096)
		for {
			n, err := systemd.Read(buf)
			if err != nil {
				t.Fatalf("waiting for %s: %v", want, err)
			}
			if strings.HasPrefix(string(buf[:n]), want) {
				return
			}
		}
	}
	var out, words bytes.Buffer
	p := testProcess(&out, &words, "presence:fold", "--presence", repo, "--every", "1h")
	p.Env = func(name string) string {
		return map[string]string{"NOTIFY_SOCKET": socket, "WATCHDOG_USEC": "200000", "JOURNAL_STREAM": "8:1", "XDG_CACHE_HOME": dir}[name]
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- p.run(ctx) }()
	hear("READY=1")
	hear("STATUS=1 node, folded ")
	for range 3 { // one after the fold, the others while it waits for the next
		hear("WATCHDOG=1")
	}
	stop()
	hear("STOPPING=1")
	if code := <-ended; code != cli.ExitDone || !strings.HasPrefix(out.String(), "folded 1 node: i-1 is new and idle, main is at ") || words.Len() > 0 {
		t.Errorf("exit %d: %q, %q", code, out.String(), words.String())
	}
}
