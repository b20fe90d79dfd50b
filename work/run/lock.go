package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
	"golang.org/x/sys/unix"
)

// Lock is the work lock: an exclusive flock(2) on a file that is never deleted. It belongs to the open file, not to a
// process: the shim that inherits the descriptor holds the lock too, and it is free when the last copy is closed,
// however its holder ended. That is why it is not a files.Lock: that one keeps its file to itself and ends with
// LOCK_UN, which would take the lock from the shim that has just been given it.
type Lock struct {
	file   *os.File
	path   string
	holder Holder
	aside  string // see files.Lock
}

// Holder is what stands in a lock file: one line of JSON, for people and for adopt. The lock is the truth, this is a
// note; it stays behind when the lock is free.
type Holder struct {
	PID     int       `json:"pid"`
	Started time.Time `json:"started"` // when the lock was taken, UTC
	BootID  string    `json:"boot_id"`
	Purpose string    `json:"purpose"`          // "work": a shim has it
	Item    string    `json:"item,omitempty"`   // repository:item of the last script that was started under this lock
	RunID   string    `json:"run_id,omitempty"` // and its run
	// Session is the session id of that script. It is kept by those who take the lock later, so that what a killed shim
	// left behind can be found. It stands here and not in RESULT because it means nothing after a reboot, and because
	// overwriting a line in a small file under /run never lacks space.
	Session int `json:"session,omitempty"`
}

// PurposeWork is the Purpose of a lock that was handed to a shim.
const PurposeWork = "work"

// Busy says that another process has the lock. Holder is empty when the note could not be read.
type Busy struct {
	Path   string
	Holder Holder
}

func (b *Busy) Error() string {
	text := b.Path + " is held by " + b.Holder.String()
	if b.Holder.Purpose != "" {
		text += fmt.Sprintf(" (%s) since %s", b.Holder.Purpose, human.Time(b.Holder.Started))
	}
	return text
}

// String is the holder in a sentence.
func (h Holder) String() string {
	if h.PID == 0 {
		return "another process"
	}
	return fmt.Sprintf("process %d", h.PID)
}

// TryLock takes the lock at path without waiting and writes into it who has it now and for what. The error is a *Busy
// when another process has it. The folder must exist.
func TryLock(path, purpose string) (*Lock, error) {
	l := &Lock{path: path}
	aside, err := files.MakeWay(path)
	if err == nil {
		err = take(path, func() error {
			return files.TryAgain(5, func() (err error) {
				l.file, err = openLocked(path)
				return err
			})
		})
	}
	if err != nil {
		return nil, err
	}
	l.aside = aside
	before := readHolder(path)
	h := newHolder(purpose)
	h.Item, h.RunID, h.Session = before.Item, before.RunID, before.Session
	if err := l.note(h); err != nil {
		l.file.Close()
		return nil, err
	}
	return l, nil
}

func newHolder(purpose string) Holder {
	return Holder{PID: os.Getpid(), Started: time.Now().UTC().Truncate(time.Second), BootID: bootID(), Purpose: purpose}
}

// bootID names this boot of the machine; empty when the kernel does not say.
func bootID() string {
	id, _ := files.ReadText("/proc/sys/kernel/random/boot_id", 4096)
	return id
}

// take tries a lock for a moment, and for a second when the noted holder is dead: on a busy disk a child that the
// holder was starting when it was killed takes that long to reach its exec, or to note that it is the holder now.
func take(path string, try func() error) error {
	err := try()
	for i := 0; i < 40 && errors.Is(err, files.ErrHeld) && readHolder(path).dead(); i++ {
		err = try()
	}
	if errors.Is(err, files.ErrHeld) {
		return &Busy{Path: path, Holder: holderOf(path)}
	}
	if err != nil {
		return fmt.Errorf("take lock: %w", err)
	}
	return nil
}

func openLocked(path string) (*os.File, error) {
	file, err := os.OpenFile(path, files.LockFlags, files.LockMode)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	switch {
	case err == nil && files.IsFile(info, path):
		return file, nil
	case err == nil || errors.Is(err, unix.EWOULDBLOCK):
		err = files.ErrHeld // a file that was replaced meanwhile is tried again, too
	default:
		err = fmt.Errorf("lock %s: %w", path, err)
	}
	file.Close()
	return nil, err
}

// dead tells that the process that wrote the note is not there any more.
func (h Holder) dead() bool {
	return h.PID > 0 && (h.BootID != bootID() || errors.Is(unix.Kill(h.PID, 0), unix.ESRCH))
}

// ReadHolder tells who holds a lock, or who held it last when it is free. A lock without a file is free. When the note
// is of a process that has exited, another one holds it, which left none: no more than its number is known, if that.
func ReadHolder(path string) (h Holder, held bool, err error) {
	held, err = files.Held(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return Holder{}, false, fmt.Errorf("read lock: %w", err)
	}
	if held {
		return holderOf(path), true, nil
	}
	return readHolder(path), false, nil
}

// holderOf is who holds a lock that is held.
func holderOf(path string) Holder {
	if h := readHolder(path); h.PID != 0 && !h.dead() {
		return h
	}
	return Holder{PID: files.LockedBy(path)}
}

// readHolder reads the note, if it can be read. The writer does not wait for readers, so a torn line is read again.
func readHolder(path string) (h Holder) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return Holder{}
	}
	defer file.Close()
	for range 3 {
		data, _ := io.ReadAll(io.NewSectionReader(file, 0, 4096)) // what cannot be read is no JSON either
		line, _, _ := bytes.Cut(data, []byte("\n"))
		if h = (Holder{}); json.Unmarshal(line, &h) == nil {
			return h
		}
	}
	return Holder{}
}

// note writes down who has the lock.
func (l *Lock) note(h Holder) error {
	l.holder = h
	return writeHolder(l.file, h)
}

// writeHolder writes the holder's line in place, in one write: the file keeps its identity, and a full disk cannot
// empty it.
func writeHolder(file *os.File, h Holder) error {
	line, err := json.Marshal(h)
	if err == nil {
		line = append(line, '\n')
		if _, err = file.WriteAt(line, 0); err == nil {
			err = file.Truncate(int64(len(line)))
		}
	}
	if err != nil {
		return fmt.Errorf("note holder in %s: %w", file.Name(), err)
	}
	return nil
}

// Close gives up this process's copy. The lock is free when no other process has one. Closing twice is harmless.
func (l *Lock) Close() error {
	if err := l.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("close lock: %w", err)
	}
	return nil
}
