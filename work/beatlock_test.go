package work

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestRestore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	must(t, os.Mkdir(dir, 0o755))
	path := filepath.Join(dir, "beat.lock")
	l, err := TryBeatLock(path, "run")
	must(t, err)
	defer l.Close()
	must(t, l.Restore())
	must(t, os.RemoveAll(dir))
	must(t, l.Restore())
	if h, held, err := ReadHolder(path); err != nil || !held || h.PID != os.Getpid() || h.Purpose != "run" {
		t.Errorf("after somebody cleaned up: %+v, held %v, %v", h, held, err)
	}
	var busy *Busy
	if _, err := TryBeatLock(path, "beat"); !errors.As(err, &busy) {
		t.Errorf("a second one: %v", err)
	}
	must(t, os.Remove(path))
	other, err := TryBeatLock(path, "beat") // quicker than we are
	must(t, err)
	defer other.Close()
	if err := l.Restore(); !errors.As(err, &busy) {
		t.Errorf("somebody else has the new file: %v", err)
	}
}

// The file keeps its mode: other accounts read who beats here.
func TestBeatLockFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "beat.lock")
	l, err := TryBeatLock(path, "run")
	must(t, err)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o600 != 0o600 || info.Mode().Perm()&0o044 == 0 {
		t.Errorf("%v %v", info, err)
	}
	must(t, l.Close())
	must(t, l.Close())
	if h, held, err := ReadHolder(path); err != nil || held || h.PID != os.Getpid() || h.Purpose != "run" {
		t.Errorf("after: %+v %v %v", h, held, err)
	}
	l, err = TryBeatLock(path, "beat")
	must(t, err)
	must(t, l.Close())
}
