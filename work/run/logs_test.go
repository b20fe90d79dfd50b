package run

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
