package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/addagent/addagent/internal/git/clone"
	"github.com/addagent/addagent/internal/git/remote"
)

// parts are what this program does when it starts itself: the first argument says which.
var parts = map[string]func(args []string, out io.Writer) error{
	"stopwatch": stopwatch,
	"look":      look,
	"looks":     looks,
	"tell":      tell,
	"gitnodes":  gitNodes,
	"readfleet": readFleet,
	"foldfleet": foldFleet,
	"readindex": readIndex,
	"manyread":  manyRead,
}

// profileEnv names the folder for profiles; it is empty in a run whose figures count.
const profileEnv = "ADDAGENT_BENCH_PROFILE"

// cost is what a process used, with the children it waited for.
type cost struct {
	Wall, CPU time.Duration
	RSS       int64 // peak, bytes
}

// stopwatch runs a command and prints its cost. It is a process of its own and a small one: the peak that Linux reports
// for a child begins with what its parent held when it forked, and the bench itself holds repositories.
func stopwatch(args []string, out io.Writer) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%v: %w", args, err)
	}
	c := cost{Wall: time.Since(start), CPU: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		c.RSS = int64(u.Maxrss) * 1024
	}
	return json.NewEncoder(out).Encode(c)
}

func open(url, dir string) *clone.Repo {
	s := remote.Source{URL: url, Branch: "main", Agent: "addagent/bench"}
	if key, known, ok := strings.Cut(os.Getenv(sshEnv), ":"); ok {
		s.Auth = remote.Auth{SSHKeyFiles: []string{key}, KnownHostsFile: known}
	}
	return clone.New(dir, s, clone.Limits{})
}

// look brings a clone to where its remote is, as one beat does: the counterpart of git pull.
func look(args []string, _ io.Writer) error {
	if len(args) != 2 {
		return errors.New("look URL DIR")
	}
	stop, err := profiled("look")
	if err != nil {
		return err
	}
	r := open(args[0], args[1])
	_, err = r.Look(context.Background(), nil)
	return errors.Join(err, r.Close(), stop())
}

// loop is what a number of looks in one process cost, without the first ones.
type loop struct {
	CPU    time.Duration
	Allocs uint64
	Bytes  uint64 // allocated
	RSS    int64  // at the end
}

// looks looks again and again at a remote where nothing moves. It says when it is warm, waits for a line, looks as
// often as it was told and says what that cost.
func looks(args []string, out io.Writer) error {
	if len(args) != 3 {
		return errors.New("looks URL DIR N")
	}
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	r := open(args[0], args[1])
	defer r.Close()
	do := func(n int) error {
		for range n {
			s, err := r.Look(context.Background(), nil)
			if err != nil {
				return err
			}
			if s.Moved {
				return errors.New("it moved, and should be quiet")
			}
		}
		return nil
	}
	if err := do(5); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, "warm"); err != nil {
		return err
	}
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	stop, err := profiled("looks")
	if err != nil {
		return err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu := ownCPU()
	if err := do(n); err != nil {
		return err
	}
	l := loop{CPU: ownCPU() - cpu}
	runtime.ReadMemStats(&after)
	l.Allocs, l.Bytes = after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc
	l.RSS, _, _ = resident(os.Getpid())
	return errors.Join(json.NewEncoder(out).Encode(l), stop())
}

func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// profiled starts a CPU profile, and writes it and one of all allocations when stop is called.
func profiled(name string) (stop func() error, err error) {
	dir := os.Getenv(profileEnv)
	if dir == "" {
		return func() error { return nil }, nil
	}
	name = filepath.Join(dir, fmt.Sprintf("%s-%d", name, os.Getpid()))
	cpu, err := os.Create(name + ".cpu")
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, err
	}
	return func() error {
		pprof.StopCPUProfile()
		heap, err := os.Create(name + ".heap")
		if err != nil {
			return err
		}
		return errors.Join(pprof.Lookup("allocs").WriteTo(heap, 0), heap.Close(), cpu.Close())
	}, nil
}
