package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// demoProcess is one that the demo has started, and ends.
type demoProcess struct {
	name  string
	cmd   *exec.Cmd     // nil = it does not run
	ended chan struct{} // closed when it has ended
}

// start starts it; said gets its standard error.
func (p *demoProcess) start(name string, cmd *exec.Cmd, said io.Writer) error {
	cmd.Stderr = said
	// Its own group: ^C is for the demo, which then ends everything in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second // work that a killed agent leaves to its shim may hold the pipe
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	ended := make(chan struct{})
	p.name, p.cmd, p.ended = name, cmd, ended
	go func() {
		cmd.Wait() //nolint:errcheck // how it ended is in its ProcessState
		close(ended)
	}()
	return nil
}

// end ends it with a signal, and waits until it has.
func (p *demoProcess) end(signal os.Signal) {
	if p.cmd == nil {
		return
	}
	p.cmd.Process.Signal(signal) //nolint:errcheck // it may have ended
	<-p.ended
	p.cmd = nil
}

// fell says how it ended when nobody has ended it.
func (p *demoProcess) fell() error {
	if p.cmd == nil {
		return nil
	}
	select {
	case <-p.ended:
		return fmt.Errorf("%s has ended: %s", p.name, p.cmd.ProcessState)
	default:
		return nil
	}
}
