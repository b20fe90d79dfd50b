package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/addagent/addagent/internal/human"
	"golang.org/x/sys/unix"
)

const (
	// What a script leaves behind may end by itself so long: `tee` behind its output, a last child.
	settleWait = time.Second
	reapWait   = 5 * time.Second // for the end of a process that is already dead
)

// Options are how a script is run.
type Options struct {
	Log     *Log          // gets notes about how it was ended
	Timeout time.Duration // 0 = no deadline
	Grace   time.Duration // between TERM and KILL
	Begun   func(session int)
	Why     func(deadline bool) string // words for people why it was ended: its deadline, or ctx
}

// Run starts a command in a session of its own, waits for its end, and ends what it leaves behind in that session. When
// the deadline passes or ctx ends, all of the session is ended: TERM, after the grace KILL. cut tells that it was, and
// err is the end of the command otherwise, as of exec.Cmd.Wait. A *StartError says that nothing ran. The command is
// told to end when this process dies.
func Run(ctx context.Context, cmd *exec.Cmd, o Options) (cut string, err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	started, done := make(chan error), make(chan error, 1)
	go func() {
		// The death signal is sent when the thread that forked ends, not the process: this one is kept for this, and
		// waits as long as the script runs.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			done <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return "", &StartError{err}
	}
	id := cmd.Process.Pid
	if o.Begun != nil {
		o.Begun(id)
	}
	list := func() ([]Process, error) { return Of(id) }
	var deadline <-chan time.Time
	if o.Timeout > 0 {
		t := time.NewTimer(o.Timeout)
		defer t.Stop()
		deadline = t.C
	}
	passed := false
	select {
	case err := <-done:
		clearSession(o, list)
		return "", err
	case <-deadline:
		passed = true
	case <-ctx.Done():
	}
	cut = o.Why(passed)
	ended, stuck, err := End(list, o.Grace)
	o.Log.Say("%s; ended %s", cut, Listed(ended))
	sayStuck(o.Log, stuck, err)
	reap := time.NewTimer(reapWait)
	defer reap.Stop()
	select {
	case <-done:
	case <-reap.C:
	}
	return cut, nil
}

// StartError is the error of a command that could not be started.
type StartError struct{ Err error }

func (e *StartError) Error() string { return "cannot start: " + e.Err.Error() }

func (e *StartError) Unwrap() error { return e.Err }

// clearSession ends what the script left behind in its session.
func clearSession(o Options, list func() ([]Process, error)) {
	left, err := list()
	tick := time.NewTicker(Poll)
	defer tick.Stop()
	for until := time.Now().Add(settleWait); len(left) > 0 && err == nil && time.Now().Before(until); {
		<-tick.C
		left, err = list()
	}
	if len(left) == 0 && err == nil {
		return
	}
	ended, stuck, err := End(list, o.Grace)
	if len(ended) > 0 {
		o.Log.Say("left %s behind; ended %s", human.Count(len(ended), "process"), Listed(ended))
	}
	sayStuck(o.Log, stuck, err)
}

func sayStuck(out *Log, stuck []Process, err error) {
	if len(stuck) > 0 {
		out.Say("could not be ended, hanging in the kernel or belonging to another user: %s", Listed(stuck))
	}
	if err != nil {
		out.Say("cannot tell what the script left behind: %v", err)
	}
}

// Signal names the signal that ended a command; "" = it ended by itself.
func Signal(err *exec.ExitError) string {
	status, ok := err.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return ""
	}
	if name := unix.SignalName(status.Signal()); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", status.Signal())
}

// MemoryFile is a file without a name or a disk that holds data, to be read from its beginning.
func MemoryFile(name string, data []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd: %w", err)
	}
	file := os.NewFile(uintptr(fd), name)
	if _, err = file.WriteAt(data, 0); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
