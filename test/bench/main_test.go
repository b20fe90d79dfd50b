package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be started as one of the parts, as the bench starts itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if part, ok := parts[os.Args[1]]; ok {
			if err := part(os.Args[2:], os.Stdout); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return
		}
	}
	os.Exit(m.Run())
}

// TestSmallCase plays one real case, so that the bench does not rot between two runs of it.
func TestSmallCase(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out, progress bytes.Buffer
	o := options{addagent: self, quick: true, runs: 2, only: regexp.MustCompile("^one-small$"), dir: filepath.Join(t.TempDir(), "bench")}
	if err := measureAll(o, &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, progress.Bytes())
	}
	for _, want := range []string{"| 1 file of 20 changed | addagent | 2 |", "| 1 file of 20 changed | git pull, depth-1 clone | 2 |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	if _, err := os.Stat(filepath.Join(o.dir, "run")); !os.IsNotExist(err) {
		t.Errorf("clones are left behind: %v", err)
	}
}

func TestHeld(t *testing.T) {
	for _, c := range []struct {
		check
		held   bool
		target string
	}{
		{check{ours: 1, limit: 1, unit: "ms"}, true, "1 ms"},
		{check{ours: 1.01, limit: 1, unit: "ms"}, false, "1 ms"},
		{check{ours: 0, limit: 0}, true, "0"},
		{check{ours: 9, limit: noTarget}, true, "-"},
		{check{ours: 0.5, limit: 0.7, ratio: 1.0 / 15, peer: 9, peerName: "git", unit: "ms"}, true, "0.70 ms and 1/15 of git"},
		{check{ours: 0.8, limit: 0.7, ratio: 1.0 / 15, peer: 90, peerName: "git", unit: "ms"}, false, "0.70 ms and 1/15 of git"},
		{check{ours: 0.7, limit: 0.7, ratio: 1.0 / 15, peer: 9, peerName: "git", unit: "ms"}, false, "0.70 ms and 1/15 of git"},
		{check{ours: 5, ratio: 1.0 / 25, peer: 130, peerName: "git"}, true, "1/25 of git"},
		{check{ours: 5, ratio: 1.0 / 25, peer: 120, peerName: "git"}, false, "1/25 of git"},
	} {
		if c.check.held() != c.held || c.check.target() != c.target {
			t.Errorf("%+v: held %v, target %q", c.check, c.check.held(), c.check.target())
		}
	}
}

func TestFigures(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 3: "3", 0.444: "0.44", 9.87: "9.87", 12.34: "12.3", 999.6: "1,000", 60000: "60,000", 1234567.2: "1,234,567"} {
		if got := digits(v); got != want {
			t.Errorf("digits(%v) = %q, not %q", v, got, want)
		}
	}
	if m := median([]float64{9, 1, 5}); m != 5 {
		t.Errorf("median of three: %v", m)
	}
	if m := median([]float64{9, 1, 5, 3}); m != 4 {
		t.Errorf("median of four: %v", m)
	}
	all := samples{}
	for _, n := range []int64{30, 10, 20} {
		all.add(ours, sample{cost{time.Duration(n), time.Duration(2 * n), 3 * n}, traffic{n, n, n, n}})
	}
	if got, want := all.median(ours), (sample{cost{20, 40, 60}, traffic{20, 20, 20, 20}}); got != want {
		t.Errorf("median %+v, not %+v", got, want)
	}
	if got := ratioOf(2, 50); got != "1 : 25" {
		t.Errorf("ratio %q", got)
	}
}
