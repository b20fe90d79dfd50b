// Addagent looks at git repositories once a minute, and when something that this
// node watches has changed it runs the repository's work script, under a lock.
package main

import (
	"context"
	"io"
	"os"

	"github.com/addagent/addagent/internal/cli"
)

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

// process is this process, with a method for each command.
type process struct{ *cli.Process }

func main() {
	this, ctx, stop := cli.This()
	code := (&process{this}).Run(ctx)
	stop()
	os.Exit(code)
}

func (p *process) Run(ctx context.Context) int {
	return p.Process.Run(ctx, p.root())
}
