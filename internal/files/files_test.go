package files

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWriteAndReplace(t *testing.T) {
	for name, put := range map[string]func(string, []byte, os.FileMode) error{"Write": Write, "Replace": Replace} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "state.txt")
			if err := put(path, []byte("setup\n"), 0o640); err != nil {
				t.Fatal(err)
			}
			want(t, path, "setup\n", 0o640)

			if err := os.Chmod(path, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := put(path, []byte("idle\n"), 0o640); err != nil {
				t.Fatal(err)
			}
			want(t, path, "idle\n", 0o600)

			if err := put(path, nil, 0o640); err != nil {
				t.Fatal(err)
			}
			want(t, path, "", 0o600)
			if names := list(t, dir); len(names) != 1 {
				t.Errorf("left behind: %q", names)
			}
		})
	}
}

func TestWriteFailures(t *testing.T) {
	for name, put := range map[string]func(string, []byte, os.FileMode) error{"Write": Write, "Replace": Replace} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			err := put(filepath.Join(dir, "no", "state.txt"), []byte("x"), 0o644)
			if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "state.txt") {
				t.Errorf("missing folder: %v", err)
			}

			// A folder is in the way of a file of ours: it is set aside, no temporary file is left.
			inTheWay := filepath.Join(dir, "taken")
			if err := os.MkdirAll(filepath.Join(inTheWay, "in"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := put(inTheWay, []byte("x"), 0o644); err != nil {
				t.Error(err)
			}
			if names := list(t, dir); !slices.Equal(names, []string{"taken", "taken.corrupt"}) {
				t.Errorf("left behind: %q", names)
			}
			want(t, inTheWay, "x", 0o644)
		})
	}
}

func TestWriteReplacesASymlinkNotItsTarget(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("target", link); err != nil {
		t.Fatal(err)
	}
	if err := Write(link, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	want(t, target, "precious", 0o644)
	want(t, link, "x", 0o644)
}

func TestSetAside(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "instance.json")
	if _, err := SetAside(path, "corrupt"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	for _, content := range []string{"first", "second"} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		aside, err := SetAside(path, "corrupt")
		if err != nil || aside != path+".corrupt" {
			t.Fatalf("SetAside = %q, %v", aside, err)
		}
		want(t, aside, content, 0o644)
	}
	if names := list(t, dir); len(names) != 1 {
		t.Errorf("left: %q", names)
	}
}

func TestSetAsideAFolder(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "memory")
	for range 2 {
		if err := os.MkdirAll(filepath.Join(path, "in"), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := SetAside(path, "copied"); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, []byte("now a file"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := SetAside(path, "copied"); err != nil {
		t.Fatal(err)
	}
	want(t, path+".copied", "now a file", 0o644)
}

func TestReadSmall(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), 10), 0o644); err != nil {
		t.Fatal(err)
	}
	if data, err := ReadSmall(path, 10); err != nil || len(data) != 10 {
		t.Errorf("ReadSmall = %d bytes, %v", len(data), err)
	}
	if _, err := ReadSmall(path, 9); !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), path) {
		t.Errorf("too large: %v", err)
	}
	if _, err := ReadSmall(filepath.Join(dir, "none"), 9); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	if _, err := ReadSmall(dir, 9); err == nil || !strings.Contains(err.Error(), "folder") {
		t.Errorf("folder: %v", err)
	}
	// Files of the kernel say that they are empty, and end where they end.
	limits, err := os.ReadFile("/proc/self/limits")
	if data, again := ReadSmall("/proc/self/limits", 1<<20); !errors.Is(err, fs.ErrNotExist) && (again != nil || !bytes.Equal(data, limits) || len(data) < 600) {
		t.Errorf("a file of the kernel: %d bytes of %d, %v", len(data), len(limits), again)
	}
	if _, err := ReadSmall("/dev/zero", 9); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("device: %v", err)
	}
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-2 * time.Hour)
	put := func(name string, when time.Time) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	put(".state.txt1234567890123456789", old)
	put(".beat.json1234567890123456789", time.Now())
	put(".notes2024", old)
	put("state.txt", old)
	put("report1234567890123456789", old)
	put(".1234567890123456789", old)

	if err := Sweep(dir, time.Now().Add(-time.Hour)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, ".state.txt1234567890123456789")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old temporary file is still there: %v", err)
	}
	if len(list(t, dir)) != 5 {
		t.Errorf("left: %q", list(t, dir))
	}
	if err := Sweep(filepath.Join(dir, "none"), time.Now()); err != nil {
		t.Errorf("missing folder: %v", err)
	}
}

// What renameio really names its files must be what Sweep recognises.
func TestSweepKnowsTheRealNames(t *testing.T) {
	dir := t.TempDir()
	p, err := pending(filepath.Join(dir, "state.txt"), []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Cleanup() }()
	if name := filepath.Base(p.Name()); !isTemporary(name) {
		t.Errorf("%q is not recognised", name)
	}
	if filepath.Dir(p.Name()) != dir {
		t.Errorf("temporary file in %s", filepath.Dir(p.Name()))
	}
}

func want(t *testing.T, path, content string, perm os.FileMode) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil || string(data) != content {
		t.Errorf("%s holds %q, %v, want %q", filepath.Base(path), data, err, content)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != perm {
		t.Errorf("%s has mode %v, %v, want %v", filepath.Base(path), info.Mode(), err, perm)
	}
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestTryLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := Try(dir, 9000); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if err := Try(filepath.Join(dir, "absent"), 1); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
