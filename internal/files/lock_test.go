package files

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
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
	if _, err := TryLock(path); err != nil {
		os.Stdout.WriteString(err.Error() + "\n")
		return 1
	}
	os.Stdout.WriteString("held\n")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	return 0
}

// A lock that another process has is held, and free as soon as that one is killed.
func TestLockOfAnotherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), "LOCK_TEST_PATH="+path)
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
	if _, err := TryLock(path); !errors.Is(err, ErrHeld) {
		t.Errorf("while it is held: %v", err)
	}
	if held, err := Held(path); !held || LockedBy(path) != other.Process.Pid || err != nil {
		t.Errorf("held %v by %d, %v", held, LockedBy(path), err)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait() // killed
	if held, err := Held(path); held || err != nil {
		t.Errorf("its holder is dead: held %v, %v", held, err)
	}
	l, err := TryLock(path)
	if err != nil || !l.Current() {
		t.Fatalf("its holder is dead: %v", err)
	}
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the file of a lock stays: %v", err)
	}
}

// A shared lock needs no more than reading: no other account may do that, not even with the file of an earlier version.
func TestLockFileIsOursAlone(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"new":                   func(string) error { return nil },
		"of an earlier version": func(path string) error { return os.WriteFile(path, nil, 0o644) },
		"writable for all":      func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o644), os.Chmod(path, 0o666)) },
	} {
		path := filepath.Join(t.TempDir(), "lock")
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		l, err := TryLock(path)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
		l.Close()
	}
}

// What is no file stands in the way of a lock no longer than until it is needed.
func TestLockMakesItsWay(t *testing.T) {
	dir := t.TempDir()
	for name, make := range map[string]func(path string) error{
		"link":            func(path string) error { return os.Symlink("elsewhere", path) },
		"link to itself":  func(path string) error { return os.Symlink(filepath.Base(path), path) },
		"folder":          func(path string) error { return os.MkdirAll(filepath.Join(path, "with", "something"), 0o755) },
		"pipe":            func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"link to a lock":  func(path string) error { return os.Symlink("precious", path) },
		"an empty folder": func(path string) error { return os.Mkdir(path, 0o755) },
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(make(path), os.WriteFile(filepath.Join(dir, "precious"), []byte("x"), 0o644)); err != nil {
			t.Fatal(err)
		}
		if held, err := Held(path); held || err != nil {
			t.Errorf("%s: held %v, %v", name, held, err)
		}
		l, err := TryLock(path)
		if err != nil || l.Aside != path+" was not a regular file: set aside as "+filepath.Base(path)+".corrupt" {
			t.Errorf("%s: set aside as %q, %v", name, l.Aside, err)
			continue
		}
		if _, err := os.Lstat(path + ".corrupt"); err != nil {
			t.Error(err)
		}
		l.Close()
	}
	if data, err := os.ReadFile(filepath.Join(dir, "precious")); err != nil || string(data) != "x" {
		t.Errorf("%q %v", data, err)
	}
}

func TestLockErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lock")
	if held, err := Held(path); held || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: held %v, %v", held, err)
	}
	if _, err := TryLock(filepath.Join(dir, "none", "lock")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	l, err := TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if l.Current() {
		t.Error("current, though the file is gone")
	}
}
