// Demo shows addagent at work on a throw-away grid on this machine: make demo, make demo-grid, make demo-services.
//
// It runs the programs beside it, addagent and addctl, as a person would, and imports nothing of theirs. one.go is the
// story of one node, grid.go that of three, services.go that of services.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second ^C ends the demo at once
	os.Exit(startDemo(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// startDemo returns the exit code: 0 only when everything that the story tells came true.
func startDemo(ctx context.Context, args []string, out, errors io.Writer) int {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(errors)
	dir := flags.String("dir", ".demo", "make the grid in `FOLDER`")
	keep := flags.Bool("keep", false, "leave it running until ^C")
	isGrid := flags.Bool("grid", false, "show three agents, a presence repository and a chat room")
	example := flags.String("services", "", "show services, with a doctor and haproxy: the repository in `FOLDER`, examples/database")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	me, err := os.Executable()
	if err == nil {
		d := &demo{ctx: ctx, out: &screen{out: out}, colours: isTerminal(out), dir: *dir, keep: *keep, programs: filepath.Dir(me)}
		story := oneNode
		if *isGrid {
			story = threeNodes
		}
		if *example != "" {
			story = sixNodes(*example)
		}
		err = d.run(story)
	}
	switch {
	case ctx.Err() != nil && !(*keep && err == nil):
		return 130
	case err != nil:
		fmt.Fprintln(errors, "demo:", err)
		return 1
	}
	return 0
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
