package servers

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// bin is the folder of the programs under test.
var bin string

// TestMain builds the programs once for all tests.
func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(build(m))
}

func build(m *testing.M) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// go test notes what was looked at, and does not take a result from its cache when a source has changed.
	if err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			_, err = os.Stat(path)
		}
		return err
	}); err != nil {
		return fail(err)
	}
	var err error
	if bin, err = os.MkdirTemp("", "addagent-servers-"); err != nil {
		return fail(err)
	}
	defer os.RemoveAll(bin)
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", bin+"/", "github.com/addagent/addagent/cmd/addagent", "github.com/addagent/addagent/cmd/addctl")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fail(fmt.Errorf("build: %w\n%s", err, out))
	}
	return m.Run()
}
