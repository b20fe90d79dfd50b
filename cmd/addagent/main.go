// Addagent looks at git repositories once a minute, and when something that this
// node watches has changed it runs the repository's work script, under a lock.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker (make build).
var version = "dev"

// Exit codes of both programs: a contract with people's scripts.
const (
	exitDone        = 0   // done, or nothing due
	exitFailed      = 1   // something failed
	exitMisuse      = 2   // bad flag, bad config
	exitWedged      = 3   // the node is wedged
	exitBusy        = 4   // another agent or beat holds beat.lock
	exitDisabled    = 5   // a person or a hold said so
	exitDue         = 10  // plan --exit-code: something is due
	exitInterrupted = 130 // ^C
)

// exit is an error that knows its exit code. A nil err means the code says it all.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

func failed(err error) error { return &exit{exitFailed, err} }
func misuse(err error) error { return &exit{exitMisuse, err} }

// process is everything this process has of the world, in one value, so that a
// test can hand in another world.
type process struct {
	args   []string
	in     io.Reader
	out    io.Writer
	err    io.Writer
	env    func(string) string
	getuid func() int
}

func main() {
	// A log pipe whose reader went is no reason to stop working; a closed terminal
	// is none either. Those two that mean something to `run` end no other command.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP, syscall.SIGUSR1)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := &process{args: os.Args[1:], in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv, getuid: os.Getuid}
	code := p.run(ctx)
	stop()
	os.Exit(code)
}

// run runs the command line and turns its error into the exit code and one line.
func (p *process) run(ctx context.Context) int {
	root := p.root()
	root.SetArgs(p.args)
	err := root.ExecuteContext(ctx)
	var e *exit
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &e):
		if e.err != nil {
			fmt.Fprintln(p.err, "addagent:", e.err)
		}
		return e.code
	default: // cobra's own: an unknown command or flag
		fmt.Fprintln(p.err, "addagent:", err)
		return exitMisuse
	}
}
