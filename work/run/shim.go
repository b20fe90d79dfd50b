package run

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/work"
)

// Program is how the shim is started: an executable and its arguments without the name. The zero value is this very
// program as `work-shim`, even when its file was replaced by an upgrade meanwhile.
type Program struct {
	Path string
	Args []string
}

// Shim is work in hand: a shim that this process started or found.
type Shim struct {
	RunID string
	Item  string // repository:item
	PID   int    // of the shim
	Log   string // the script's output; "" when adopted: the attempt in memory names it

	lockPath string
	ended    <-chan struct{} // of a shim of ours; the lock does not tell: a script may remove or empty its file
	started  time.Time       // when it took the lock, if it was adopted
}

// newRunID makes a name for one run, unique on this node: its time (UTC) and some randomness.
func newRunID(now time.Time) string {
	random := make([]byte, 4)
	_, _ = rand.Read(random) // never fails (crypto/rand)
	return now.UTC().Format("20060102-150405") + "-" + hex.EncodeToString(random)
}

// Start does the item's script under a shim that lives on without this process. The log is made, the attempt recorded
// and the room for its result reserved first; then the shim inherits the lock and l, this process's copy, is closed.
// After an error l is still held, nothing runs, and the item has not begun: the error says why ("disk full: ..."); only
// when the shim itself could not be started is there an attempt, ended with that reason.
func Start(l *Lock, o Order, p Program) (*Shim, error) {
	o.LockPath = l.path
	log, err := newLog(LogDir(o.Logs, o.Repo, o.Item), o.Attempt.Started)
	if err != nil {
		return nil, plainly(err)
	}
	o.Attempt.Log = log
	if err := o.begin(); err != nil {
		_ = os.Remove(log) // empty: a full disk must not push the logs that tell something out of those kept
		return nil, err
	}
	_ = showLog(log) // it only informs
	h := l.holder
	h.Purpose, h.Item, h.RunID, h.Session = PurposeWork, o.Repo+":"+o.Item, o.Attempt.RunID, 0
	if err = l.note(h); err == nil {
		var pid int
		var ended <-chan struct{}
		if pid, ended, err = spawnShim(l, o, p); err == nil {
			_ = l.Close() // the shim holds it now; there is nothing to do about a copy that cannot be closed
			return &Shim{RunID: h.RunID, Item: h.Item, PID: pid, Log: log, lockPath: o.LockPath, ended: ended}, nil
		}
	}
	err = fmt.Errorf("start shim: %w", plainly(err))
	return nil, errors.Join(err, recordEnd(o.Memory, o.Attempt.End(work.ReasonStart, -1, err.Error(), "", time.Now())))
}

// begin records the attempt, and writes what the script is to read: it must not run with less than is recorded.
func (o Order) begin() error {
	r, _, err := work.ResultIn(o.Memory).Peek()
	if files.Shortage(err) {
		return fmt.Errorf("record the attempt: what came before %w", err)
	}
	if r.Last != nil && r.Last.Finished.IsZero() {
		return fmt.Errorf("run %s of %s:%s has no recorded end and may still be running: sweep it first", r.Last.RunID, o.Repo, o.Item)
	}
	_ = os.Remove(filepath.Join(o.Memory, wedgedFile)) // an earlier run's, which no longer counts
	for path, content := range o.Files {
		if err := (files.Remembered[string]{Path: path, Public: true}).Put(content); err != nil {
			return fmt.Errorf("write %s for the script: %w", filepath.Base(path), plainly(err))
		}
	}
	return recordAttempt(o.Memory, r.Done, o.Attempt)
}

// adopt finds work in hand that an earlier agent started: ok is false when no shim holds the lock at path.
func adopt(path string) (run *Shim, ok bool, err error) {
	h, held, err := ReadHolder(path)
	if err != nil || !held || h.Purpose != PurposeWork {
		return nil, false, err
	}
	return &Shim{RunID: h.RunID, Item: h.Item, PID: h.PID, lockPath: path, started: h.Started}, true, nil
}

// Wait returns when the shim has ended, and with it the run: the item's memory tells how it went. An attempt without an
// end means that the shim was killed.
//
// A shim that was stopped (SIGSTOP) enforces no deadline and never ends, and with it the node would hang forever: it is
// told to go on.
func (r *Shim) Wait() {
	for r.ended == nil { // the child of another process: its end is known by the lock
		h, held, err := ReadHolder(r.lockPath)
		if err == nil && (!held || h.Purpose != PurposeWork || h.RunID != r.RunID) {
			return
		}
		wakeStopped(h.PID)
		waitProcess(h.PID, endedPoll)
	}
	look := time.NewTicker(endedPoll)
	defer look.Stop()
	for {
		select {
		case <-r.ended: // how it went is in the memory, or nowhere
			return
		case <-look.C:
			wakeStopped(r.PID)
		}
	}
}

// endedPoll is how often work in hand is looked at: a few system calls each, and the longest delay until the end of
// adopted work is seen where the kernel has no pidfd (before 5.3).
const endedPoll = time.Second
