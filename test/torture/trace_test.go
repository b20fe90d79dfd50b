//go:build linux && amd64

package torture

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The tracer runs one addagent and counts, over all threads of it, the system calls that change something. At the N-th
// it kills with -9, before that call is carried out. (strace can do that, too, but counts for each thread by itself.)
// It is a process of its own, this test program once more: who traces waits for whatever child stops next, and the test
// has others.

// victim says whose system calls count, and who is killed.
type victim string

const (
	theAgent   victim = "agent"      // its work goes on
	theShim    victim = "shim"       // the agent goes on, and the script is told to end
	everything victim = "everything" // agent, shim and the script's session
)

// traceOrder is what the tracer is to do.
type traceOrder struct {
	Argv, Env []string
	Victim    victim
	At        int // 0 = count only
}

// traceAccount is what it saw.
type traceAccount struct {
	Points []string // the system calls that counted, up to the one where it killed
	Code   int      // how addagent ended, -1 = killed
	Killed bool
}

// traced runs `addagent beat` under the tracer.
func (g *grid) traced(v victim, at int) traceAccount {
	g.t.Helper()
	beat := g.command("beat")
	in, err := json.Marshal(traceOrder{beat.Args, beat.Env, v, at})
	if err != nil {
		g.t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), asTracer+"=1")
	cmd.Stdin = bytes.NewReader(in)
	// Files and not pipes: what addagent leaves running would keep those open.
	var out, errs *os.File
	if out, err = os.Create(filepath.Join(g.dir, "trace.out")); err == nil {
		defer out.Close()
		errs, err = os.Create(filepath.Join(g.dir, "trace.err"))
	}
	if err != nil {
		g.t.Fatal(err)
	}
	defer errs.Close()
	cmd.Stdout, cmd.Stderr = out, errs
	p := launch(g.t, cmd)
	g.until("a traced beat to end", func() bool { return !p.alive() })
	said := read(errs.Name())
	noCrash(g.t, said)
	var a traceAccount
	if err := json.Unmarshal([]byte(read(out.Name())), &a); p.code() != 0 || err != nil {
		g.t.Fatalf("the tracer ended with %d (%v): %s; it needs ptrace(2), which a container may forbid (--cap-add=SYS_PTRACE)", p.code(), err, said)
	}
	return a
}

// tracer is the body of the tracing process.
func tracer() int {
	runtime.LockOSThread() // one thread is the tracer of all
	data, err := io.ReadAll(os.Stdin)
	var o traceOrder
	if err == nil {
		err = json.Unmarshal(data, &o)
	}
	if err == nil {
		t := &tracing{traceOrder: o, roles: map[int]role{}, threads: map[int]int{}}
		if err = t.run(); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(t.account)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tracer:", err)
		return 1
	}
	return 0
}

// role is what a process is.
type role int

const (
	forked role = iota // between fork and exec, it shares its parent's memory
	agentRole
	shimRole
	scriptRole
)

type tracing struct {
	traceOrder
	account traceAccount
	roles   map[int]role // process -> what it is
	threads map[int]int  // thread -> its process
	killed  bool
}

const (
	sysGood         = 0x80   // marks a stop for a system call
	sysInfo         = 0x420e // PTRACE_GET_SYSCALL_INFO
	sysInfoEntry    = 1
	optionsForAll   = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_EXITKILL
	optionsForChild = unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACEEXEC
)

func (t *tracing) run() error {
	cmd := exec.Command(t.Argv[0], t.Argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stderr = "/", t.Env, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	root := cmd.Process.Pid
	t.roles[root], t.threads[root] = agentRole, root
	var ws unix.WaitStatus
	if _, err := unix.Wait4(root, &ws, unix.WALL, nil); err != nil {
		return fmt.Errorf("wait: %w", err)
	}
	options := optionsForAll
	if t.Victim != theAgent {
		options |= optionsForChild // without these a child is not traced, and outlives us
	}
	if err := unix.PtraceSetOptions(root, options); err != nil {
		return fmt.Errorf("ptrace: %w", err)
	}
	t.on(root, 0)
	for len(t.threads) > 0 {
		tid, err := unix.Wait4(-1, &ws, unix.WALL, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait: %w", err)
		}
		if ws.Stopped() {
			t.stopped(tid, ws)
			continue
		}
		delete(t.threads, tid)
		if tid == root {
			t.account.Code = ws.ExitStatus() // -1 = by a signal
		}
	}
	t.account.Killed = t.killed
	return nil
}

func (t *tracing) stopped(tid int, ws unix.WaitStatus) {
	pid, known := t.threads[tid]
	if !known { // it may stop before its parent's stop tells of it
		pid = processOf(tid)
		t.threads[tid] = pid
	}
	switch sig := ws.StopSignal(); {
	case sig == unix.SIGTRAP|sysGood:
		t.call(tid, pid)
	case sig == unix.SIGTRAP && ws.TrapCause() == unix.PTRACE_EVENT_EXEC:
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		switch {
		case bytes.Contains(line, []byte("\x00work-shim")):
			t.roles[pid] = shimRole
		case t.roles[pid] == forked:
			t.roles[pid] = scriptRole
			delete(t.threads, tid)
			if t.killed && t.Victim == everything {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
			_ = unix.PtraceDetach(tid)
			return
		}
	case sig == unix.SIGTRAP && ws.TrapCause() > 0: // a new thread or process, which stops for itself
	case sig == unix.SIGSTOP && !known:
	case sig == unix.SIGTRAP:
	default:
		t.on(tid, int(sig))
		return
	}
	t.on(tid, 0)
}

// on lets a thread go on, to its next system call if those count. A thread that was killed meanwhile is waited for.
func (t *tracing) on(tid, sig int) {
	if t.counts(t.roles[t.threads[tid]]) {
		_ = unix.PtraceSyscall(tid, sig)
	} else {
		_ = unix.PtraceCont(tid, sig)
	}
}

func (t *tracing) counts(r role) bool {
	switch t.Victim {
	case theAgent:
		return r == agentRole
	case theShim:
		return r == shimRole
	default:
		return r == agentRole || r == shimRole
	}
}

// call is a system call that begins or ends.
func (t *tracing) call(tid, pid int) {
	var info struct {
		op   uint8
		_    [3]uint8
		_    uint32
		_    [2]uint64
		nr   uint64
		args [6]uint64
		_    [2]uint64 // room for what newer kernels add
	}
	if _, _, no := unix.Syscall6(unix.SYS_PTRACE, sysInfo, uintptr(tid), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0); no != 0 ||
		info.op != sysInfoEntry || t.killed || !t.counts(t.roles[pid]) {
		return
	}
	what := changes(pid, info.nr, info.args)
	if what == "" {
		return
	}
	if t.Victim == everything {
		what = map[role]string{agentRole: "agent: ", shimRole: "shim: "}[t.roles[pid]] + what
	}
	t.account.Points = append(t.account.Points, what)
	if len(t.account.Points) != t.At {
		return
	}
	t.killed = true
	for p, r := range t.roles {
		if t.counts(r) {
			_ = unix.Kill(p, unix.SIGKILL)
		}
		if r == scriptRole && t.Victim == everything {
			_ = unix.Kill(-p, unix.SIGKILL) // it leads a group, but not before it has set that up
			_ = unix.Kill(p, unix.SIGKILL)
		}
	}
}

// changes names a system call that changes something outside of its process, "" = it does not.
func changes(pid int, nr uint64, args [6]uint64) string {
	fd := func(n uint64) string {
		to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, int32(n)))
		device := strings.HasPrefix(to, "/dev/") && !strings.HasPrefix(to, "/dev/shm/")
		if !strings.HasPrefix(to, "/") || device || strings.HasPrefix(to, "/memfd:") {
			return "" // pipes, sockets, what only this process sees
		}
		return to
	}
	named := func(name, what string) string {
		if what == "" {
			return ""
		}
		return name + " " + what
	}
	switch nr {
	case unix.SYS_OPENAT:
		if args[2]&(unix.O_CREAT|unix.O_TRUNC|unix.O_TMPFILE&^unix.O_DIRECTORY) == 0 {
			return ""
		}
		return "create " + text(pid, args[1])
	case unix.SYS_WRITE, unix.SYS_WRITEV:
		return named("write", fd(args[0]))
	case unix.SYS_PWRITE64:
		return named("pwrite", fd(args[0]))
	case unix.SYS_COPY_FILE_RANGE:
		return named("copy into", fd(args[2]))
	case unix.SYS_FTRUNCATE:
		return named("truncate", fd(args[0]))
	case unix.SYS_FALLOCATE:
		return named("allocate", fd(args[0]))
	case unix.SYS_FSYNC, unix.SYS_FDATASYNC:
		return named("sync", fd(args[0]))
	case unix.SYS_FLOCK:
		return named("flock", fd(args[0]))
	case unix.SYS_FCHMOD:
		return named("chmod", fd(args[0]))
	case unix.SYS_FCHMODAT:
		return "chmod " + text(pid, args[1])
	case unix.SYS_UTIMENSAT:
		return "touch " + text(pid, args[1])
	case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2:
		return "rename to " + text(pid, args[3])
	case unix.SYS_RENAME:
		return "rename to " + text(pid, args[1])
	case unix.SYS_LINKAT:
		return "link to " + text(pid, args[3])
	case unix.SYS_SYMLINKAT:
		return "symlink at " + text(pid, args[2])
	case unix.SYS_UNLINKAT:
		return "remove " + text(pid, args[1])
	case unix.SYS_UNLINK, unix.SYS_RMDIR:
		return "remove " + text(pid, args[0])
	case unix.SYS_MKDIRAT:
		return "mkdir " + text(pid, args[1])
	case unix.SYS_MKDIR:
		return "mkdir " + text(pid, args[0])
	case unix.SYS_CLONE:
		if args[0]&unix.CLONE_THREAD == 0 {
			return "fork"
		}
	case unix.SYS_VFORK, unix.SYS_FORK:
		return "fork"
	}
	return ""
}

// text reads a path out of a process.
func text(pid int, at uint64) string {
	buf := make([]byte, 4096)
	local := []unix.Iovec{{Base: &buf[0], Len: uint64(len(buf))}}
	// A page at a time: the next one may not be there.
	n, err := unix.ProcessVMReadv(pid, local, []unix.RemoteIovec{{Base: uintptr(at), Len: 4096 - int(at%4096)}, {Base: uintptr(at + 4096 - at%4096), Len: 4096 - 1}}, 0)
	if err != nil {
		return "?"
	}
	path, _, _ := bytes.Cut(buf[:n], []byte{0})
	return string(path)
}

// processOf is the process that a thread belongs to.
func processOf(tid int) int {
	for line := range strings.Lines(read(fmt.Sprintf("/proc/%d/status", tid))) {
		if id, ok := strings.CutPrefix(line, "Tgid:"); ok {
			if pid, err := strconv.Atoi(strings.TrimSpace(id)); err == nil {
				return pid
			}
		}
	}
	return tid
}
