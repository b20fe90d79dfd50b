// Addctl shows the nodes of a fleet from outside, and is what a control node runs.
//
// Here are its commands only, one file each, listed in root.go. What they call is in fleet/view, fleet/control,
// fleet/nodegroup and presence/fold.
package main

import (
	"context"
	"fmt"
	"github.com/addagent/addagent/fleet/nodegroup/groupcmd"
	"io"
	"os"
	"strings"

	"github.com/addagent/addagent/fleet/control"
	"github.com/addagent/addagent/fleet/view"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
)

// program is one run of addctl: the process, and the flags that every command has.
type program struct {
	*cli.Process
	setup  control.Setup
	json   bool
	groups *groupcmd.Tool
}

func main() {
	this, ctx, stop := cli.This()
	code := (&program{Process: this}).run(ctx)
	stop()
	os.Exit(code)
}

func (p *program) run(ctx context.Context) int { return p.Run(ctx, p.root()) }

// withRepository opens the presence repository for a command.
func (p *program) withRepository(run func(*control.Repository) error) error {
	o, err := p.setup.Open()
	if err != nil {
		return cli.Misuse(err)
	}
	defer o.Close()
	return run(o)
}

// says prints a line for people on standard error.
func (p *program) says(format string, args ...any) {
	fmt.Fprintln(p.Err, "addctl:", human.Safe(fmt.Sprintf(format, args...)))
}

func (p *program) say(text string) { p.says("%s", text) }

// notes prints what a reading left out, and why.
func (p *program) notes(f presence.Fleet) {
	for _, n := range f.Notes {
		p.says("%s", n)
	}
}

// print prints a text and what ends it. Only what runs on needs the error: the reader may have gone away.
func (p *program) print(text string) error {
	_, err := io.WriteString(p.Out, text+"\n")
	return err
}

// table prints a table, as wide as the terminal, and lines below it.
func (p *program) table(t view.Table, below ...string) {
	width, _ := cli.Size(p.Out)
	_ = p.print(strings.Join(append(t.Lines(width, p.colours()), below...), "\n"))
}

// colours tells whether the output may have any.
func (p *program) colours() bool {
	return cli.IsTerminal(p.Out) && p.Env("NO_COLOR") == "" && p.Env("TERM") != "dumb"
}
