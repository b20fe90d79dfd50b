package session

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/testkit"
)

func newOutput(t *testing.T) *Log {
	t.Helper()
	out, err := OpenLog(filepath.Join(t.TempDir(), "x.log"), Bounds{Total: 256 << 10, Head: 16 << 10, Tail: 64 << 10})
	testkit.Must(t, err)
	t.Cleanup(func() { out.Close() })
	return out
}

func (o *Log) write(t *testing.T, text string) {
	t.Helper()
	_, err := o.File.WriteString(text)
	testkit.Must(t, err)
}

func (o *Log) content(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(o.path)
	testkit.Must(t, err)
	return string(data)
}

func TestOutputWithinBoundsIsUntouched(t *testing.T) {
	out := newOutput(t)
	text := strings.Repeat("0123456789abcdef\n", 15000) // 255,000 bytes
	out.write(t, text)
	last, err := out.Finish()
	if err != nil || last != "0123456789abcdef" || out.content(t) != text {
		t.Errorf("last %q, %v, %d bytes", last, err, out.size())
	}
}

func TestOutputIsCutInTheMiddle(t *testing.T) {
	out := newOutput(t)
	var all bytes.Buffer
	for i := range 100_000 { // 1.3 MB
		fmt.Fprintf(&all, "line %6d\n", i)
	}
	text := all.String()
	for at := 0; at < len(text); at += 50_000 {
		out.write(t, text[at:min(at+50_000, len(text))])
		out.bound(time.Now())
		var onDisk syscall.Stat_t
		testkit.Must(t, syscall.Stat(out.path, &onDisk))
		if n := onDisk.Blocks * 512; n > 320<<10 {
			t.Fatalf("%d bytes on disk after %d", n, at)
		}
	}
	last, err := out.Finish()
	testkit.Must(t, err)
	got := out.content(t)
	head, rest, _ := strings.Cut(got, "\n... ")
	cut, tail, ok := strings.Cut(rest, " bytes cut here by addagent ...\n")
	if !ok || head != text[:16<<10] || !strings.HasSuffix(text, tail) || len(tail) < 60<<10 || !strings.HasPrefix(tail, "line ") || last != "line 99999" {
		t.Errorf("head %d bytes, cut %s, tail %d bytes beginning %.20q, last %q", len(head), cut, len(tail), tail, last)
	}
	if cut != fmt.Sprint(len(text)-len(head)-len(tail)) {
		t.Errorf("%s bytes cut are told, %d were", cut, len(text)-len(head)-len(tail))
	}
	if strings.Contains(got, "\x00") {
		t.Error("the hole shows")
	}
	// A server that still writes, and a second finish, do no harm.
	out.write(t, "later\n")
	if last, err := out.Finish(); err != nil || last != "later" || out.content(t) != got+"later\n" {
		t.Errorf("again: %q, %v", last, err)
	}
}

func TestOutputWithoutLines(t *testing.T) {
	out := newOutput(t)
	out.write(t, strings.Repeat("x", 1<<20))
	if last, err := out.Finish(); err != nil || !strings.HasPrefix(last, "xxx") || out.size() > 90<<10 {
		t.Errorf("last %q, %v, %d bytes", last, err, out.size())
	}
}

// TestOutputTruncatedByTheScript: "echo x > /dev/stdout" in a script empties the log.
func TestOutputTruncatedByTheScript(t *testing.T) {
	out := newOutput(t)
	out.write(t, strings.Repeat("x", 1<<20))
	out.bound(time.Now())
	testkit.Must(t, os.Truncate(out.path, 0))
	out.write(t, "all that is left\n")
	if last, err := out.Finish(); err != nil || last != "all that is left" || out.content(t) != "all that is left\n" {
		t.Errorf("last %q, %v", last, err)
	}
	out.write(t, strings.Repeat("y", 1<<20)+"\nend\n")
	out.bound(time.Now())
	testkit.Must(t, os.Truncate(out.path, 100<<10))
	if _, err := out.Finish(); err != nil || out.size() > 100<<10 {
		t.Errorf("%d bytes, %v", out.size(), err)
	}
}

func TestOutputLooksOftenWhenItGrowsFast(t *testing.T) {
	out := newOutput(t)
	now := out.looked
	for _, want := range []time.Duration{10, 20, 40, 80, 160, 250, 250} {
		if got := out.bound(now); got != want*time.Millisecond {
			t.Errorf("quiet: %v, want %d ms", got, want)
		}
	}
	out.write(t, strings.Repeat("x", 128<<10))
	if got := out.bound(now.Add(100 * time.Millisecond)); got != 25*time.Millisecond {
		t.Errorf("128 KB in 100 ms, 128 KB left: %v", got)
	}
	out.write(t, strings.Repeat("x", 10))
	if got := out.bound(now.Add(200 * time.Millisecond)); got != 250*time.Millisecond {
		t.Errorf("10 bytes in 100 ms: %v", got)
	}
}

func TestNotesBeginALine(t *testing.T) {
	out := newOutput(t)
	out.Say("first")
	out.write(t, "no newline")
	out.Say("left %d", 2)
	if got, want := out.content(t), "addagent: first\nno newline\naddagent: left 2\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
