// Addctl is the grid seen from outside: which nodes are there, how they are, what
// happened; and what keeps the presence repository in order.
package main

import (
	"context"
	"os"

	"github.com/addagent/addagent/internal/cli"
)

// process is everything this process has of the world.
type process struct{ *cli.Process }

func main() {
	this, ctx, stop := cli.This()
	code := (&process{this}).run(ctx)
	stop()
	os.Exit(code)
}

func (p *process) run(ctx context.Context) int { return p.Run(ctx, p.root()) }
