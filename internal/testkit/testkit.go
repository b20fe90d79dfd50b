// Package testkit is what the tests of all packages share: golden files, waiting for a condition, and what `make test`
// leaves out.
//
// Only tests import it.
package testkit

import (
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Patience is how long a test waits for something that must happen: a machine with
// a load of fifty is slow, and a test that gives up early fails for no reason.
const Patience = 6 * time.Minute

// Long leaves a test, or a case of one, to `make test-all`.
func Long(tb testing.TB) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("make test-all runs it")
	}
}

// Rounds is how often a test repeats itself: a few times in `make test`, many times in `make test-all`.
func Rounds(few, many int) int {
	if testing.Short() {
		return few
	}
	return many
}

// OneIn leaves most cases of a series to `make test-all`: `make test` runs about one of n, always the same ones.
func OneIn(tb testing.TB, n uint32) {
	tb.Helper()
	if crc32.ChecksumIEEE([]byte(tb.Name()))%n != 0 {
		Long(tb)
	}
}

// Must fails the test at once when there is an error.
func Must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// Eventually waits for a condition, and fails the test when it does not come true.
func Eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	if !Within(Patience, 5*time.Millisecond, ok) {
		tb.Fatalf("waited %v in vain for: %s", Patience, what)
	}
}

// Within tells whether a condition comes true in time, checking it at the given interval.
func Within(limit, interval time.Duration, ok func() bool) bool {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			return ok()
		case <-tick.C:
		}
	}
	return true
}

// Golden compares a text with a file. UPDATE=1 writes the file.
func Golden[T ~string | ~[]byte](tb testing.TB, path string, got T) {
	tb.Helper()
	want, err := os.ReadFile(path)
	if err == nil && string(want) == string(got) {
		return
	}
	if os.Getenv("UPDATE") != "" {
		Must(tb, os.MkdirAll(filepath.Dir(path), 0o755))
		Must(tb, os.WriteFile(path, []byte(got), 0o644))
		return
	}
	line, old, now := difference(string(want), string(got))
	tb.Errorf("%s differs (%v), first in line %d:\nfile: %s\nnow:  %s\nUPDATE=1 go test -run '^%s$' writes it", path, err, line, old, now, tb.Name())
}

// difference is the first line that two texts do not share.
func difference(a, b string) (line int, inA, inB string) {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for line < len(as) && line < len(bs) && as[line] == bs[line] {
		line++
	}
	at := func(lines []string) string {
		return strings.Join(lines[min(line, len(lines)):min(line+1, len(lines))], "")
	}
	return line + 1, at(as), at(bs)
}

// Section is Golden for a part of a document: what stands between the lines
// `<!-- NAME: ... -->` and `<!-- end of NAME -->`.
func Section(tb testing.TB, path, name, made string) {
	tb.Helper()
	data, err := os.ReadFile(path)
	Must(tb, err)
	before, rest, ok := strings.Cut(string(data), "<!-- "+name+": ")
	note, rest, ok2 := strings.Cut(rest, " -->\n")
	_, after, ok3 := strings.Cut(rest, "<!-- end of "+name+" -->\n")
	if !ok || !ok2 || !ok3 {
		tb.Fatalf("%s has no section %q", path, name)
	}
	Golden(tb, path, before+"<!-- "+name+": "+note+" -->\n"+made+"<!-- end of "+name+" -->\n"+after)
}
