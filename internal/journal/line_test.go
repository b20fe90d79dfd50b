package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
		want Line
		text string // "" = as the line
	}{
		{"2026-01-02T03:04:05Z idle    ops 1a2b3c4 same", Line{at, "info", "idle    ops 1a2b3c4 same"}, ""},
		{"2026-01-02T03:04:05Z WARNING failing: x", Line{at, "warning", "failing: x"}, ""},
		{"2026-01-02T03:04:05Z CRITICAL wedged: x", Line{at, "critical", "wedged: x"}, ""},
		{`{"level":"error","time":"2026-01-02T03:04:05Z","message":"wedged: x"}`, Line{at, "critical", "wedged: x"}, "2026-01-02T03:04:05Z CRITICAL wedged: x"},
		{`{"level":"warn","time":"2026-01-02T03:04:05Z","message":"a <b>"}`, Line{at, "warning", "a <b>"}, "2026-01-02T03:04:05Z WARNING a <b>"},
		{`{"level":"info","time":"2026-01-`, Line{Level: "info", Text: `{"level":"info","time":"2026-01-`}, ""},
		{"panic: what a crash leaves", Line{Level: "info", Text: "panic: what a crash leaves"}, ""},
		{"", Line{Level: "info"}, ""},
	} {
		got := ParseLine(test.line)
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

func TestItemsWithLogs(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"ops_common", "ops_part.app_1+x", "my_ops_stacktype.lad1.part.app1", "ops_init", "notes", "_common"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	got := fmt.Sprint(ItemsWithLogs(dir, []string{"ops:common"}))
	if want := "[my_ops:stacktype.lad1.part.app1 ops:init ops:part.app_1+x]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
