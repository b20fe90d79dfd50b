package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// ErrHeld is the error for a lock that another process has.
var ErrHeld = errors.New("another process holds it")

var errReplaced = errors.New("the file was replaced meanwhile")

// Lock is an exclusive lock on a file, which ends with its process at the latest. The file is never deleted: a process
// that had just opened it would then lock what no other process can find.
type Lock struct {
	flock *flock.Flock
	Aside string // says what was set aside, see MakeWay
}

// TryLock takes the lock on the file at path without waiting. The folder must exist.
func TryLock(path string) (l *Lock, err error) {
	l = &Lock{flock: flock.New(path, flock.SetFlag(LockFlags), flock.SetPermissions(LockMode))}
	if l.Aside, err = MakeWay(path); err == nil {
		err = TryAgain(5, l.take)
	}
	return l, err
}

// How the file of a lock is opened. A shared lock needs no more than reading: another account that could read the file
// could stop the agent by holding it.
const (
	LockFlags = os.O_RDWR | os.O_CREATE | syscall.O_NOFOLLOW | syscall.O_NONBLOCK
	LockMode  = fs.FileMode(0o600)
)

// MakeWay prepares path for a lock: what is no regular file is set aside, and the file of an earlier version, which
// other accounts may read, becomes ours alone. said tells what was set aside; "" = nothing.
func MakeWay(path string) (said string, err error) {
	info, err := os.Lstat(path)
	switch {
	case err != nil: // opening it tells
	case !info.Mode().IsRegular():
		aside, err := SetAside(path, "corrupt")
		return path + " was not a regular file: set aside as " + filepath.Base(aside), err
	case info.Mode().Perm()&^LockMode != 0:
		_ = os.Chmod(path, LockMode) // of a file that is not ours opening tells
	}
	return "", nil
}

func (l *Lock) take() error {
	switch locked, err := l.flock.TryLock(); {
	case errors.As(err, new(*fs.PathError)):
		return err
	case err != nil:
		return fmt.Errorf("lock %s: %w", l.flock.Path(), err)
	case !locked:
		return ErrHeld
	case !l.Current():
		return errors.Join(fmt.Errorf("lock %s: %w", l.flock.Path(), errReplaced), l.Close())
	}
	return nil
}

// TryAgain calls take, which takes a lock, up to so many times with 5 ms between them. A lock may be held for
// microseconds only: by Held, or by a child of its last holder on the way to another program.
func TryAgain(times int, take func() error) (err error) {
	for try := 1; ; try++ {
		err = take()
		if try >= times || !errors.Is(err, ErrHeld) && !errors.Is(err, errReplaced) {
			return err
		}
		<-time.NewTimer(5 * time.Millisecond).C
	}
}

// Current tells whether the path still names what is locked: a person who cleans up may have removed it.
func (l *Lock) Current() bool {
	locked, err := l.flock.Stat()
	return err == nil && IsFile(locked, l.flock.Path())
}

// IsFile tells whether path names that file, and not a link to it.
func IsFile(info fs.FileInfo, path string) bool {
	now, err := os.Lstat(path)
	return err == nil && os.SameFile(info, now)
}

// Close ends the lock. Closing twice is harmless.
func (l *Lock) Close() error { return l.flock.Close() }

// Held tells whether a process has the lock at path. It takes a shared lock for a moment: the only way to ask that
// works on every file system. An account that may not open the file relies on the kernel's list.
func Held(path string) (bool, error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return false, nil // none of ours holds that
	}
	f := flock.New(path, flock.SetFlag(os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK))
	shared, err := f.TryRLock()
	if err = errors.Join(err, f.Close()); errors.Is(err, fs.ErrPermission) {
		return LockedBy(path) != 0, nil
	}
	return err == nil && !shared, err
}

// LockedBy is the process that took the lock at path, shared or not, 0 when that is not known (man 5 proc_locks).
// Device numbers are not compared: some file systems show others there.
func LockedBy(path string) (pid int) {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	list, _ := os.ReadFile("/proc/locks")
	inode := fmt.Sprintf(":%d", info.Sys().(*syscall.Stat_t).Ino)
	for line := range strings.Lines(string(list)) {
		if f := strings.Fields(line); len(f) > 5 && f[1] == "FLOCK" && strings.HasSuffix(f[5], inode) {
			pid, _ = strconv.Atoi(f[4])
		}
	}
	return pid
}
