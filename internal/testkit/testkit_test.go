package testkit

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// failing counts failures instead of ending the test.
type failing struct {
	testing.TB
	failed int
}

func (f *failing) Errorf(string, ...any) { f.failed++ }

func TestGolden(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	Must(t, os.WriteFile(path, []byte("a\n<!-- rows: made -->\nold\n<!-- end of rows -->\nz\n"), 0o644))
	for name, c := range map[string]struct {
		update, made string
		failed       int
		after        string
	}{
		"same":    {"", "old\n", 0, "old"},
		"differs": {"", "new\n", 1, "old"},
		"updated": {"1", "new\n", 0, "new"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("UPDATE", c.update)
			Must(t, os.WriteFile(path, []byte("a\n<!-- rows: made -->\nold\n<!-- end of rows -->\nz\n"), 0o644))
			f := &failing{TB: t}
			Section(f, path, "rows", c.made)
			data, err := os.ReadFile(path)
			Must(t, err)
			if f.failed != c.failed || string(data) != "a\n<!-- rows: made -->\n"+c.after+"\n<!-- end of rows -->\nz\n" {
				t.Errorf("failed %d times, the file is now\n%s", f.failed, data)
			}
		})
	}
	if line, a, b := difference("x\ny", "x\nz\n"); line != 2 || a != "y" || b != "z" {
		t.Error(line, a, b)
	}
}

func TestWithin(t *testing.T) {
	count := 0
	if !Within(Patience, time.Millisecond, func() bool { count++; return count == 3 }) || count != 3 {
		t.Errorf("looked %d times", count)
	}
	if Within(time.Millisecond, Patience, func() bool { return false }) {
		t.Error("a condition that is never true came true")
	}
}
