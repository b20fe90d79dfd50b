package main

import (
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/addagent/addagent/internal/cli/clitest"
)

// TestTranscripts runs testdata/script with the programs side by side in bin/, as make builds them.
func TestTranscripts(t *testing.T) {
	bin := t.TempDir()
	build := exec.Command("go", "build", "-buildvcs=false", "-o", bin+"/", ".", "./stand-in", "../cmd/addagent", "../cmd/addctl")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("BIN", bin)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"waitfor": clitest.WaitFor},
	})
}
