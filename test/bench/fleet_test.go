package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
)

// played plays a case that is made for a test and returns the report of its group.
func played(t *testing.T, name string, play func(*bench, *stage)) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var progress bytes.Buffer
	b, err := newBench(options{addagent: self, quick: true, runs: 1, only: regexp.MustCompile("."), dir: filepath.Join(t.TempDir(), "bench")}, &progress)
	if err != nil {
		t.Fatal(err)
	}
	c := benchCase{name, false, play}
	b.tables = b.of(c)
	if err := b.play(&stage{}, c); err != nil {
		t.Fatalf("%v\n%s", err, progress.Bytes())
	}
	b.whole.end()
	return b.tables.report(true)
}

// A few nodes tell and are read, each way, so that these cases do not rot either.
func TestSmallFleet(t *testing.T) {
	for name, want := range map[string][]string{
		"presence-crowd": {"| 3 | first telling | addagent | 1 |", "| 3 | a transition | addagent | 1 |", "| 3 | a transition | git, a ref each | 1 |",
			"| 3 | a transition | git, one branch | 1 |", "| 3 nodes tell a transition at once: pushes a node | 1 | 1 |  |  | held |"},
		"presence-read": {"| 20 records read from refs, 10 changed | addagent | 1 |", "| 20 records read from refs, cold | git fetch | 1 |",
			"| 20 records read from a fold, nothing changed | git pull | 1 |", "| 20 refs folded, 10 changed | addagent | 1 |"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := played(t, name, func(b *bench, s *stage) {
				if name == "presence-read" {
					b.reading(s, 20)
					return
				}
				b.crowd(s, 3)
			})
			for _, row := range want {
				if !strings.Contains(got, row) {
					t.Errorf("no %q in:\n%s", row, got)
				}
			}
		})
	}
}

// A few nodes are shown as a page, and offer services.
func TestSmallPrograms(t *testing.T) {
	testkit.Long(t)
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir, "../../cmd/addctl", "../../cmd/addagent").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, want := range map[string][]string{
		"web-small": {"20 nodes, 100 transitions: bytes until the list can be used, compressed", "CPU for a reading without changes", "CPU for an update of 10 nodes to 100 streams"},
		"services-small": {"20 nodes, 60 endpoints: one node is gone: bytes both ways", "a push of a record with three services: bytes both ways | 2 KB", "the same that obeys requests: CPU",
			"20 nodes: 20 actions due: pushes of the queue | 2"},
	} {
		got := played(t, name, func(b *bench, s *stage) {
			b.addagent = filepath.Join(dir, "addagent")
			if name == "web-small" {
				b.web(s, 20, 100)
				return
			}
			b.services(s, 20)
		})
		for _, row := range want {
			if !strings.Contains(got, row+" |") {
				t.Errorf("no %q in:\n%s", row, got)
			}
		}
	}
}

// Each group has its own place on the page, and what was not measured stays as it is.
func TestWriteTables(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	page := "above\n"
	for i, g := range groups {
		page += fmt.Sprintf("%sold %d\n%s", g.begin, i, g.end)
	}
	if err := os.WriteFile(path, []byte(page+"below\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeTables(path, groups[0], "new\n"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(page, "old 0", "new", 1) + "below\n"; string(got) != want {
		t.Errorf("%s", got)
	}
}
