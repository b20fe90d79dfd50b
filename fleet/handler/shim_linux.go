package handler

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/work/session"
	"golang.org/x/sys/unix"
)

// tellEach is how often a shim is told for how long its script may go on.
const tellEach = time.Second

// shim runs one script under a shim, and returns how it ended. The error is about the shim, not about the script.
func (r *Repository) shim(ctx context.Context, o order, left func() time.Duration) (got result, err error) {
	data, err := json.Marshal(o)
	if err != nil {
		return got, err
	}
	cmd := exec.Command("/proc/self/exe", r.Shim) // this very program, even when its file was replaced by an upgrade
	cmd.Args[0] = os.Args[0]                      // what ps shows
	cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // ^C is for the doctor, which tells the shim
	in, err := cmd.StdinPipe()
	if err != nil {
		return got, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return got, err
	}
	var wrong bytes.Buffer
	cmd.Stderr = &wrong
	if err := cmd.Start(); err != nil {
		return got, fmt.Errorf("start shim: %w", err)
	}
	over := make(chan struct{})
	go func() {
		defer in.Close() // which ends the script, if it has not ended
		if _, err := in.Write(append(data, '\n')); err != nil {
			return
		}
		tick := time.NewTicker(tellEach)
		defer tick.Stop()
		for {
			if _, err := in.Write(strconv.AppendInt(nil, left().Milliseconds(), 10)); err != nil {
				return
			}
			if _, err := in.Write([]byte{'\n'}); err != nil {
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			case <-over:
				return
			}
		}
	}()
	scan := bufio.NewScanner(out)
	for scan.Scan() {
		var one result
		if json.Unmarshal(scan.Bytes(), &one) == nil {
			one.Session = max(one.Session, got.Session)
			got = one
		}
	}
	err = cmd.Wait()
	close(over)
	if got.Ended {
		return got, nil
	}
	clearSession(got.Session, o)
	return got, fmt.Errorf("its shim ended without a result: %w %s", cmp.Or(err, io.ErrUnexpectedEOF), human.Line(wrong.String()))
}

// unsureMost is how often to look for a session whose processes show nothing: one that begins does so for a moment.
const unsureMost = 50

// clearSession ends what a script left behind whose shim was killed. A session counts as the script's while one of its
// processes was started for the same event. A shim that was killed before it told the session (id 0) leaves processes
// that write to the log of this run.
func clearSession(id int, o order) {
	at := slices.IndexFunc(o.Env, func(entry string) bool { return strings.HasPrefix(entry, "ADD_EVENT_ID=") })
	tick := time.NewTicker(session.Poll)
	defer tick.Stop()
	proven := false
	for try := 1; !proven && try <= unsureMost; try++ {
		if id == 0 {
			_, _ = session.Processes(0, func(p session.Process) bool {
				if session.WritesTo(p.PID, o.Log) {
					id = p.Session
				}
				return false
			})
		}
		unsure := id == 0
		if id > 0 {
			list, err := session.Of(id)
			if err != nil {
				return
			}
			for _, p := range list {
				yes, sure := session.Carries(p.PID, o.Env[at])
				proven, unsure = proven || yes, unsure || !sure
			}
		}
		if !unsure {
			break
		}
		<-tick.C
	}
	if proven { // what cannot be ended belongs to another account, or hangs in the kernel
		_, _, _ = session.End(func() ([]session.Process, error) { return session.Of(id) }, o.Grace)
	}
}

// Supervise is the body of a hidden command: it runs one script, however that ends. It reads the order from stdin, and
// then a line with milliseconds again and again: for so long the script may go on. It ends the script when this time is
// over, at the end of stdin, at SIGTERM and at the script's deadline, and prints lines of JSON: the session, and how it
// ended. The error is about the order, or about stdout.
func Supervise(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer stop()
	in := bufio.NewReaderSize(stdin, 1<<20)
	line, err := in.ReadBytes('\n')
	var o order
	if err == nil {
		err = json.Unmarshal(line, &o)
	}
	if err != nil {
		return fmt.Errorf("read order: %w: this command is for the doctor, not for people", err)
	}
	// A capability that systemd gave the doctor is not for scripts. It fails where there is none to take.
	_, _, _ = syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0)
	may, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	go watch(in, lost)
	e := json.NewEncoder(stdout)
	got := o.run(may, func(id int) { _ = e.Encode(result{Session: id}) }) // without a reader stdin ends, too
	return e.Encode(got)
}

// watch tells when the script may no longer go on.
func watch(in *bufio.Reader, lost context.CancelCauseFunc) {
	told := make(chan time.Duration)
	go func() {
		defer close(told)
		for {
			line, err := in.ReadString('\n')
			ms, wrong := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
			if err != nil || wrong != nil {
				return
			}
			told <- time.Duration(ms) * time.Millisecond
		}
	}()
	tick := time.NewTicker(tellEach)
	defer tick.Stop()
	until := time.Now().Round(0).Add(time.Minute) // by the wall clock: the other one stands still in a suspended machine
	for {
		select {
		case left, more := <-told:
			if !more {
				lost(errors.New("its doctor has ended"))
				return
			}
			until = time.Now().Round(0).Add(left)
		case <-tick.C:
		}
		if !time.Now().Round(0).Before(until) {
			lost(errors.New("its doctor did not renew its claim"))
			return
		}
	}
}

func (o order) run(ctx context.Context, begun func(session int)) result {
	failed := func(why string) result { return result{Ended: true, Failure: why} }
	log, err := session.OpenLog(o.Log, session.DefaultBounds())
	if err != nil {
		return failed(err.Error())
	}
	defer log.Close()
	info, err := os.Stat(o.Script)
	if err != nil {
		return failed(err.Error())
	}
	cmd := exec.Command(o.Script)
	if info.Mode()&0o111 == 0 {
		cmd = exec.Command("/bin/bash", o.Script)
	}
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = o.Dir, o.Env, log.File, log.File
	input, err := session.MemoryFile("event", o.Input)
	if err != nil {
		return failed(err.Error())
	}
	defer input.Close()
	cmd.Stdin = input
	stop := log.KeepBounded()
	cut, err := session.Run(ctx, cmd, session.Options{Log: log, Timeout: o.Timeout, Grace: o.Grace, Begun: begun, Why: func(deadline bool) string {
		if deadline {
			return fmt.Sprintf("deadline of %s passed", human.Setting(o.Timeout))
		}
		return "interrupted: " + context.Cause(ctx).Error()
	}})
	stop()
	got := result{Ended: true, Failure: cut}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got.Failure = fmt.Sprintf("exit %d", exit.ExitCode())
		if name := session.Signal(exit); name != "" {
			got.Failure = "killed by " + name
		}
	} else if err != nil {
		got.Failure = err.Error()
	}
	if got.Last, err = log.Finish(); err != nil {
		log.Say("%v", err)
	}
	return got
}
