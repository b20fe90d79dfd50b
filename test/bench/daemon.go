package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// daemon is a real `addagent run`.
type daemon struct {
	cmd  *exec.Cmd
	home string
	log  string
}

// daemon starts one; the clone of our side is its clone already. It ends with the stage.
func (b *bench) daemon(s *stage, repo, schedule string) *daemon {
	return b.daemonAt(s, b.home(repo), "i-bench", repo, schedule, "")
}

// daemonAt starts one in a home of its own, with more lines in its config.
func (b *bench) daemonAt(s *stage, home, id, repo, schedule, more string) *daemon {
	return b.daemonOf(s, home, id, repo, b.url(ours, repo), schedule, more)
}

// daemonOf is daemonAt for a repository at a URL.
func (b *bench) daemonOf(s *stage, home, id, repo, url, schedule, more string) *daemon {
	config := fmt.Sprintf(`home: %[1]s
run_dir: %[1]s/run
state_dir: %[1]s/lib
beat: { schedule: "%[4]s", spread: 0s }
repos:
  - { name: %[2]s, url: "%[3]s", branch: main }
%[5]s`, home, repo, url, schedule, more)
	s.must(os.MkdirAll(filepath.Join(home, "nodeinfo"), 0o755))
	for path, text := range map[string]string{
		"addagent.yaml":            config,
		"nodeinfo/instance-id.txt": id + "\n",
		"nodeinfo/nodepart.txt":    "app1\n",
	} {
		s.must(os.WriteFile(filepath.Join(home, path), []byte(text), 0o600))
	}
	d := &daemon{home: home, log: filepath.Join(home, "said")}
	said, err := os.Create(d.log)
	s.must(err)
	d.cmd = exec.Command(b.addagent, "run", "--config", filepath.Join(home, "addagent.yaml"))
	d.cmd.Env = b.env()
	d.cmd.Stdout, d.cmd.Stderr = said, said
	s.must(d.cmd.Start())
	s.Cleanup(func() {
		_ = d.cmd.Process.Signal(unix.SIGTERM)
		_ = d.cmd.Wait()
		_ = said.Close()
	})
	return d
}

// beat is what the bench reads of nodeinfo/beat.json.
type beat struct {
	PID   int    `json:"pid"`
	Seq   uint64 `json:"seq"`
	State string `json:"state"`
	Items []struct {
		Verdict string `json:"verdict"`
	} `json:"items"`
	InHand json.RawMessage `json:"in_hand"`
	Looks  []struct {
		Version string `json:"version"`
	} `json:"looks"`
}

// at tells whether the beat left the tree at a commit.
func (t beat) at(commit string) bool { return len(t.Looks) == 1 && t.Looks[0].Version == commit }

// quiet tells whether a beat looked, judged and had nothing to do.
func (t beat) quiet() bool {
	return t.State == "idle" && len(t.Items) == 1 && (t.Items[0].Verdict == "same" || t.Items[0].Verdict == "unaffected") && t.InHand == nil
}

// until waits for a beat of this daemon, not of one before it, that is as it should be and returns it.
func (d *daemon) until(s *stage, within time.Duration, is func(beat) bool) beat {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(within); time.Now().Before(deadline); <-tick.C {
		var t beat
		data, err := os.ReadFile(filepath.Join(d.home, "nodeinfo", "beat.json"))
		if err == nil && json.Unmarshal(data, &t) == nil && t.PID == d.cmd.Process.Pid && is(t) {
			return t
		}
	}
	said, _ := os.ReadFile(d.log)
	s.Fatalf("the daemon of %s did not get there within %s: %s", d.home, within, said)
	return beat{}
}

// beat asks for a beat now and waits for one that is as it should be; after is the number of the last one.
func (d *daemon) beat(s *stage, after uint64, is func(beat) bool) beat {
	if caught, err := catches(d.cmd.Process.Pid, unix.SIGUSR1); err != nil || !caught {
		s.Fatalf("%s does not know SIGUSR1, which asks for a beat now: build a newer one (%v)", d.cmd.Path, err)
	}
	s.must(d.cmd.Process.Signal(unix.SIGUSR1))
	return d.until(s, time.Minute, func(t beat) bool { return t.Seq > after && is(t) })
}

// rest asks for beats until one is quiet, and returns its number.
func (d *daemon) rest(s *stage) uint64 {
	t := d.until(s, time.Minute, func(t beat) bool { return t.InHand == nil })
	for range 20 {
		if t.quiet() {
			return t.Seq
		}
		t = d.beat(s, t.Seq, func(t beat) bool { return t.InHand == nil })
	}
	said, _ := os.ReadFile(d.log)
	s.Fatalf("the daemon of %s does not come to rest: %+v: %s", d.home, t, said)
	return 0
}

// standing is what a running process holds.
type standing struct {
	rss, peak, written int64 // bytes
	files              int
}

func (d *daemon) standing(s *stage) standing {
	pid := d.cmd.Process.Pid
	rss, _, err := resident(pid)
	s.must(err)
	peak, err := field(pid, "status", "VmHWM:")
	s.must(err)
	written, err := field(pid, "io", "write_bytes:")
	s.must(err)
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	s.must(err)
	return standing{rss, peak * 1024, written, len(files)}
}

// field is a number from a file of lines in /proc/PID.
func field(pid int, file, name string) (int64, error) {
	text, err := word(pid, file, name)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

func word(pid int, file, name string) (string, error) {
	path := fmt.Sprintf("/proc/%d/%s", pid, file)
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			return f[1], nil
		}
	}
	return "", fmt.Errorf("%s has no %s", path, name)
}

// catches tells whether a process has a handler for a signal. Without one it would die of it.
func catches(pid int, sig unix.Signal) (bool, error) {
	text, err := word(pid, "status", "SigCgt:")
	if err != nil {
		return false, err
	}
	mask, err := strconv.ParseUint(text, 16, 64)
	return mask>>(sig-1)&1 != 0, err
}
