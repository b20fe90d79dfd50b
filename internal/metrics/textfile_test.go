package metrics

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
)

// TestTextfileIsWholeAndReadable: the file is replaced, not written into, and has mode 0644 despite the umask and an
// earlier file.
func TestTextfileIsWholeAndReadable(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "addagent.prom")
	testkit.Must(t, os.WriteFile(path, []byte("old\n"), 0o600))
	before, err := os.Open(path)
	testkit.Must(t, err)
	defer before.Close()

	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	for _, page := range []string{"one\n", "two\n"} {
		testkit.Must(t, WriteTextfile(path, []byte(page)))
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
}

// TestTextfileLeavesTheTargetOfALinkAlone: who owns the folder may put a link there at any time.
func TestTextfileLeavesTheTargetOfALinkAlone(t *testing.T) {
	dir := t.TempDir()
	secret, path := filepath.Join(dir, "shadow"), filepath.Join(dir, "addagent.prom")
	testkit.Must(t, os.WriteFile(secret, []byte("x"), 0o600))
	done := make(chan struct{})
	var linking sync.WaitGroup
	linking.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				link := filepath.Join(dir, "link")
				if os.Symlink(secret, link) == nil {
					_ = os.Rename(link, path)
				}
			}
		}
	})
	for range 2000 {
		if err := WriteTextfile(path, []byte("one\n")); err != nil {
			t.Error(err)
			break
		}
	}
	close(done)
	linking.Wait()
	info, err := os.Stat(secret)
	testkit.Must(t, err)
	if info.Mode() != 0o600 {
		t.Errorf("the target of a link has mode %v", info.Mode())
	}
}

// TestTextfileErrors name what to do. A permission is played by an error of the same kind, since root may do
// everything.
func TestTextfileErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "gone", "addagent.prom")
	if err := CheckTextfile(path); err == nil || !strings.HasSuffix(err.Error(), "--collector.textfile.directory="+filepath.Join(dir, "gone")) {
		t.Errorf("no folder, before it is written: %v", err)
	}
	if err := WriteTextfile(path, nil); err == nil || !strings.Contains(err.Error(), "create the folder (mkdir -p "+filepath.Join(dir, "gone")+") and start node_exporter with --collector.textfile.directory=") {
		t.Errorf("no folder: %v", err)
	}
	testkit.Must(t, os.Mkdir(filepath.Join(dir, "gone"), 0o755))
	testkit.Must(t, CheckTextfile(path))
	if entries, err := os.ReadDir(filepath.Join(dir, "gone")); err != nil || len(entries) > 0 {
		t.Errorf("to look wrote %v %v", entries, err)
	}
	testkit.Must(t, WriteTextfile(path, []byte("x\n"))) // as soon as there is one

	testkit.Must(t, os.Mkdir(filepath.Join(dir, "dir.prom"), 0o755))
	path = filepath.Join(dir, "dir.prom")
	if err := WriteTextfile(path, nil); err == nil || !strings.HasPrefix(err.Error(), "metrics.textfile: ") {
		t.Errorf("a folder in its place: %v", err)
	}
	if err := explain(path, &os.PathError{Op: "open", Path: path, Err: syscall.EACCES}); !strings.Contains(err.Error(), "allow the user that runs addagent to write into "+dir) {
		t.Errorf("no permission: %v", err)
	}
}
