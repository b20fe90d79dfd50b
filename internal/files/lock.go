package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// ErrHeld is the error for a lock that another process has.
var ErrHeld = errors.New("another process holds it")

var errReplaced = errors.New("the file was replaced meanwhile")

// Lock is an exclusive lock on a file or a folder, which ends with its process at the latest. The file is never
// deleted: a process that had just opened it would then lock what no other process can find.
type Lock struct{ flock *flock.Flock }

// TryLock takes the lock on the file at path without waiting. A new file gets perm; the folder must exist. A symbolic
// link is an error, and so is ErrHeld.
func TryLock(path string, perm fs.FileMode) (*Lock, error) {
	l := &Lock{flock.New(path, flock.SetFlag(os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW), flock.SetPermissions(perm))}
	return l, l.take()
}

// TryLockFolder takes a lock on the folder itself, and writes nothing.
func TryLockFolder(dir string) (*Lock, error) {
	l := &Lock{flock.New(dir, flock.SetFlag(os.O_RDONLY|syscall.O_DIRECTORY))}
	return l, TryAgain(5, l.take)
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
// works on every file system.
func Held(path string) (bool, error) {
	f := flock.New(path, flock.SetFlag(os.O_RDONLY|syscall.O_NOFOLLOW))
	shared, err := f.TryRLock()
	return err == nil && !shared, errors.Join(err, f.Close())
}
