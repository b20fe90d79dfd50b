// Addagent looks at git repositories once a minute, and when something that this
// node watches has changed it runs the repository's work script, under a lock.
package main

import (
	"context"
	"io"
	"os"

	"github.com/addagent/addagent/internal/cli"
)

// version is set by the linker (make build).
var version = "dev"

const (
	exitDone        = cli.ExitDone
	exitFailed      = cli.ExitFailed
	exitWedged      = cli.ExitWedged
	exitBusy        = cli.ExitBusy
	exitDisabled    = cli.ExitDisabled
	exitDue         = cli.ExitDue
	exitInterrupted = cli.ExitInterrupted
)

type exit = cli.Exit

func failed(err error) error { return cli.Failed(err) }
func misuse(err error) error { return cli.Misuse(err) }

func printJSON(w io.Writer, v any) error     { return cli.PrintJSON(w, v) }
func printJSONLine(w io.Writer, v any) error { return cli.PrintJSONLine(w, v) }
func isTerminal(w io.Writer) bool            { return cli.IsTerminal(w) }

// process is everything this process has of the world.
type process struct {
	Args   []string
	In     io.Reader
	Out    io.Writer
	Err    io.Writer
	Env    func(string) string
	Getuid func() int
}

func main() {
	this, ctx, stop := cli.This()
	p := &process{Args: this.Args, In: this.In, Out: this.Out, Err: this.Err, Env: this.Env, Getuid: this.Getuid}
	code := p.run(ctx)
	stop()
	os.Exit(code)
}

func (p *process) run(ctx context.Context) int {
	return p.shared().Run(ctx, p.root())
}

// shared is the process as both programs know it.
func (p *process) shared() *cli.Process {
	return &cli.Process{Args: p.Args, In: p.In, Out: p.Out, Err: p.Err, Env: p.Env, Getuid: p.Getuid}
}
