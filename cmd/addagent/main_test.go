package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/addagent/addagent/internal/cli/clitest"
)

// TestMain lets the test binary be addagent: the transcripts, and the shims that
// the agent under test starts from /proc/self/exe.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == shimArg {
		main()
	}
	testscript.Main(m, map[string]func(){"addagent": main})
}

// TestTranscripts runs testdata/script: each file is what a person types and sees.
func TestTranscripts(t *testing.T) {
	sets := strictly(t, servicesSchema)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			for _, v := range []string{"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
				"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.org", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.org",
				"HOME=" + e.WorkDir, "no_proxy=127.0.0.1"} {
				name, value, _ := strings.Cut(v, "=")
				e.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"waitfor": clitest.WaitFor,
			"grid":    grid,
			"replace": replace,
			// sets FILE... are as docs/services.schema.json has them
			"sets": func(ts *testscript.TestScript, _ bool, args []string) {
				for _, file := range args {
					sets(file, []byte(ts.ReadFile(file)))
				}
			},
		},
	})
}

// grid makes the usual furniture of a transcript: a bare repository ops.git that
// is served from its path, a people's clone in people/, a node with a config.
// The scripts are in the transcript's files below people/.
func grid(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: grid")
	}
	for _, line := range []string{
		"git init -q --bare -b main ops.git",
		"git init -q -b main people",
		"git -C people add -A",
		"git -C people commit -q -m first",
		"git -C people remote add origin " + ts.MkAbs("ops.git"),
		"git -C people push -q -u origin main",
	} {
		f := strings.Fields(line)
		ts.Check(ts.Exec(f[0], f[1:]...))
	}
	home := ts.MkAbs("node")
	ts.Check(os.MkdirAll(filepath.Join(home, "nodeinfo"), 0o755))
	for field, value := range map[string]string{"instance-id": "i-1", "nodepart": "app1", "stacktype": "lad1", "deployment": "fed1"} {
		ts.Check(os.WriteFile(filepath.Join(home, "nodeinfo", field+".txt"), []byte(value+"\n"), 0o644))
	}
	config := fmt.Sprintf("home: %[1]s\nrun_dir: %[1]s/run\nstate_dir: %[1]s/lib\nbeat: { schedule: \"@every 1s\", spread: 0s }\nrepos:\n  - { name: ops, url: %[2]s }\n", home, strconv.Quote(ts.MkAbs("ops.git")))
	ts.Check(os.WriteFile(ts.MkAbs("addagent.yaml"), []byte(config), 0o644))
}

// replace puts something else in the place of files: replace KIND FILE...
func replace(ts *testscript.TestScript, neg bool, args []string) {
	put := map[string]func(path string) error{
		"link":   func(path string) error { return os.Symlink("nowhere", path) },
		"loop":   func(path string) error { return os.Symlink(filepath.Base(path), path) },
		"folder": func(path string) error { return os.MkdirAll(filepath.Join(path, "in"), 0o755) },
		"pipe":   func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"long":   func(path string) error { return os.WriteFile(path, make([]byte, 10<<20), 0o644) },
	}[args[0]]
	for _, path := range args[1:] {
		path = ts.MkAbs(path)
		ts.Check(errors.Join(os.RemoveAll(path), os.MkdirAll(filepath.Dir(path), 0o755), put(path)))
	}
}
