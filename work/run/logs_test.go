package run

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/addagent/addagent/internal/testkit"
)

func TestLogsAreKept(t *testing.T) {
	dir := LogDir(t.TempDir(), "ops", "part.app1")
	if filepath.Base(dir) != "ops_part.app1" {
		t.Errorf("folder %s", dir)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	var last string
	for i := range 45 {
		path, err := newLog(dir, now.Add(time.Duration(i/15)*time.Second)) // fifteen in a second
		testkit.Must(t, err)
		if i == 0 {
			testkit.Must(t, os.WriteFile(filepath.Join(dir, "notes.log"), nil, 0o644))
			testkit.Must(t, os.WriteFile(filepath.Join(dir, "20260102-020405.log.bak"), nil, 0o644))
			testkit.Must(t, os.Mkdir(filepath.Join(dir, "20260101-010101.log"), 0o755))
		}
		testkit.Must(t, showLog(path))
		last = path
	}
	if want := filepath.Join(dir, "20260102-020407_15.log"); last != want {
		t.Errorf("last is %s, want %s", last, want)
	}
	if target, err := os.Readlink(filepath.Join(dir, "latest.log")); err != nil || target != filepath.Base(last) {
		t.Errorf("latest.log: %s, %v", target, err)
	}
	entries, err := os.ReadDir(dir)
	testkit.Must(t, err)
	var logs []string
	others := map[string]bool{}
	for _, e := range entries {
		if e.Type().IsRegular() && logName.MatchString(e.Name()) {
			logs = append(logs, e.Name())
		} else {
			others[e.Name()] = true
		}
	}
	if len(logs) != logsKept || !strings.Contains(strings.Join(logs, " "), "20260102-020406_15.log") || strings.Contains(strings.Join(logs, " "), "20260102-020405") {
		t.Errorf("kept %d: %v", len(logs), logs)
	}
	if len(others) != 4 || !others["notes.log"] || !others["20260102-020405.log.bak"] || !others["20260101-010101.log"] {
		t.Errorf("others: %v", others)
	}
}

func TestLastLine(t *testing.T) {
	tests := map[string]string{
		"":                                      "",
		"\n\n":                                  "",
		"a\nb":                                  "b",
		"a\nb\n\n \t\n":                         "b",
		"a\naddagent: left 1 process\n":         "a",
		"addagent: only notes\n":                "",
		"\x1b[31mred\x1b[0m alert\x1b[K\n":      "red alert",
		"\x1b]0;title\x07text\n":                "text",
		"10%\r50%\r100%\n":                      "100%",
		"done\r\n":                              "done",
		"tab\there\n":                           "tab here",
		"bad \xff\xfe utf8":                     "bad utf8",
		"real\n" + strings.Repeat("\x00", 1000): "real",
		strings.Repeat("x", 300) + "\n":         strings.Repeat("x", 199) + "…",
		strings.Repeat("é", 300) + "\n":         strings.Repeat("é", 100),
		"early\n" + strings.Repeat("\n", 100<<10):    "",
		"early\n" + strings.Repeat("y", 70<<10) + "": strings.Repeat("y", 199) + "…",
	}
	for output, want := range tests {
		got := lastLine(strings.NewReader(output), int64(len(output)))
		if len(got) > lastLineMax || !utf8.ValidString(got) {
			t.Errorf("%.40q: %d bytes", output, len(got))
		}
		if got != want && !strings.HasPrefix(want, strings.TrimSuffix(got, "…")) {
			t.Errorf("%.40q: %q, want %q", output, got, want)
		}
		if want != "" && got == "" {
			t.Errorf("%.40q: nothing, want %q", output, want)
		}
	}
}

func FuzzLastLine(f *testing.F) {
	f.Add("a\nb\n")
	f.Add("\x1b[31mred\x1b[0m\r\x1b")
	f.Fuzz(func(t *testing.T, output string) {
		got := lastLine(strings.NewReader(output), int64(len(output)))
		if len(got) > lastLineMax || !utf8.ValidString(got) || strings.ContainsAny(got, "\n\r\x00\x1b") {
			t.Errorf("%q", got)
		}
	})
}

// TestLogsAreBoundedInAll: by bytes, newest first; the newest stays whatever its size.
func TestLogsAreBoundedInAll(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		sizes []int64 // oldest first
		fail  int     // index of the log of the last failure, -1 = none
		want  string  // those that stay
	}{
		{[]int64{10, 10, 10}, -1, "0 1 2"},
		{[]int64{50, 50, 1}, -1, "1 2"},
		{[]int64{50, 50, 1}, 0, "0 1 2"},
		{[]int64{1, 1, 200}, -1, "2"},
		{[]int64{1, 200, 1}, -1, "2"},
		{[]int64{1, 200, 1}, 1, "1 2"},
		{[]int64{1, 1, 1, 1, 1, 1}, -1, "2 3 4 5"},
		{[]int64{1, 1, 1, 1, 1, 1}, 0, "0 2 3 4 5"},
	} {
		dir := t.TempDir()
		var paths []string
		for i, size := range c.sizes {
			path, err := newLog(dir, now.Add(time.Duration(i)*time.Minute))
			testkit.Must(t, err)
			testkit.Must(t, os.Truncate(path, size))
			paths = append(paths, path)
		}
		if c.fail >= 0 {
			testkit.Must(t, linkLog(paths[c.fail], failedLog))
		}
		testkit.Must(t, pruneLogs(paths[len(paths)-1], 4, 100))
		var stay []string
		for i, path := range paths {
			if _, err := os.Stat(path); err == nil {
				stay = append(stay, fmt.Sprint(i))
			}
		}
		if got := strings.Join(stay, " "); got != c.want {
			t.Errorf("%v, failed %d: %s stay, want %s", c.sizes, c.fail, got, c.want)
		}
	}
}

// BenchmarkLastLine is of what a script writes that knows how its last line is found.
func BenchmarkLastLine(b *testing.B) {
	for _, piece := range []string{"\n", "\r", "\x1b]", "\x1b[", "\x01\n", "addagent: x\n"} {
		output := strings.Repeat(piece, 64<<10/len(piece))
		b.Run(strconv.Quote(piece), func(b *testing.B) {
			for b.Loop() {
				lastLine(strings.NewReader(output), int64(len(output)))
			}
		})
	}
}
