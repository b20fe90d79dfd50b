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

	"github.com/addagent/addagent/internal/testkit"
	"gopkg.in/natefinch/lumberjack.v2"
)

func TestLastLines(t *testing.T) {
	long := strings.Repeat("0123456789abcde\n", 10_000) // several chunks
	for _, test := range []struct {
		text      string
		n         int
		want      string
		wantLines int
	}{
		{"", 3, "", 0},
		{"a\nb\nc\n", 0, "", 0},
		{"a\nb\nc\n", 1, "c\n", 1},
		{"a\nb\nc\n", 3, "a\nb\nc\n", 3},
		{"a\nb\nc\n", 9, "a\nb\nc\n", 3},
		{"a\nb\nc", 1, "c", 1},
		{"a\nb\nc", 2, "b\nc", 2},
		{"\n\n\n", 2, "\n\n", 2},
		{"a\nb\nc\n", -1, "a\nb\nc\n", 0},
		{long, 9_999, long[16:], 9_999},
		{"head\n\x00\x00\x00tail\nend\n", 5, "tail\nend\n", 2},
	} {
		from, got, err := lastLines(strings.NewReader(test.text), int64(len(test.text)), test.n)
		if err != nil || test.text[from:] != test.want || got != test.wantLines {
			t.Errorf("last %d lines of %.20q: %.20q, %d lines, %v; want %.20q, %d", test.n, test.text, test.text[from:], got, err, test.want, test.wantLines)
		}
	}
}

func TestLogLinesInBothForms(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, test := range []struct {
		line string
		want logLine
		text string // "" = as the line
	}{
		{"2026-01-02T03:04:05Z idle    ops 1a2b3c4 same", logLine{at, "info", "idle    ops 1a2b3c4 same"}, ""},
		{"2026-01-02T03:04:05Z WARNING failing: x", logLine{at, "warning", "failing: x"}, ""},
		{"2026-01-02T03:04:05Z CRITICAL wedged: x", logLine{at, "critical", "wedged: x"}, ""},
		{`{"level":"error","time":"2026-01-02T03:04:05Z","message":"wedged: x"}`, logLine{at, "critical", "wedged: x"}, "2026-01-02T03:04:05Z CRITICAL wedged: x"},
		{`{"level":"warn","time":"2026-01-02T03:04:05Z","message":"a <b>"}`, logLine{at, "warning", "a <b>"}, "2026-01-02T03:04:05Z WARNING a <b>"},
		{`{"level":"info","time":"2026-01-`, logLine{Level: "info", Text: `{"level":"info","time":"2026-01-`}, ""},
		{"panic: what a crash leaves", logLine{Level: "info", Text: "panic: what a crash leaves"}, ""},
		{"", logLine{Level: "info"}, ""},
	} {
		got := parseLogLine(test.line)
		if got != test.want {
			t.Errorf("%s: %+v, want %+v", test.line, got, test.want)
		}
		if test.text == "" {
			test.text = test.line
		}
		if got.String() != test.text {
			t.Errorf("%s: as text %s", test.line, got)
		}
	}
}

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
	p := &process{args: args, in: strings.NewReader(""), out: out, err: words, env: func(string) string { return "" }, getuid: func() int { return 1000 }}
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() { code <- p.run(ctx) }()
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
func TestLogFollowsRotation(t *testing.T) {
	home := t.TempDir()
	path := logPath(home)
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
	if rotated := rotatedLogs(path); len(rotated) != 3 {
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
	if code := stop(); code != exitInterrupted {
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
	if code := stopAll(); code != exitInterrupted || strings.Contains(all.String(), "other") {
		t.Errorf("exit code %d, shown:\n%s", code, all)
	}
	if code := stopOne(); code != exitInterrupted {
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
	words.shows(t, func(s string) bool { return strings.Contains(s, "was cut out") })
	put(t, path, "\nthe end\n")
	out.shows(t, func(s string) bool { return len(s) == 3*boundedFrom+1+len("\nthe end\n") })
	stop()
}

func TestItemsWithLogs(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"ops_common", "ops_part.app_1+x", "my_ops_stacktype.lad1.part.app1", "ops_init", "notes", "_common"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	got := fmt.Sprint(itemsWithLogs(dir, []string{"ops:common"}))
	if want := "[my_ops:stacktype.lad1.part.app1 ops:init ops:part.app_1+x]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
