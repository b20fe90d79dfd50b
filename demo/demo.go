package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// demo is a git server, its people and the processes of a demo, below one folder. Its first error stays in err, and
// each step after it does nothing, so that a story reads without checks.
type demo struct {
	ctx      context.Context // ends at ^C
	out      io.Writer
	dir      string
	keep     bool
	home     string // HOME of what is started; "" = that of the person
	colours  bool
	programs string // the folder of addagent and addctl
	err      error

	server  string   // its address
	last    string   // commit of the last push
	running []*child // in the order in which they were started
}

const (
	marker      = ".addagent-demo" // says that the folder is ours to remove
	stepTimeout = 5 * time.Minute  // for one step; the longest is the time from late to missing on a busy machine
	grace       = 10 * time.Second // for what the demo started to end, when it is over
)

// run sets everything up, runs a story, and ends everything that it started. A story returns what one can try next.
func (d *demo) run(story func(*demo) (hints string)) error {
	for _, name := range []string{"addagent", "addctl"} {
		if path := d.program(name); d.err == nil {
			if _, err := os.Stat(path); err != nil {
				d.err = fmt.Errorf("%s is not there: make demo builds it", path)
			}
		}
	}
	if _, err := exec.LookPath("git"); err != nil && d.err == nil {
		d.err = errors.New("the demo needs the git program: it plays the people who push, and the server")
	}
	d.clear()
	if d.err != nil {
		return d.err
	}
	d.write(marker, "made by make demo, which removes this folder\n")
	defer d.serve()()
	defer d.stop()
	began := time.Now()
	hints := story(d)
	took := time.Since(began).Round(time.Second)
	if d.err != nil {
		if d.ctx.Err() == nil {
			d.tails()
		}
		return d.err
	}
	if d.keep {
		d.say("that was it, in %s. It goes on running; in another terminal:", took)
		fmt.Fprint(d.out, hints, "   ^C here ends it\n")
		<-d.ctx.Done()
		return nil
	}
	d.say("everything stops")
	d.stop()
	if d.err == nil {
		d.say("that was it, in %s. Everything is in %s. With KEEP=1 behind the make command it goes on running", took, d.show(d.dir))
	}
	return d.err
}

// tails shows the end of each log, for a story that went wrong.
func (d *demo) tails() {
	logs, _ := filepath.Glob(d.path("*", "log", "*.log")) // the pattern is good
	for _, path := range logs {
		data, _ := os.ReadFile(path) // what cannot be read shows nothing
		all := strings.Split(strings.TrimSpace(string(data)), "\n")
		fmt.Fprintf(d.out, "\n== %s ends with\n%s", d.show(path), indented(strings.Join(all[max(len(all)-8, 0):], "\n")))
	}
}

func (d *demo) path(parts ...string) string {
	return filepath.Join(append([]string{d.dir}, parts...)...)
}
func (d *demo) program(name string) string { return filepath.Join(d.programs, name) }

// say prints a heading.
func (d *demo) say(format string, args ...any) { d.print("\n== "+format+"\n", args...) }

func (d *demo) print(format string, args ...any) {
	if d.err == nil {
		fmt.Fprintf(d.out, format, args...)
	}
}

func indented(text string) string {
	return "   " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n   ") + "\n"
}

// show shortens a path for the screen: relative to here when it is below here.
func (d *demo) show(path string) string {
	if here, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(here, path); err == nil && !strings.HasPrefix(rel, "..") {
			return rel
		}
	}
	return path
}

// clear removes an earlier demo, and nothing else.
func (d *demo) clear() {
	if d.err != nil {
		return
	}
	if d.dir, d.err = filepath.Abs(d.dir); d.err != nil {
		return
	}
	entries, err := os.ReadDir(d.dir)
	if errors.Is(err, os.ErrNotExist) || (err == nil && len(entries) == 0) {
		return
	}
	if d.err = err; err != nil {
		return
	}
	if d.held("beat.lock") {
		d.err = fmt.Errorf("a demo runs in %s: end it with ^C where it was started, or name another folder with -dir", d.show(d.dir))
		return
	}
	if _, err := os.Stat(d.path(marker)); err != nil {
		d.err = fmt.Errorf("%s is not empty and no earlier demo: name another folder with -dir", d.dir)
		return
	}
	d.endServers()
	// A demo that was ended during a push may have left a git of its server behind, which writes for a moment more.
	ctx, cancel := context.WithTimeout(d.ctx, grace)
	defer cancel()
	for d.err = os.RemoveAll(d.dir); errors.Is(d.err, syscall.ENOTEMPTY) && ctx.Err() == nil; d.err = os.RemoveAll(d.dir) {
	}
}

// held tells whether a process holds this lock of one of the nodes.
func (d *demo) held(name string) bool {
	locks, _ := filepath.Glob(d.path("*", "run", name)) // the pattern is good
	for _, lock := range locks {
		f, err := os.Open(lock)
		if err != nil {
			continue
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
		f.Close()
		if err != nil {
			return true
		}
	}
	return false
}

// write makes a file below the folder.
func (d *demo) write(path, text string) {
	if d.err == nil {
		d.err = os.MkdirAll(filepath.Dir(d.path(path)), 0o755)
	}
	if d.err == nil {
		d.err = os.WriteFile(d.path(path), []byte(text), 0o755)
	}
}

// read reads a file below the folder.
func (d *demo) read(parts ...string) string {
	if d.err != nil {
		return ""
	}
	data, err := os.ReadFile(d.path(parts...))
	d.err = err
	return string(data)
}

// bare makes a repository of the server.
func (d *demo) bare(name string) {
	d.git("", "init", "-q", "--bare", "-b", "main", d.path("server", name))
	d.git(d.path("server", name), "config", "http.receivepack", "true")
}

// serve makes bare repositories, serves them with git's own server program on loopback, and makes the people's clone.
func (d *demo) serve() (stop func()) {
	for _, name := range []string{"ops.git", "presence.git"} {
		d.bare(name)
	}
	programs := strings.TrimSpace(d.git("", "--exec-path"))
	if d.err != nil {
		return func() {}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if d.err = err; err != nil {
		return func() {}
	}
	server := &http.Server{Handler: &cgi.Handler{
		Path:   filepath.Join(programs, "git-http-backend"),
		Env:    []string{"GIT_PROJECT_ROOT=" + d.path("server"), "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=people"},
		Stderr: io.Discard,
		Logger: log.New(io.Discard, "", 0), // of a request that ^C cuts off
	}}
	go server.Serve(listener) //nolint:errcheck // ends with Shutdown
	d.server = "http://" + listener.Addr().String()
	d.git("", "init", "-q", "-b", "main", d.path("people", "ops"))
	ops := d.path("people", "ops")
	d.git(ops, "remote", "add", "origin", d.server+"/ops.git")
	d.git(ops, "config", "user.name", "Ann") // for what a reader commits there, who may have no identity
	d.git(ops, "config", "user.email", "ann@example.org")
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		_ = server.Shutdown(ctx) // takes the rest of a push that has begun
		_ = server.Close()
	}
}

// until waits until something is so; what says it in words.
func (d *demo) until(what string, is func() bool) {
	if d.err == nil {
		d.err = d.wait(d.ctx, what, is)
	}
}

func (d *demo) wait(ctx context.Context, what string, is func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for !is() {
		for _, p := range d.running {
			if p.hasEnded() {
				return fmt.Errorf("%s has ended: %s; this did not come true: %s", p.name, p.cmd.ProcessState, what)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("this did not come true within %s: %s", stepTimeout, what)
		case <-look.C:
		}
	}
	return nil
}

// beat is what the demo needs of a node's beat.json.
type beat struct {
	State          string
	InHand         json.RawMessage `json:"in_hand"`
	Started, Ended []json.RawMessage
	Items          []struct{ Verdict, Version string }
}

// beatOf is the last beat of a node; an empty one when there is none yet.
func (d *demo) beatOf(home string) (b beat) {
	data, err := os.ReadFile(d.path(home, "nodeinfo", "beat.json"))
	if err != nil || json.Unmarshal(data, &b) != nil {
		return beat{}
	}
	return b
}

// judges tells whether the node has nothing in hand and its one item has this verdict on what was pushed last.
func (d *demo) judges(b beat, verdict string) bool {
	return b.InHand == nil && len(b.Items) == 1 && b.Items[0].Verdict == verdict && b.Items[0].Version == d.last
}

// push commits everything in the people's clone and pushes it.
func (d *demo) push(message string) {
	ops := d.path("people", "ops")
	d.git(ops, "add", "-A")
	d.git(ops, "commit", "-q", "-m", message)
	d.git(ops, "push", "-q", "-u", "origin", "main")
	if head := strings.TrimSpace(d.git(ops, "rev-parse", "HEAD")); head != "" {
		d.last = head
		d.print("   pushed %s %q\n", head[:7], message)
	}
}

// git runs the git program as one of the demo's people, whatever this machine's own git config says.
func (d *demo) git(dir string, args ...string) string {
	return d.output(dir, "git", args...)
}

// output is what a program prints.
func (d *demo) output(dir, program string, args ...string) string {
	if d.err != nil {
		return ""
	}
	cmd := d.command(d.ctx, program, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case d.ctx.Err() != nil:
		d.err = d.ctx.Err()
	case errors.As(err, &exit):
		d.err = fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(args, " "), err, strings.TrimSpace(string(out)+string(exit.Stderr)))
	default:
		d.err = err
	}
	return string(out)
}

// command is a program in an environment that keeps this machine's own git config, caches and proxy out of the demo.
func (d *demo) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(),
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.org", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.org",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"XDG_CACHE_HOME="+d.path("people", "cache"), "no_proxy=127.0.0.1", "NO_PROXY=127.0.0.1")
	if d.home != "" {
		cmd.Env = append(cmd.Env, "HOME="+d.home)
	}
	return cmd
}
