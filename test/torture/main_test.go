//go:build linux

package torture

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

// binary is the addagent under test, set once by TestMain. Its path has no symlinks: /proc/PID/exe is compared with it.
var binary string

// asTracer in the environment makes this program the tracer of trace_test.go.
const asTracer = "ADD_TORTURE_TRACER"

// TestMain builds the binary once for all tests.
func TestMain(m *testing.M) {
	if os.Getenv(asTracer) != "" {
		os.Exit(tracer())
	}
	flag.Parse()
	os.Exit(build(m))
}

func build(m *testing.M) int {
	parallel := false
	flag.Visit(func(f *flag.Flag) { parallel = parallel || f.Name == "test.parallel" })
	if !parallel {
		// Most of what these tests do is waiting for a beat: more of them at once than there are cores.
		if err := flag.Set("test.parallel", "6"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	if err := noteSources(filepath.Join("..", "..")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "addagent-torture-")
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if binary = os.Getenv("ADD_TORTURE_BINARY"); binary == "" {
		binary = filepath.Join(dir, "addagent")
		cmd := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "github.com/addagent/addagent/cmd/addagent")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build addagent: %v\n%s", err, out)
			return 1
		}
	}
	return m.Run()
}

// noteSources looks at every source file of the module. go test notes that, and does not take a result from its cache
// when one of them has changed: it cannot know of the build above.
func noteSources(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			_, err = os.Stat(path)
		}
		return err
	})
}
