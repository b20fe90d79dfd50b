package run

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
)

func TestRestore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	testkit.Must(t, os.Mkdir(dir, 0o755))
	path := filepath.Join(dir, "beat.lock")
	l, err := TryBeatLock(path, "run")
	testkit.Must(t, err)
	defer l.Close()
	testkit.Must(t, l.Restore())
	testkit.Must(t, os.RemoveAll(dir))
	testkit.Must(t, l.Restore())
	if h, held, err := ReadHolder(path); err != nil || !held || h.PID != os.Getpid() || h.Purpose != "run" {
		t.Errorf("after a cleanup: %+v, held %v, %v", h, held, err)
	}
	var busy *Busy
	if _, err := TryBeatLock(path, "beat"); !errors.As(err, &busy) {
		t.Errorf("a second one: %v", err)
	}
	testkit.Must(t, os.Remove(path))
	other, err := TryBeatLock(path, "beat") // quicker than we are
	testkit.Must(t, err)
	defer other.Close()
	if err := l.Restore(); !errors.As(err, &busy) {
		t.Errorf("another process has the new file: %v", err)
	}
}

// Another account must not be able to hold it.
func TestBeatLockFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "beat.lock")
	l, err := TryBeatLock(path, "run")
	testkit.Must(t, err)
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	testkit.Must(t, l.Close())
	testkit.Must(t, l.Close())
	if h, held, err := ReadHolder(path); err != nil || held || h.PID != os.Getpid() || h.Purpose != "run" {
		t.Errorf("after: %+v %v %v", h, held, err)
	}
	l, err = TryBeatLock(path, "beat")
	testkit.Must(t, err)
	testkit.Must(t, l.Close())
}
