// Addagent is the agent of a node: it looks at git repositories once a minute, and runs work scripts when what they
// watch has changed.
//
// Here are its commands only, one file each, listed in root.go: flags in, text or JSON and an exit code out. What they
// call is in packages of its own: internal/daemon, internal/status, internal/check, internal/journal.
package main

import (
	"context"
	"os"

	"github.com/addagent/addagent/internal/cli"
)

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
