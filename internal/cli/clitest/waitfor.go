package clitest

import (
	"context"
	"os"
	"regexp"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// WaitFor is a command of transcripts, `waitfor FILE REGEXP`: it waits until a line of the file matches.
func WaitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waitfor FILE REGEXP")
	}
	want := regexp.MustCompile("(?m)" + args[1])
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		data, _ := os.ReadFile(ts.MkAbs(args[0]))
		if want.Match(data) {
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("%s does not match %s; it holds:\n%s", args[0], args[1], data)
		case <-look.C:
		}
	}
}
