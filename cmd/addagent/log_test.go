package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/testkit"
	"gopkg.in/natefinch/lumberjack.v2"
)

// screen is a terminal that a test looks at.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(data)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// shows waits until the screen shows exactly this.
func (s *screen) shows(t *testing.T, is func(string) bool) {
	t.Helper()
	if !testkit.Within(testkit.Patience, 20*time.Millisecond, func() bool { return is(s.String()) }) {
		text := s.String()
		t.Fatalf("the screen shows %d bytes:\n...%s", len(text), text[max(0, len(text)-500):])
	}
}

// follow runs addagent with these arguments until stop, which gives its exit code.
func follow(t *testing.T, args ...string) (out, words *screen, stop func() int) {
	t.Helper()
	out, words = &screen{}, &screen{}
	p := &process{&cli.Process{Args: args, In: strings.NewReader(""), Out: out, Err: words, Env: func(string) string { return "" }, Getuid: func() int { return 1000 }}}
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() { code <- p.Run(ctx) }()
	return out, words, func() int {
		cancel()
		return <-code
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestLogFollowsRotation: every line once and in order, though the log is rotated
// more than once between two looks, truncated, removed and made anew.
// TestPlanInterrupted: ^C is no answer about the items.
func TestPlanInterrupted(t *testing.T) {
	dir := t.TempDir()
	var out, words bytes.Buffer
	env := func(name string) string { return map[string]string{"HOME": dir}[name] }
	a := &process{&cli.Process{Args: []string{"plan", "--home", filepath.Join(dir, "node")}, In: strings.NewReader(""), Out: &out, Err: &words, Env: env, Getuid: os.Getuid}}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if code := a.Run(ctx); code != cli.ExitInterrupted || out.Len() > 0 || !strings.Contains(words.String(), "interrupted") || strings.Contains(words.String(), "no item") {
		t.Errorf("exit %d: %s%s", code, &out, &words)
	}
}

func TestLogFollowsRotation(t *testing.T) {
	home := t.TempDir()
	path := journal.LogPath(home)
	out, words, stop := follow(t, "log", "-f", "--home", home)
	words.shows(t, func(s string) bool { return strings.Contains(s, "waiting for it") })
	var want strings.Builder
	log := &lumberjack.Logger{Filename: path, MaxSize: 1, MaxBackups: 9}
	defer log.Close()
	for i := range 5_000 {
		line := fmt.Sprintf("2026-01-02T03:04:05Z line %d %s\n", i, strings.Repeat("x", 800)) // 4 MB: three rotations
		want.WriteString(line)
		if _, err := log.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	if rotated := journal.Rotated(path); len(rotated) != 3 {
		t.Fatalf("rotated: %v", rotated)
	}
	shows := func(more string) {
		t.Helper()
		want.WriteString(more)
		out.shows(t, func(s string) bool { return s == want.String() })
	}
	shows("")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	words.shows(t, func(s string) bool { return strings.Contains(s, "was truncated") })
	put(t, path, "2026-01-02T03:04:05Z after a truncation\n")
	shows("2026-01-02T03:04:05Z after a truncation\n")
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	put(t, path, "2026-01-02T03:04:05Z half ")
	put(t, path, "a line\n")
	shows("2026-01-02T03:04:05Z half a line\n")
	if code := stop(); code != cli.ExitInterrupted {
		t.Errorf("exit code %d", code)
	}
}

// TestLogFollowsRuns: the output of one item over its runs, bytes as they come, and
// of a repository with a name before each line.
func TestLogFollowsRuns(t *testing.T) {
	home := t.TempDir()
	run := func(item, stamp, text string) string {
		path := filepath.Join(home, "log", "work", "ops_"+item, stamp+".log")
		put(t, path, text)
		latest := filepath.Join(filepath.Dir(path), "latest.log")
		if err := os.Symlink(filepath.Base(path), latest+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(latest+".new", latest); err != nil {
			t.Fatal(err)
		}
		return path
	}
	first := run("common", "20260102-030405", "one\ntwo\n")
	one, words, stopOne := follow(t, "log", "-f", "--home", home, "ops:common")
	all, _, stopAll := follow(t, "log", "-f", "--home", home, "-n", "1", "ops")
	one.shows(t, func(s string) bool { return s == "one\ntwo\n" })
	all.shows(t, func(s string) bool { return s == "common | two\n" })

	put(t, first, "half a line")
	one.shows(t, func(s string) bool { return strings.HasSuffix(s, "two\nhalf a line") })
	run("common", "20260102-030505_2", "again\n")
	one.shows(t, func(s string) bool { return strings.HasSuffix(s, "half a lineagain\n") })
	all.shows(t, func(s string) bool { return s == "common | two\ncommon | half a line\ncommon | again\n" })
	words.shows(t, func(s string) bool {
		return strings.Contains(s, "==> run of ops:common, 2026-01-02 03:04:05Z: "+first) &&
			strings.Contains(s, "==> run of ops:common, 2026-01-02 03:05:05Z: ")
	})
	// An item that runs for the first time, and whose middle the shim cut out of.
	second := run("part.app1", "20260102-030605", "head\n")
	all.shows(t, func(s string) bool { return strings.HasSuffix(s, "part.app1 | head\n") })
	if err := os.Truncate(second, 200<<20); err != nil { // a hole
		t.Fatal(err)
	}
	put(t, second, "tail\n")
	all.shows(t, func(s string) bool { return strings.HasSuffix(s, "part.app1 | head\npart.app1 | tail\n") })
	// Another repository is none of its business.
	put(t, filepath.Join(home, "log", "work", "other_common", "latest.log"), "other\n")
	if code := stopAll(); code != cli.ExitInterrupted || strings.Contains(all.String(), "other") {
		t.Errorf("exit code %d, shown:\n%s", code, all)
	}
	if code := stopOne(); code != cli.ExitInterrupted {
		t.Errorf("exit code %d", code)
	}
}

// TestLogOfARunawayScript: what the shim leaves of it when it has ended.
func TestLogOfARunawayScript(t *testing.T) {
	const boundedFrom = 1 << 20 // bytes, from which on its shim shortens the log of a run
	home := t.TempDir()
	path := filepath.Join(home, "log", "work", "ops_common", "latest.log")
	put(t, path, strings.Repeat("x", 3*boundedFrom)+"\n")
	out, words, stop := follow(t, "log", "-f", "--home", home, "ops:common")
	out.shows(t, func(s string) bool { return len(s) == 3*boundedFrom+1 })
	if err := os.Truncate(path, 2*boundedFrom); err != nil {
		t.Fatal(err)
	}
	words.shows(t, func(s string) bool { return strings.Contains(s, "middle omitted") })
	put(t, path, "\nthe end\n")
	out.shows(t, func(s string) bool { return len(s) == 3*boundedFrom+1+len("\nthe end\n") })
	stop()
}
