package session

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/addagent/addagent/internal/human"
	"golang.org/x/sys/unix"
)

// Process is one line of /proc that matters here.
type Process struct {
	PID     int
	Name    string // at most 15 bytes, as the kernel keeps it
	State   byte   // R S D Z T ...
	Session int
	Start   uint64 // clock ticks after boot; with PID it names a process forever
}

func (p Process) String() string { return fmt.Sprintf("%s (%d)", Printable([]byte(p.Name), 15), p.PID) }

// parseStat reads /proc/PID/stat (man 5 proc_pid_stat). The name may hold anything, parentheses and newlines too;
// nothing after it does.
func parseStat(data []byte) (Process, bool) {
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 1 || end < open {
		return Process{}, false
	}
	fields := strings.Fields(string(data[end+1:]))
	if len(fields) < 20 || len(fields[0]) != 1 {
		return Process{}, false
	}
	p := Process{Name: string(data[open+1 : end]), State: fields[0][0]}
	var err [4]error
	var threads int
	p.PID, err[0] = strconv.Atoi(strings.TrimSpace(string(data[:open])))
	p.Session, err[1] = strconv.Atoi(fields[3])
	threads, err[2] = strconv.Atoi(fields[17])
	p.Start, err[3] = strconv.ParseUint(fields[19], 10, 64)
	for _, e := range err {
		if e != nil {
			return Process{}, false
		}
	}
	if p.State == 'Z' && threads > 1 {
		p.State = 'S' // only its first thread ended; the others run on
	}
	return p, true
}

func Read(pid int) (Process, bool) {
	data, err := os.ReadFile(ProcPath(pid, "stat"))
	if err != nil {
		return Process{}, false
	}
	return parseStat(data)
}

func ProcPath(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}

// Processes lists those of one session that wanted keeps; 0 = of any session, and the kernel's own processes have none.
// Zombies are left out: no signal reaches them, and they do nothing. A session id cannot be given to a new process
// while any process is left in it, and no process can join a session from outside: its processes are descendants of its
// first.
func Processes(session int, wanted func(Process) bool) ([]Process, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	other := func(of int) bool { return of != session && session != 0 || of == 0 }
	var found []Process
	// The youngest first: they are the most likely to be gone, with a child in their place, when they are reached late.
	for _, name := range slices.Backward(names) {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		// This takes a small part of what it takes to read a process. A security module may forbid it.
		if of, err := unix.Getsid(pid); err == nil && other(of) {
			continue
		}
		p, ok := Read(pid)
		if ok && p.State != 'Z' && p.State != 'X' && !other(p.Session) && wanted(p) {
			found = append(found, p)
		}
	}
	slices.Reverse(found)
	return found, nil
}

// looksAtMost bounds how often a session is looked for in which nothing is found: elsewhere on the machine something
// may begin all the time.
const looksAtMost = 20

// Of lists a session. Nothing found is looked at twice, and again as long as processes begin meanwhile: a child
// can get a number that the look has passed, of a parent that ends before it is reached.
func Of(session int) ([]Process, error) {
	for look := 1; ; look++ {
		before := Youngest()
		found, err := Processes(session, func(Process) bool { return true })
		if err != nil || len(found) > 0 || look == looksAtMost || look > 1 && Youngest() == before {
			return found, err
		}
	}
}

// Youngest is the number of the process or thread that began last (man 5 proc_loadavg); empty when the kernel does not
// say.
func Youngest() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	return string(data[bytes.LastIndexByte(bytes.TrimSpace(data), ' ')+1:])
}

// Signal sends s to exactly this process: through a pidfd where the kernel has them, looked at once more after it was
// opened, so that a number that was given to another process meanwhile is left alone. It is false when this user may
// not.
func (p Process) Signal(s syscall.Signal) bool {
	target, err := os.FindProcess(p.PID)
	if err != nil {
		return true // gone: the next look tells
	}
	defer target.Release()
	if now, ok := Read(p.PID); ok && now.Start == p.Start && now.Session == p.Session {
		return !errors.Is(target.Signal(s), fs.ErrPermission)
	}
	return true
}

const (
	Poll     = 20 * time.Millisecond // between two looks at a session that was told to end
	deadWait = 30 * time.Second      // after the first KILL, for what does not go
)

// End ends everything that list finds: TERM, after grace KILL, again and again until nothing is left. It says
// whom it signalled. Two kinds of processes are given up deadWait after the first KILL, and named in stuck, since no
// node may hang forever: those that hang in the kernel (state D), which will never run another instruction of their
// own, and another user's, which this one may not signal.
func End(list func() ([]Process, error), grace time.Duration) (ended, stuck []Process, err error) {
	type key struct {
		pid   int
		start uint64
	}
	told, denied := map[key]bool{}, map[key]bool{}
	kill := time.Now().Add(grace)
	tick := time.NewTicker(Poll)
	defer tick.Stop()
	for ; ; <-tick.C {
		left, err := list()
		if err != nil || len(left) == 0 {
			return ended, nil, err
		}
		now, hopeless := time.Now(), true
		for _, p := range left {
			k := key{p.PID, p.Start}
			if !told[k] {
				told[k] = true
				ended = append(ended, p)
				denied[k] = !p.Signal(syscall.SIGTERM)
				if p.State == 'T' {
					p.Signal(syscall.SIGCONT) // a stopped process hears TERM only when it goes on
				}
			}
			if !now.Before(kill) {
				denied[k] = !p.Signal(syscall.SIGKILL)
			}
			hopeless = hopeless && (p.State == 'D' || denied[k])
		}
		if hopeless && now.After(kill.Add(deadWait)) {
			return ended, left, nil
		}
	}
}

// Carries tells whether the process was started with this entry in its environment. What cannot be read (another
// user's, or gone) carries nothing. It is not sure about a process that shows no environment at all: it may be between
// its fork and its exec, when the kernel shows none for a moment.
func Carries(pid int, entry string) (yes, sure bool) {
	data, err := os.ReadFile(ProcPath(pid, "environ"))
	if err != nil || len(data) == 0 {
		return false, err != nil
	}
	for e := range bytes.SplitSeq(data, []byte{0}) {
		if string(e) == entry {
			return true, true
		}
	}
	return false, true
}

// Listed lists processes for a sentence, the first few.
func Listed(ps []Process) string {
	names := make([]string, len(ps))
	for i, p := range ps {
		names[i] = p.String()
	}
	return cmp.Or(human.Some(names, 5), "nothing")
}

// WritesTo tells whether a process has the file as its standard output or error.
func WritesTo(pid int, path string) bool {
	for _, fd := range []string{"fd/1", "fd/2"} {
		if link, err := os.Readlink(ProcPath(pid, fd)); err == nil && path != "" && link == path {
			return true
		}
	}
	return false
}

// Holds tells whether a process has a file open, by its link in /proc/PID/fd, such as "pipe:[4711]".
func Holds(pid int, link string) bool {
	open, err := os.ReadDir(ProcPath(pid, "fd"))
	return err == nil && slices.ContainsFunc(open, func(e fs.DirEntry) bool {
		is, err := os.Readlink(ProcPath(pid, "fd/"+e.Name()))
		return err == nil && is == link
	})
}
