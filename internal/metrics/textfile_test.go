package metrics

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
)

func TestTextfilePaths(t *testing.T) {
	for path, want := range map[string]string{
		"/var/lib/node_exporter/addagent.prom": "",
		"addagent.prom":                        "not an absolute path",
		"":                                     "not an absolute path",
		"/x/addagent.txt":                      "does not end in NAME.prom",
		"/x/.prom":                             "does not end in NAME.prom",
	} {
		if _, err := NewTextfile(path); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", path, err, want)
		}
	}
}

// TestTextfileIsWholeAndReadable: replaced and not written into, 0644 whatever umask and an earlier file say, and nothing of ours left beside it.
func TestTextfileIsWholeAndReadable(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "addagent.prom")
	others := []string{".addagent.prom", ".addagent.prom1x", ".other.prom123456789012345", "node.prom"}
	for _, name := range append(others, ".addagent.prom123456789012345", ".addagent.prom7") {
		testkit.Must(t, os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600))
	}
	testkit.Must(t, os.WriteFile(path, []byte("old\n"), 0o600))
	before, err := os.Open(path)
	testkit.Must(t, err)
	defer before.Close()

	f, err := NewTextfile(path)
	testkit.Must(t, err)
	for _, page := range []string{"one\n", "two\n"} {
		testkit.Must(t, f.Write([]byte(page)))
		got, err := os.ReadFile(path)
		testkit.Must(t, err)
		info, err := os.Stat(path)
		testkit.Must(t, err)
		if string(got) != page || info.Mode() != 0o644 {
			t.Errorf("%q with mode %v", got, info.Mode())
		}
	}
	held := make([]byte, 8)
	if n, _ := before.Read(held); string(held[:n]) != "old\n" {
		t.Errorf("who had the old file open reads %q", held[:n])
	}
	entries, err := os.ReadDir(dir)
	testkit.Must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := slices.Sorted(slices.Values(append(others, "addagent.prom"))); !slices.Equal(names, want) {
		t.Errorf("there is %q, want %q", names, want)
	}
}

// TestTextfileErrors name what to do. A permission is played by an error of the same kind, since root may do everything.
func TestTextfileErrors(t *testing.T) {
	dir := t.TempDir()
	f, err := NewTextfile(filepath.Join(dir, "gone", "addagent.prom"))
	testkit.Must(t, err)
	if err := f.Check(); err == nil || !strings.HasSuffix(err.Error(), "--collector.textfile.directory="+filepath.Join(dir, "gone")) {
		t.Errorf("no folder, before it is written: %v", err)
	}
	if err := f.Write(nil); err == nil || !strings.Contains(err.Error(), "make the folder (mkdir -p "+filepath.Join(dir, "gone")+") and start node_exporter with --collector.textfile.directory=") {
		t.Errorf("no folder: %v", err)
	}
	testkit.Must(t, os.Mkdir(filepath.Join(dir, "gone"), 0o755))
	testkit.Must(t, f.Check())
	if entries, err := os.ReadDir(filepath.Join(dir, "gone")); err != nil || len(entries) > 0 {
		t.Errorf("to look wrote %v %v", entries, err)
	}
	testkit.Must(t, f.Write([]byte("x\n"))) // as soon as somebody did

	testkit.Must(t, os.Mkdir(filepath.Join(dir, "dir.prom"), 0o755))
	f, err = NewTextfile(filepath.Join(dir, "dir.prom"))
	testkit.Must(t, err)
	if err := f.Write(nil); err == nil || !strings.HasPrefix(err.Error(), "metrics.textfile: ") {
		t.Errorf("a folder in its place: %v", err)
	}
	if err := f.explain(&os.PathError{Op: "open", Path: f.path, Err: syscall.EACCES}); !strings.Contains(err.Error(), "let the user that addagent runs as write into "+dir) {
		t.Errorf("no permission: %v", err)
	}
}
