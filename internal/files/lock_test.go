package files

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestMain(m *testing.M) {
	if path := os.Getenv("LOCK_TEST_PATH"); path != "" {
		os.Exit(holdLock(path))
	}
	os.Exit(m.Run())
}

// holdLock is another process: it takes the lock, says so, and holds it until its input ends.
func holdLock(path string) int {
	take := TryLockFolder
	if os.Getenv("LOCK_TEST_KIND") == "file" {
		take = func(p string) (*Lock, error) { return TryLock(p, 0o600) }
	}
	if _, err := take(path); err != nil {
		os.Stdout.WriteString(err.Error() + "\n")
		return 1
	}
	os.Stdout.WriteString("held\n")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	return 0
}

// A lock that another process has is held, and free as soon as that one is killed.
func TestLockOfAnotherProcess(t *testing.T) {
	for _, kind := range []string{"file", "folder"} {
		t.Run(kind, func(t *testing.T) {
			path := t.TempDir()
			try := TryLockFolder
			if kind == "file" {
				path = filepath.Join(path, "lock")
				try = func(p string) (*Lock, error) { return TryLock(p, 0o600) }
			}
			other := exec.Command(os.Args[0])
			other.Env = append(os.Environ(), "LOCK_TEST_PATH="+path, "LOCK_TEST_KIND="+kind)
			out, err := other.StdoutPipe()
			if err == nil {
				_, err = other.StdinPipe()
			}
			if err == nil {
				err = other.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "held\n" {
				t.Fatalf("the other process: %q %v", line, err)
			}
			if _, err := try(path); !errors.Is(err, ErrHeld) {
				t.Errorf("while it is held: %v", err)
			}
			if held, err := Held(path); !held || err != nil {
				t.Errorf("held %v, %v", held, err)
			}
			if err := other.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = other.Wait() // killed
			if held, err := Held(path); held || err != nil {
				t.Errorf("its holder is dead: held %v, %v", held, err)
			}
			l, err := try(path)
			if err != nil || !l.Current() {
				t.Fatalf("its holder is dead: %v", err)
			}
			if err := errors.Join(l.Close(), l.Close()); err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("the file of a lock stays: %v", err)
			}
		})
	}
}

func TestLockErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lock")
	if held, err := Held(path); held || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: held %v, %v", held, err)
	}
	if _, err := TryLock(filepath.Join(dir, "none", "lock"), 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	if _, err := TryLock(dir, 0o600); err == nil {
		t.Error("a folder was locked as a file")
	}
	if err := os.Symlink(path, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := TryLock(filepath.Join(dir, "link"), 0o600); err == nil {
		t.Error("a link was followed")
	}
	l, err := TryLock(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if _, err := TryLockFolder(path); err == nil {
		t.Error("a file was locked as a folder")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if l.Current() {
		t.Error("current, though the file is gone")
	}
}
