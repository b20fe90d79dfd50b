package run

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/addagent/addagent/internal/files"
	"golang.org/x/sys/unix"
)

// BeatLock is the lock of the one agent that beats here. Its file says who that is, as the work lock's does.
type BeatLock struct {
	lock   *files.Lock
	path   string
	holder Holder
}

// TryBeatLock takes the lock as TryLock does.
func TryBeatLock(path, purpose string) (*BeatLock, error) {
	return tryBeatLock(path, newHolder(purpose))
}

func tryBeatLock(path string, h Holder) (*BeatLock, error) {
	l := &BeatLock{path: path, holder: h}
	err := take(path, func() (err error) {
		l.lock, err = files.TryLock(path)
		return err
	})
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err == nil {
		defer file.Close()
		err = writeHolder(file, h)
	}
	if err != nil {
		return nil, errors.Join(err, l.lock.Close())
	}
	return l, nil
}

// Aside says what stood in the place of the lock's file; "" = nothing did.
func (l *BeatLock) Aside() string { return l.lock.Aside }

// Restore makes the file anew where a person who cleaned up /run took it away, so that others find the lock taken and
// its holder named. The error is a *Busy when another process has locked the new file first.
func (l *BeatLock) Restore() error {
	if l.lock.Current() {
		return nil
	}
	if _, err := files.MakeFolder(filepath.Dir(l.path), 0o755); err != nil {
		return fmt.Errorf("restore lock: %w", err)
	}
	again, err := tryBeatLock(l.path, l.holder)
	if err != nil {
		return err
	}
	again.lock, l.lock = l.lock, again.lock
	return again.Close() // not before the new one is held: the lock is never free meanwhile
}

// Close ends the lock. Closing twice is harmless.
func (l *BeatLock) Close() error { return l.lock.Close() }
