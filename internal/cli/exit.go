// Package cli is what the command lines of both programs share: exit codes, help, completion, printing and common
// flags.
//
// A Process is a program as its tests can start it. The package knows nothing of the product: no config, no git, no
// chat.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
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

// Failed is an error that ends the program with ExitFailed, as any other that has no exit code does, but for one after
// an interruption.
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

// DefaultConfig is the path of the config when none is given.
const DefaultConfig = "/etc/addagent/addagent.yaml"

// Account is who runs this process.
func (p *Process) Account() (home, name string) {
	u, err := user.Current()
	if err != nil {
		return p.Env("HOME"), p.Env("USER")
	}
	return u.HomeDir, u.Username
}

// Run runs the command line of a program and turns its error into the exit code and one line that begins with the
// program's name. A command need not look whether its output could be written: Run does.
func (p *Process) Run(ctx context.Context, root *cobra.Command) int {
	out := &output{Writer: p.Out}
	p.Out = out
	root.SetIn(p.In)
	root.SetOut(out)
	root.SetErr(p.Err)
	root.SetArgs(p.Args)
	root.PersistentPreRunE = refuseEmpty
	root.SetFlagErrorFunc(flagError)
	for _, c := range root.Commands() {
		run := c.RunE
		c.Args = ownWords(c.Args)
		c.RunE = func(c *cobra.Command, args []string) error { return ended(ctx, run(c, args)) }
	}
	err := root.ExecuteContext(ctx)
	code, text := ExitDone, ""
	var e *Exit
	switch {
	case errors.As(err, &e):
		if code = e.Code; e.Err != nil {
			text = e.Err.Error()
		}
	case err != nil: // cobra's own: an unknown command
		code, text = ExitMisuse, err.Error()
	}
	switch {
	case errors.Is(out.lost, syscall.EPIPE): // the reader went away, as head does: it has seen enough
		if errors.Is(err, syscall.EPIPE) {
			text = ""
		}
	case out.lost != nil && !strings.Contains(text, out.lost.Error()):
		text = strings.TrimPrefix(text+"; write: "+out.lost.Error(), "; ")
		code = cmp.Or(code, ExitFailed)
	}
	if text != "" {
		fmt.Fprintf(p.Err, "%s: %s\n", root.Name(), text)
	}
	return code
}

// ended gives the error of a command an exit code, where it has none.
func ended(ctx context.Context, err error) error {
	switch {
	case err == nil || errors.As(err, new(*Exit)):
		return err
	case ctx.Err() != nil:
		return &Exit{Code: ExitInterrupted}
	}
	return Failed(err)
}

// output is standard output. It remembers why something could not be written.
type output struct {
	io.Writer
	lost error
}

func (o *output) Write(data []byte) (int, error) {
	n, err := o.Writer.Write(data)
	if o.lost == nil {
		o.lost = err
	}
	return n, err
}

// terminal is the file behind standard output or error; nil = it is none, as in a test.
func terminal(w io.Writer) *os.File {
	if o, ok := w.(*output); ok {
		w = o.Writer
	}
	f, _ := w.(*os.File)
	return f
}

// IsTerminal tells whether a person watches.
func IsTerminal(w io.Writer) bool {
	f := terminal(w)
	if f == nil {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// Size is that of a terminal, in characters; 0, 0 where the output is none.
func Size(w io.Writer) (width, height int) {
	f := terminal(w)
	if f == nil {
		return 0, 0
	}
	s, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	return int(s.Col), int(s.Row)
}
