package work

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Lock is an exclusive flock on a file that is never deleted. It belongs to the open file, not to a process: whoever inherits the descriptor holds the
// lock too, and it is free when the last copy is closed, however its holder ended. That is why this is not gofrs/flock: it keeps its file to itself, and its
// way to close one is LOCK_UN, which would take the lock from the shim that had just been given it.
type Lock struct {
	file   *os.File
	path   string
	holder Holder
}

// Holder is what stands in a lock file: one line of JSON, for people and for Adopt. The lock is the truth, this is a note; it stays behind when the lock is
// free.
type Holder struct {
	PID     int       `json:"pid"`
	Started time.Time `json:"started"` // when the lock was taken, UTC
	BootID  string    `json:"boot_id"`
	Purpose string    `json:"purpose"`          // "work": a shim has it
	Item    string    `json:"item,omitempty"`   // repository:item of the last script that was started under this lock
	RunID   string    `json:"run_id,omitempty"` // and its run
	// Session is the session id of that script. It is kept by those who take the lock later, so that what a killed shim left behind can be found. It
	// stands here and not in RESULT because it means nothing after a reboot, and because overwriting a line in a small file under /run never lacks space.
	Session int `json:"session,omitempty"`
}

// PurposeWork is the Purpose of a lock that was handed to a shim.
const PurposeWork = "work"

// Busy says that somebody else has the lock. Holder is empty when the note could not be read.
type Busy struct {
	Path   string
	Holder Holder
}

func (b *Busy) Error() string {
	if b.Holder.PID == 0 {
		return b.Path + " is held by another process"
	}
	return fmt.Sprintf("%s is held by process %d (%s) since %s", b.Path, b.Holder.PID, b.Holder.Purpose, b.Holder.Started.Format(time.RFC3339))
}

// TryLock takes the lock at path without waiting and writes into it who has it now and for what. The error is a *Busy when somebody else has it.
// The folder must exist.
func TryLock(path, purpose string) (*Lock, error) {
	file, err := openLocked(path)
	if err != nil {
		return nil, err
	}
	l := &Lock{file: file, path: path}
	before := readHolder(file)
	err = l.note(Holder{
		PID: os.Getpid(), Started: time.Now().UTC().Truncate(time.Second), BootID: bootID(), Purpose: purpose,
		Item: before.Item, RunID: before.RunID, Session: before.Session,
	})
	if err != nil {
		file.Close()
		return nil, err
	}
	return l, nil
}

// lockTries and lockPause bound how long TryLock goes on when the lock is busy: a reader's probe (ReadHolder), or a child of the last holder between fork
// and exec, has it for microseconds, and must not look like work in hand. When the noted holder is dead it goes on for a second: on a busy disk a child that
// the holder was starting when it was killed takes that long to reach its exec, or to note that it is the holder now.
const (
	lockTries     = 5
	lockTriesDead = 200
	lockPause     = 5 * time.Millisecond
)

func openLocked(path string) (*os.File, error) {
	for try := 1; ; try++ {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
		if err != nil {
			return nil, fmt.Errorf("take lock: %w", err)
		}
		most := lockTries
		switch err = flock(file, unix.LOCK_EX|unix.LOCK_NB); {
		case err == nil && sameFile(file, path):
			return file, nil
		case err == nil:
			err = fmt.Errorf("take lock %s: the file was replaced meanwhile", path)
		case errors.Is(err, unix.EWOULDBLOCK):
			h := readHolder(file)
			if h.dead() {
				most = lockTriesDead
			}
			err = &Busy{Path: path, Holder: h}
		default:
			err = fmt.Errorf("take lock %s: %w", path, err)
			most = 0
		}
		file.Close()
		if try >= most {
			return nil, err
		}
		<-time.After(lockPause)
	}
}

// dead tells that the process that wrote the note is not there any more.
func (h Holder) dead() bool {
	return h.PID > 0 && h.BootID == bootID() && errors.Is(unix.Kill(h.PID, 0), unix.ESRCH)
}

func flock(file *os.File, how int) error {
	for {
		if err := unix.Flock(int(file.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// sameFile tells whether path still names the locked file. Nobody of ours deletes it, but somebody who cleans up /run by hand may.
func sameFile(file *os.File, path string) bool {
	a, errA := file.Stat()
	b, errB := os.Lstat(path)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// ReadHolder tells who wrote into the lock last, and whether the lock is held now. A file that is not there is a lock that nobody holds.
func ReadHolder(path string) (h Holder, held bool, err error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		return Holder{}, false, nil
	}
	if err != nil {
		return Holder{}, false, fmt.Errorf("read lock: %w", err)
	}
	defer file.Close()
	// A shared lock for a moment is the only question the kernel answers on every file system.
	switch err := flock(file, unix.LOCK_SH|unix.LOCK_NB); {
	case err == nil:
		_ = flock(file, unix.LOCK_UN) // at once; closing the file would do it too
	case errors.Is(err, unix.EWOULDBLOCK):
		held = true
	default:
		return Holder{}, false, fmt.Errorf("read lock %s: %w", path, err)
	}
	return readHolder(file), held, nil
}

// readHolder reads the note; one that nobody can read is as good as none. The writer does not wait for readers, so a torn line is read again.
func readHolder(file *os.File) Holder {
	for range 3 {
		data, err := io.ReadAll(io.NewSectionReader(file, 0, 4096))
		if err != nil {
			break
		}
		line, _, _ := bytes.Cut(data, []byte("\n"))
		var h Holder
		if json.Unmarshal(line, &h) == nil {
			return h
		}
	}
	return Holder{}
}

// note writes the holder's line in place, in one write: the file keeps its identity, and a full disk cannot empty it.
func (l *Lock) note(h Holder) error {
	line, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("note holder in %s: %w", l.path, err)
	}
	line = append(line, '\n')
	if _, err := l.file.WriteAt(line, 0); err != nil {
		return fmt.Errorf("note holder in %s: %w", l.path, err)
	}
	if err := l.file.Truncate(int64(len(line))); err != nil {
		return fmt.Errorf("note holder in %s: %w", l.path, err)
	}
	l.holder = h
	return nil
}

// Restore makes the file of the lock anew where somebody who cleans up /run took it away, so that others find the lock taken
// and its holder named. It is a few system calls when nothing is wrong. Somebody else may have locked the new file first: that is a *Busy.
func (l *Lock) Restore() error {
	if sameFile(l.file, l.path) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(l.path), 0o755); err != nil {
		return fmt.Errorf("restore lock: %w", err)
	}
	again, err := openLocked(l.path)
	if err != nil {
		return err
	}
	old := l.file
	l.file = again
	// Not before the new one is held: the lock is never free meanwhile.
	return errors.Join(l.note(l.holder), old.Close())
}

// File is the locked file. Its descriptor may be handed to a child, which then holds the lock too.
func (l *Lock) File() *os.File { return l.file }

// Path is the path the lock was taken at.
func (l *Lock) Path() string { return l.path }

// Close gives up this process's copy. The lock is free when no other process has one. Closing twice is harmless.
func (l *Lock) Close() error {
	if err := l.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("close lock: %w", err)
	}
	return nil
}

// LockFolder takes a lock on a folder itself, without writing anything: what two agents with locks in different places would share. The error is a *Busy when
// somebody has it. It is free when the file is closed.
func LockFolder(dir string) (*os.File, error) {
	file, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("take lock: %w", err)
	}
	for try := 1; ; try++ {
		switch err = flock(file, unix.LOCK_EX|unix.LOCK_NB); {
		case err == nil:
			return file, nil
		case !errors.Is(err, unix.EWOULDBLOCK):
			err = fmt.Errorf("take lock %s: %w", dir, err)
		case try < lockTries:
			<-time.After(lockPause)
			continue
		default:
			err = &Busy{Path: dir}
		}
		return nil, errors.Join(err, file.Close())
	}
}
