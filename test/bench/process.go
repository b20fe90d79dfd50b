package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"golang.org/x/sys/unix"
)

// sample is one run of one side.
type sample struct {
	cost
	traffic
}

// traffic is what went over a server's sockets, headers included.
type traffic struct{ Up, Down, Requests, Conns int64 }

// counter is what counts: a server, or a relay in front of one.
type counter interface {
	Traffic() (up, down, requests, conns int64)
}

func trafficOf(c counter) traffic {
	up, down, requests, conns := c.Traffic()
	return traffic{up, down, requests, conns}
}

func (t traffic) since(u traffic) traffic {
	return traffic{t.Up - u.Up, t.Down - u.Down, t.Requests - u.Requests, t.Conns - u.Conns}
}

// time runs a command under the stopwatch and counts at the server.
func (b *bench) time(s *stage, srv counter, dir string, argv []string) sample {
	before := trafficOf(srv)
	cmd := exec.Command(b.self, append([]string{"stopwatch"}, argv...)...)
	cmd.Dir = dir
	cmd.Env = b.env()
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		s.Fatalf("%s: %v: %s", strings.Join(argv, " "), err, said.Bytes())
	}
	var m sample
	s.must(json.Unmarshal(out, &m.cost))
	m.traffic = trafficOf(srv).since(before)
	return m
}

func (b *bench) env() []string {
	env := append(append(gittest.Env(), "no_proxy=127.0.0.1", "NO_PROXY=127.0.0.1"), b.extra...)
	if b.profile != "" {
		env = append(env, profileEnv+"="+b.profile)
	}
	return env
}

// loop runs n looks in one process and counts at the server.
func (b *bench) loop(s *stage, srv counter, url, dir string, n int) (loop, traffic) {
	cmd := exec.Command(b.self, "looks", url, dir, strconv.Itoa(n))
	cmd.Env = b.env()
	var said bytes.Buffer
	cmd.Stderr = &said
	in, err := cmd.StdinPipe()
	s.must(err)
	out, err := cmd.StdoutPipe()
	s.must(err)
	s.must(cmd.Start())
	lines := bufio.NewReader(out)
	fail := func(err error) {
		if err != nil {
			werr := cmd.Wait()
			s.Fatalf("looks %s: %v %v: %s", url, err, werr, said.Bytes())
		}
	}
	_, err = lines.ReadString('\n')
	fail(err)
	before := trafficOf(srv)
	_, err = io.WriteString(in, "go\n")
	fail(err)
	var l loop
	fail(json.NewDecoder(lines).Decode(&l))
	after := trafficOf(srv)
	fail(in.Close())
	s.must(cmd.Wait())
	return l, after.since(before)
}

// cpuOf returns the CPU time of a running process, all its threads, those that ended included. The kernel keeps it in
// nanoseconds behind the process's CPU clock; /proc/PID/stat has it in hundredths of a second only, five beats' worth.
func cpuOf(pid int) (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED: see clock_getcpuclockid(3)
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &t); err != nil {
		return 0, fmt.Errorf("CPU clock of %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// resident returns the memory of a running process, and how much of it is its own, in bytes.
func resident(pid int) (rss, private int64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		kb, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "Rss:":
			rss = kb * 1024
		case "Private_Clean:", "Private_Dirty:":
			private += kb * 1024
		}
	}
	if rss == 0 {
		return 0, 0, errors.New("smaps_rollup without Rss")
	}
	return rss, private, nil
}

// gitVersion is the version of the git program.
func gitVersion() string {
	out, err := exec.Command("git", "version").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimPrefix(strings.TrimSpace(string(out)), "git version ")
}
