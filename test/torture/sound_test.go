//go:build linux

package torture

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/work/run"
)

// sound holds a stopped node to what must be true of it whatever happened: both locks free, no process left, every
// state file whole, the clone in order by git's own word.
func (g *grid) sound(repo string, untracked ...string) {
	g.t.Helper()
	for _, lock := range []string{g.beatLock(), g.workLock()} {
		if h, held, err := run.ReadHolder(lock); err != nil || held {
			g.t.Errorf("%s is held after all ended: %+v %v", filepath.Base(lock), h, err)
		}
	}
	if left := g.processes(); len(left) > 0 {
		g.t.Errorf("left running: %v", left)
	}
	g.whole()
	g.tracked(repo, untracked...)
}

// tracked holds a clone to its own HEAD: git finds all objects, and the tree is what HEAD says and nothing else but the
// untracked paths given.
func (g *grid) tracked(repo string, untracked ...string) {
	g.t.Helper()
	dir := g.clone(repo)
	if g.evil {
		git(g.t, dir, filepath.Join(dir, ".git", "index"), "fsck", "--connectivity-only") // of what it is at
	} else {
		gittest.Fsck(g.t, dir)
	}
	if got := status(g.t, dir, filepath.Join(dir, ".git", "index")); !slices.Equal(got, untracked) {
		g.t.Errorf("git status of %s, by the index that the agent wrote: %q, want %q", repo, got, untracked)
	}
	// And by an index that knows nothing, so that git compares all contents.
	fresh := filepath.Join(g.t.TempDir(), "index")
	git(g.t, dir, fresh, "read-tree", "HEAD")
	if got := status(g.t, dir, fresh); !slices.Equal(got, untracked) {
		g.t.Errorf("git status of %s, by contents: %q, want %q", repo, got, untracked)
	}
}

// status is what git says of a work tree: changes, and untracked paths bare. The agent's own folder is left out.
func status(t *testing.T, dir, index string) []string {
	t.Helper()
	var all []string
	for line := range strings.SplitSeq(git(t, dir, index, "status", "--porcelain", "-uall", "-z"), "\x00") {
		path, other := strings.CutPrefix(line, "?? ")
		if line != "" && !strings.HasPrefix(path, ".temp/") {
			if !other {
				path = line
			}
			all = append(all, path)
		}
	}
	slices.Sort(all)
	return all
}

func git(t *testing.T, dir, index string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"--no-optional-locks"}, args...)...)
	cmd.Dir, cmd.Env = dir, append(gittest.Env(), "GIT_INDEX_FILE="+index)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("git %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// whole checks every small file that the agent keeps: JSON parses, versions are versions, nothing was set aside.
func (g *grid) whole() {
	g.t.Helper()
	version := regexp.MustCompile(`^[0-9a-f]{40}\n$`)
	for _, root := range []string{g.home, filepath.Join(g.dir, "lib")} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && (d.Name() == ".git" || d.Name() == "work" && filepath.Base(filepath.Dir(path)) == "log") {
				return filepath.SkipDir
			}
			if d.IsDir() {
				return nil
			}
			name, content := d.Name(), read(path)
			switch {
			case strings.HasSuffix(name, ".corrupt"):
				g.t.Errorf("%s: the agent found a file of its own corrupt", path)
			case strings.HasPrefix(name, "work.sh_VERSION"), strings.HasPrefix(name, "work.sh_DOING"):
				if !version.MatchString(content) {
					g.t.Errorf("%s holds %q", path, content)
				}
			case strings.HasSuffix(name, ".json") && !json.Valid([]byte(content)):
				g.t.Errorf("%s is no JSON: %q", path, tail(content, 5))
			case name == "beats.jsonl":
				lines := strings.Split(strings.TrimSuffix(content, "\n"), "\n")
				for i, line := range lines {
					// Appended without fsync: what a kill cut may be anywhere, but only a line at a time.
					if !json.Valid([]byte(line)) && i == len(lines)-1 && !strings.HasSuffix(content, "\n") {
						continue
					}
					if !json.Valid([]byte(line)) {
						g.t.Errorf("%s:%d is no JSON: %.200q", path, i+1, line)
					}
				}
			}
			return nil
		})
		if err != nil {
			g.t.Error(err)
		}
	}
}

// pause waits a random part of most. It is not for a condition: the moments of a kill are what these tests are about.
func pause(d time.Duration) { <-time.After(d) }

// exists tells whether there is something at a path.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
