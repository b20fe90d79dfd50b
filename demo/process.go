package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
)

// child is a process that the demo has started, and ends.
type child struct {
	name  string
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended
}

// start starts one of the programs; said gets what it prints.
func (d *demo) start(name string, said io.Writer, program string, args ...string) *child {
	p := &child{name: name, cmd: d.command(context.Background(), d.program(program), args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = said, said
	// Its own group: ^C is for the demo, which then ends everything in order.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = grace // work that a killed agent leaves to its shim may hold the pipe
	if d.err == nil {
		d.err = p.cmd.Start()
	}
	if d.err != nil {
		return p
	}
	d.running = append(d.running, p)
	go func() {
		p.cmd.Wait() //nolint:errcheck // how it ended is in its ProcessState
		close(p.ended)
	}()
	return p
}

// end ends it with a signal, and waits until it has.
func (d *demo) end(p *child, signal os.Signal) {
	if i := slices.Index(d.running, p); i >= 0 {
		d.running = slices.Delete(d.running, i, i+1)
		p.cmd.Process.Signal(signal) //nolint:errcheck // it may have ended
		<-p.ended
	}
}

func (p *child) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// stop ends all of them, and waits for the work that agents leave to their shims.
func (d *demo) stop() {
	for len(d.running) > 0 {
		d.end(d.running[len(d.running)-1], syscall.SIGTERM)
	}
	d.endServers()
	// The demo may be ending because its context has.
	if err := d.wait(context.Background(), "all work has ended", func() bool { return !d.held("work.lock") }); d.err == nil {
		d.err = err
	}
}

// lines hands on what is written line by line.
type lines struct {
	each func(line string)
	rest []byte
}

func (l *lines) Write(data []byte) (int, error) {
	l.rest = append(l.rest, data...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			return len(data), nil
		}
		l.each(string(line))
		l.rest = rest
	}
}

// screen is where several write at once, a whole line at a time.
type screen struct {
	mu  sync.Mutex
	out io.Writer
}

func (s *screen) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(data)
}
