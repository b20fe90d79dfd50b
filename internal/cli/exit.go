// Package cli is what the command lines of both programs share: exit codes, help, completion, printing and common
// flags.
//
// A Process is a program as its tests can start it. The package knows nothing of the product: no config, no git, no
// chat.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes of both programs: a contract with people's scripts.
const (
	ExitDone        = 0   // done, or nothing due
	ExitFailed      = 1   // something failed
	ExitMisuse      = 2   // bad flag, bad config
	ExitWedged      = 3   // the node is wedged
	ExitBusy        = 4   // another agent or beat holds beat.lock
	ExitDisabled    = 5   // a person or a hold said so
	ExitDue         = 10  // plan --exit-code: something is due
	ExitInterrupted = 130 // ^C
)

// Exit is an error that knows its exit code. A nil Err means the code says it all.
type Exit struct {
	Code int
	Err  error
}

func (e *Exit) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit %d", e.Code)
	}
	return e.Err.Error()
}

func (e *Exit) Unwrap() error { return e.Err }

// Failed is an error that ends the program with ExitFailed.
func Failed(err error) error { return &Exit{ExitFailed, err} }

// Misuse is an error that ends the program with ExitMisuse.
func Misuse(err error) error { return &Exit{ExitMisuse, err} }

// Process is everything this process has of the world, in one value, so that a
// test can hand in another world.
type Process struct {
	Args   []string
	In     io.Reader
	Out    io.Writer
	Err    io.Writer
	Env    func(string) string
	Getuid func() int
}

// This is the process as it really is, and a context that ends with ^C or TERM.
func This() (*Process, context.Context, context.CancelFunc) {
	// A log pipe whose reader went is no reason to stop working; a closed terminal
	// is none either. Those two that mean something to `run` end no other command.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP, syscall.SIGUSR1)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	return &Process{Args: os.Args[1:], In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.Getenv, Getuid: os.Getuid}, ctx, stop
}

// Run runs the command line of a program and turns its error into the exit code
// and one line that begins with the program's name.
func (p *Process) Run(ctx context.Context, root *cobra.Command) int {
	root.SetIn(p.In)
	root.SetOut(p.Out)
	root.SetErr(p.Err)
	root.SetArgs(p.Args)
	err := root.ExecuteContext(ctx)
	var e *Exit
	switch {
	case err == nil:
		return ExitDone
	case errors.As(err, &e):
		if e.Err != nil && !readerGone(e.Err) {
			fmt.Fprintf(p.Err, "%s: %v\n", root.Name(), e.Err)
		}
		return e.Code
	default: // cobra's own: an unknown command or flag
		fmt.Fprintf(p.Err, "%s: %s\n", root.Name(), withoutStrconv(err))
		return ExitMisuse
	}
}

// readerGone tells that the reader of standard output went away, as head does: it has seen enough.
func readerGone(err error) bool {
	var file *fs.PathError // and not of a connection
	return errors.As(err, &file) && file.Path == os.Stdout.Name() && errors.Is(file, syscall.EPIPE)
}

// withoutStrconv is the text of an error without the words of Go's package for numbers.
func withoutStrconv(err error) string {
	var number *strconv.NumError
	if !errors.As(err, &number) {
		return err.Error()
	}
	why := number.Err.Error()
	if errors.Is(number.Err, strconv.ErrSyntax) && number.Func != "ParseBool" {
		why = "not a number"
	}
	return strings.ReplaceAll(err.Error(), number.Error(), why)
}
