package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/retry"
	"github.com/addagent/addagent/work"
	"github.com/addagent/addagent/work/session"
	"golang.org/x/sys/unix"
)

// Supervise is the body of the hidden command `addagent work-shim`: it does one piece of work and returns the exit code
// of its process. It reads the Order from stdin, and its descriptor 3 is the work lock, held. It belongs into a process
// of its own, which it changes: umask, signals, descriptors. SIGTERM, SIGINT or the end of ctx tell it to stop the
// script. The result is in the item's memory before it returns; when that could not be written it says so on stderr,
// which Start points into the script's log, and returns 1.
func Supervise(ctx context.Context) int {
	if err := shim(ctx, os.Stdin); err != nil {
		fmt.Fprintf(os.Stderr, session.NotePrefix+"%v\n", err)
		return 1
	}
	return 0
}

func shim(ctx context.Context, stdin io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer catchSignals(cancel)()
	var o Order
	if err := json.NewDecoder(stdin).Decode(&o); err != nil {
		return fmt.Errorf("read order: %w", err)
	}
	if err := closeOnExec(); err != nil {
		return err
	}
	lock, err := inheritLock(o)
	if err != nil {
		return err
	}
	// The lock is closed by the end of the process and not before: a result that is being written belongs under it.
	// Without this the garbage collector would close the file as soon as our code no longer uses it, and the lock
	// would be free while the script runs.
	defer runtime.KeepAlive(lock)
	unix.Umask(0o022)
	e, last := o.supervise(ctx, lock)
	if why := heardWedged(o.Memory, o.Attempt.RunID); why != "" {
		e.reason, e.detail = work.ReasonWedged, "wedged: "+why
	}
	return recordEnd(o.Memory, o.Attempt.End(e.reason, e.exit, e.detail, last, time.Now()))
}

// catchSignals makes TERM and INT call stop, and takes every other signal that could end or stop the shim, or that
// an ancestor may have had ignored: what is caught here is back to its default in the script.
func catchSignals(stop func()) (undo func()) {
	caught := make(chan os.Signal, 16)
	signal.Notify(caught, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGUSR2,
		syscall.SIGALRM, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGCONT)
	go func() {
		for s := range caught {
			if s == syscall.SIGTERM || s == syscall.SIGINT {
				stop()
			}
		}
	}()
	return func() {
		signal.Stop(caught)
		close(caught)
	}
}

// closeOnExec keeps every descriptor but the first three from the script: the lock, above all, and what the agent's
// parent left open.
func closeOnExec() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list descriptors: %w", err)
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

// inheritLock takes over the lock that Start handed down, and notes that this process has it now.
func inheritLock(o Order) (*Lock, error) {
	file := os.NewFile(lockFD, o.LockPath)
	info, err := file.Stat()
	if link, _ := os.Readlink(ownFile(file)); err != nil || !files.IsFile(info, o.LockPath) && link != o.LockPath+" (deleted)" {
		return nil, errors.New("descriptor 3 is not the work lock: this command is for the agent, not for people")
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("the work lock was not inherited: %w", err)
	}
	l := &Lock{file: file, path: o.LockPath}
	h := newHolder(PurposeWork)
	h.Item, h.RunID = o.Repo+":"+o.Item, o.Attempt.RunID
	return l, l.note(h)
}

// ending is how an attempt ended.
type ending struct {
	reason work.Reason // "" = success
	exit   int         // -1 = not by itself
	detail string
}

// supervise runs the script to its end, whatever that is, and returns it with the script's last line.
func (o Order) supervise(ctx context.Context, lock *Lock) (e ending, last string) {
	out, err := session.OpenLog(o.Attempt.Log, session.DefaultBounds())
	if err != nil {
		return cannotStart(err.Error()), ""
	}
	defer out.Close()
	steps, err := newTrail()
	if err != nil {
		return cannotStart(err.Error()), ""
	}
	defer steps.file.Close()
	for _, note := range o.Notes {
		out.Say("%s", note)
	}
	stop := out.KeepBounded()
	e = o.execute(ctx, lock, out, steps)
	stop()
	if len(o.Steps) > 0 {
		e = o.initEnding(e, steps)
	}
	last, err = out.Finish()
	if err != nil {
		out.Say("%v", err)
	}
	return e, last
}

func cannotStart(why string) ending { return ending{work.ReasonStart, -1, "cannot start: " + why} }

func (o Order) execute(ctx context.Context, lock *Lock, out *session.Log, steps *trail) (e ending) {
	cmd, err := o.command(out.File, steps)
	if err != nil {
		return o.refused(out, err.Error())
	}
	cut, err := session.Run(ctx, cmd, session.Options{Log: out, Timeout: o.Timeout, Grace: o.Grace,
		Begun: func(id int) {
			h := lock.holder
			h.Session = id
			if err := lock.note(h); err != nil {
				out.Say("%v", err) // only a sweep after a kill of this process would miss it
			}
		},
		Why: func(deadline bool) string {
			switch {
			case deadline:
				e = ending{work.ReasonDeadline, -1, fmt.Sprintf("deadline of %s passed", human.Setting(o.Timeout))}
			case shuttingDown():
				e = cutByShutdown()
			default:
				e = ending{work.ReasonInterrupted, -1, "interrupted: told to stop"}
			}
			return e.detail
		}})
	if failed, ok := errors.AsType[*session.StartError](err); ok {
		return o.refused(out, o.whyNotStarted(failed.Err))
	}
	if cut == "" {
		e = howEnded(err)
		if e.reason != "" && e.reason != work.ReasonWaiting && shuttingDown() && toldSoon(ctx) {
			e = cutByShutdown()
		}
	}
	return e
}

// howEnded reads the end of a script that ended by itself.
func howEnded(err error) ending {
	exit, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return ending{}
	case !ok:
		return ending{work.ReasonInterrupted, -1, fmt.Sprintf("interrupted: its end was not seen: %v", err)}
	}
	name := session.Signal(exit)
	switch {
	case name != "":
		return ending{work.ReasonSignal, -1, "killed by " + name}
	case exit.ExitCode() == work.ExitTempFail:
		return ending{work.ReasonWaiting, work.ExitTempFail, fmt.Sprintf("exit %d", work.ExitTempFail)}
	}
	return ending{work.ReasonExit, exit.ExitCode(), fmt.Sprintf("exit %d", exit.ExitCode())}
}

func cutByShutdown() ending {
	return ending{work.ReasonShutdown, -1, "interrupted: the machine is shutting down"}
}

// toldSoon tells whether this process is told to end, too: a shutdown signals all processes at once, and a script is
// often gone before its shim has heard of it.
func toldSoon(ctx context.Context) bool {
	return !retry.Wait(ctx, time.Second)
}

// shuttingDown tells a shutdown of the machine from a person who stops the work. systemd's last step, which signals all
// that is left, has a program of its own as process 1; before it, and with other init systems, logins
// are refused.
func shuttingDown() bool {
	if p, ok := session.Read(1); ok && strings.HasPrefix(p.Name, "systemd-shut") {
		return true
	}
	_, err := os.Stat("/run/nologin")
	return err == nil
}
