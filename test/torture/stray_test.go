//go:build linux

package torture

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
)

// strays are what people leave lying about, each made at a path.
func strays(t *testing.T) map[string]func(path string) {
	foreign := filepath.Join(t.TempDir(), "foreign")
	gittest.Git(t, ".", "init", "-q", foreign)
	gittest.Git(t, foreign, "commit", "-q", "--allow-empty", "-m", "x")
	link := func(to string) func(string) {
		return func(path string) { testkit.Must(t, os.Symlink(to, path)) }
	}
	return map[string]func(string){
		"file":           func(path string) { write(t, path, "x\n") },
		"folder":         func(path string) { testkit.Must(t, os.Mkdir(path, 0o755)) },
		"full folder":    func(path string) { write(t, filepath.Join(path, "add", "x", "work.sh_VERSION"), "x\n") },
		"dead link":      link("nowhere"),
		"link to itself": func(path string) { testkit.Must(t, os.Symlink(filepath.Base(path), path)) },
		"link to a file": link("/etc/hostname"),
		"link to a dir":  link(t.TempDir()),
		"fifo":           func(path string) { testkit.Must(t, syscall.Mkfifo(path, 0o644)) },
		"repository":     func(path string) { gittest.Git(t, ".", "clone", "-q", foreign, path) },
		"bare":           func(path string) { gittest.Git(t, ".", "init", "-q", "--bare", path) },
		".git file":      func(path string) { write(t, filepath.Join(path, ".git"), "gitdir: /nowhere\n") },
		"socket": func(path string) {
			// The path of a socket is short: it is made elsewhere.
			dir, err := os.MkdirTemp("", "s")
			testkit.Must(t, err)
			l, err := net.Listen("unix", filepath.Join(dir, "s"))
			testkit.Must(t, err)
			t.Cleanup(func() { l.Close(); os.RemoveAll(dir) })
			testkit.Must(t, os.Rename(filepath.Join(dir, "s"), path))
		},
	}
}

// TestStrays leaves files, folders, links to anything, fifos, sockets and foreign repositories under odd names wherever
// people put things, and in place of the agent's own folders. The next push is worked every time.
//
// INVARIANT (spec 1, 6): what people leave lying about never stops a node; what cannot be understood is said once, and
// every push is worked.
func TestStrays(t *testing.T) {
	t.Parallel()
	kinds := strays(t)
	places := map[string]func(g *grid) string{
		"gitrepo":           func(g *grid) string { return g.in("gitrepo") },
		"the clone":         func(g *grid) string { return g.clone("ops") },
		".git":              func(g *grid) string { return filepath.Join(g.clone("ops"), ".git") },
		".temp":             func(g *grid) string { return filepath.Join(g.clone("ops"), ".temp") },
		".temp/add":         func(g *grid) string { return filepath.Dir(g.memory("ops", "x")) },
		"an item's memory":  func(g *grid) string { return g.memory("ops", "root") },
		"nodeinfo":          func(g *grid) string { return g.in("nodeinfo") },
		"log":               func(g *grid) string { return g.in("log") },
		"log/work":          func(g *grid) string { return g.in("log", "work") },
		"an item's logs":    func(g *grid) string { return g.in("log", "work", "ops_root") },
		"run_dir":           func(g *grid) string { return filepath.Join(g.dir, "run") },
		"state_dir":         func(g *grid) string { return filepath.Join(g.dir, "lib") },
		"":                  func(g *grid) string { return g.in() },
		"another clone":     func(g *grid) string { return g.in("gitrepo", "other", ".temp") },
		"another's memory":  func(g *grid) string { return g.in("gitrepo", "other", ".temp", "add") },
		"instead of .temp":  func(g *grid) string { return filepath.Join(g.clone("ops"), ".temp") },
		"instead of memory": func(g *grid) string { return g.memory("ops", "root") },
		"instead of logs":   func(g *grid) string { return g.in("log", "work", "ops_root") },
		"instead of log":    func(g *grid) string { return g.in("log") },
	}
	listed(t, len(places)*len(kinds))
	for place, where := range places {
		t.Run(strings.ReplaceAll(place, "/", " "), func(t *testing.T) {
			t.Parallel()
			g := newGrid(t, plan{work: "timeout: 30s, grace: 1s, retry_first: 1s, retry_max: 1s, wedge_after: 1"})
			g.configure("discover: true\n")
			n := 0
			works := func(kind string) {
				t.Helper()
				n++
				version := g.push("ops", script("nodework/work.sh", "echo run >>$T_DIR/journal\n"), gittest.File("n", fmt.Sprint(n)))
				code, _, stderr := g.run("beat")
				// 1: something was said.
				if code > 1 || g.worked("ops", "root") != version || !strings.Contains("idle failing", g.state()) {
					t.Errorf("%s: the push was not worked: exit %d, state %s\n%s", kind, code, g.state(), stderr)
				}
			}
			works("nothing")
			for kind, leave := range kinds {
				at := where(g)
				switch {
				case strings.HasPrefix(place, "instead"):
					testkit.Must(t, os.RemoveAll(at))
					leave(at)
				case strings.HasPrefix(place, "another"):
					testkit.Must(t, os.RemoveAll(g.in("gitrepo", "other")))
					gittest.Git(t, ".", "init", "-q", g.in("gitrepo", "other"))
					testkit.Must(t, os.MkdirAll(filepath.Dir(at), 0o755))
					leave(at)
				default:
					for _, name := range []string{kind, "-" + kind + "\n\x1b[1m[*?.txt", strings.Repeat("ü", 120)} {
						testkit.Must(t, os.RemoveAll(filepath.Join(at, name)))
						leave(filepath.Join(at, name))
					}
				}
				works(kind)
			}
		})
	}
}
