package files

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
)

// TestMakeFolder: whatever stands in the place of a folder of ours, or of the one above, goes aside whole.
func TestMakeFolder(t *testing.T) {
	for name, put := range map[string]func(path string){
		"file":      func(path string) { testkit.Must(t, os.WriteFile(path, []byte("x"), 0o600)) },
		"dead link": func(path string) { testkit.Must(t, os.Symlink("nowhere", path)) },
		"loop":      func(path string) { testkit.Must(t, os.Symlink(filepath.Base(path), path)) },
		"fifo":      func(path string) { testkit.Must(t, syscall.Mkfifo(path, 0o600)) },
	} {
		dir := t.TempDir()
		for _, at := range []string{"a", "a", "a/b"} {
			testkit.Must(t, os.RemoveAll(filepath.Join(dir, at)))
			put(filepath.Join(dir, at))
			if err := MakeFolder(filepath.Join(dir, "a", "b"), 0o755); err != nil {
				t.Errorf("%s in place of %s: %v", name, at, err)
			}
		}
		for _, aside := range []string{"a.corrupt", "a.corrupt-2", "a/b.corrupt"} {
			if _, err := os.Lstat(filepath.Join(dir, aside)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if err := MakeFolder("/proc/none", 0o755); err == nil {
		t.Error("made a folder where none can be")
	}
}

// TestMatching: the folder's path is no pattern.
func TestMatching(t *testing.T) {
	dir := filepath.Join(t.TempDir(), `a[b*?\`)
	testkit.Must(t, os.MkdirAll(filepath.Join(dir, "x"), 0o755))
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "x", "1.json"), nil, 0o600))
	if got := Matching(dir, "*/*.json"); len(got) != 1 || got[0] != filepath.Join(dir, "x", "1.json") {
		t.Error(got)
	}
}
