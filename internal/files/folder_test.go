package files

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
)

// TestMakeFolder: whatever stands in the place of a folder of ours, or of the one above, goes aside, and is named.
func TestMakeFolder(t *testing.T) {
	for name, put := range map[string]func(path string){
		"file":      func(path string) { testkit.Must(t, os.WriteFile(path, []byte("x"), 0o600)) },
		"dead link": func(path string) { testkit.Must(t, os.Symlink("/proc/none/x", path)) },
		"loop":      func(path string) { testkit.Must(t, os.Symlink(filepath.Base(path), path)) },
		"fifo":      func(path string) { testkit.Must(t, syscall.Mkfifo(path, 0o600)) },
	} {
		dir := t.TempDir()
		for _, at := range []string{"a", "a", "a/b"} {
			testkit.Must(t, os.RemoveAll(filepath.Join(dir, at)))
			put(filepath.Join(dir, at))
			said, err := MakeFolder(filepath.Join(dir, "a", "b"), 0o755)
			if err != nil || !strings.HasPrefix(said, filepath.Join(dir, at)+" was not a folder: set aside as "+filepath.Base(at)+".corrupt") {
				t.Errorf("%s in place of %s: %q, %v", name, at, said, err)
			}
		}
		for _, aside := range []string{"a.corrupt", "a.corrupt-2", "a/b.corrupt"} {
			if _, err := os.Lstat(filepath.Join(dir, aside)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := MakeFolder("/proc/none", 0o755); err == nil {
		t.Error("made a folder where none can be")
	}
}

// TestMakeFolderBehindALink: people move a folder to another disk, which may not be mounted. The link stays.
func TestMakeFolderBehindALink(t *testing.T) {
	dir := t.TempDir()
	for at, to := range map[string]string{"log": filepath.Join(dir, "disk", "log"), "state": "disk/state"} {
		link := filepath.Join(dir, at)
		testkit.Must(t, os.Symlink(to, link))
		said, err := MakeFolder(filepath.Join(link, "work"), 0o755)
		if got, _ := os.Readlink(link); err != nil || said != "" || got != to {
			t.Errorf("%s -> %s: %q, %v", at, got, said, err)
		}
		if info, err := os.Stat(filepath.Join(dir, "disk", at, "work")); err != nil || !info.IsDir() {
			t.Errorf("%s: %v", at, err)
		}
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
