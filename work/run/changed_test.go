package run

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
)

// TestChangedPathsAreQuotedAsGitDoes: a newline in a path is no second path. git itself is the witness.
func TestChangedPathsAreQuotedAsGitDoes(t *testing.T) {
	dir := t.TempDir()
	git := func(args ...string) string {
		out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).Output()
		testkit.Must(t, err)
		return string(out)
	}
	git("init", "-q")
	var paths []string
	for b := 1; b < 256; b++ {
		if b != '/' {
			paths = append(paths, "x"+string([]byte{byte(b)})+"y")
		}
	}
	paths = append(paths, "a b", "größe/日本", `q"\u`, "-n", "new\nline/x")
	for _, p := range paths {
		at := filepath.Join(dir, "d", p)
		testkit.Must(t, os.MkdirAll(filepath.Dir(at), 0o755))
		testkit.Must(t, os.WriteFile(at, nil, 0o644))
	}
	git("add", "d")
	want := strings.Split(strings.TrimSpace(git("-c", "core.quotePath=false", "ls-files", "d")), "\n")
	for i := range paths {
		paths[i] = "d/" + paths[i]
	}
	got := strings.Split(strings.TrimSpace(string(changedList(paths))), "\n")
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Errorf("%q, want %q", got[i], want[i])
			}
		}
		t.Errorf("%d and %d", len(got), len(want))
	}
}
