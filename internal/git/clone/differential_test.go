package clone

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/git/worktree"
	"github.com/addagent/addagent/internal/testkit"
)

// TestDifferential drives our clone and the git program through the same random histories on a real server, while a
// person edits tracked files and leaves files of their own in our clone. After each step git itself compares.
//
// ADD_TEST_STEPS sets the number of steps (300), ADD_TEST_SEED the seed (a failure names its own).
func TestDifferential(t *testing.T) {
	steps, seed := number(t, "ADD_TEST_STEPS", 300), number(t, "ADD_TEST_SEED", 1)
	steps = min(steps, uint64(testkit.Rounds(40, 1_000_000)))
	const histories = 6
	for i := range uint64(histories) {
		t.Run(fmt.Sprint(seed+i), func(t *testing.T) {
			t.Parallel()
			d := newDuel(t, seed+i, i%2 == 1, i >= histories/2)
			for n := range steps / histories {
				d.step(int(n))
			}
		})
	}
}

func number(tb testing.TB, name string, otherwise uint64) uint64 {
	tb.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	testkit.Must(tb, err)
	return n
}

// content of a tracked path, as the random history made it.
type planned struct{ text, mode string }

type snapshot struct {
	id    string
	files map[string]planned
}

// duel is one random history, our clone of it, git's clone of it, and what a person did to ours.
type duel struct {
	t       *testing.T
	r       *rand.Rand
	seed    uint64
	bitmap  bool
	settled bool // folders seldom come and go
	src     *gittest.Repo
	ours    *Repo
	dir     string
	git     string
	scratch string            // an empty git directory to read trees with
	past    []snapshot        // all commits, the present one last
	mine    map[string]string // content (or target) of a person's own file or link: where it was made
	serial  int
	story   []string
}

func newDuel(t *testing.T, seed uint64, bitmap, settled bool) *duel {
	src, server := gittest.Remote(t, gittest.ServerOptions{})
	root := t.TempDir()
	d := &duel{t: t, r: rand.New(rand.NewPCG(seed, 0)), seed: seed, bitmap: bitmap, settled: settled, src: src,
		dir: filepath.Join(root, "ours"), git: filepath.Join(root, "git"), scratch: filepath.Join(root, "scratch"), mine: map[string]string{}}
	d.ours = New(d.dir, remote.Source{URL: server.URL + "/r.git", Branch: "main", Agent: "test"}, Limits{Watcher: worktree.NewWatcher()})
	t.Cleanup(func() { testkit.Must(t, d.ours.Close()) })
	d.commit(nil, map[string]planned{}, 12)
	if settled {
		d.commit(nil, map[string]planned{}, 150)
	}
	gittest.Git(t, root, "clone", "-q", server.URL+"/r.git", d.git)
	gittest.Git(t, root, "init", "-q", "--bare", d.scratch)
	return d
}

func (d *duel) fatalf(format string, args ...any) {
	d.t.Helper()
	d.t.Fatalf("seed %d (ADD_TEST_SEED=%d ADD_TEST_STEPS=...): %s\n%s", d.seed, d.seed, fmt.Sprintf(format, args...), strings.Join(d.story, "\n"))
}

func (d *duel) tell(format string, args ...any) {
	d.story = append(d.story, fmt.Sprintf(format, args...))
}

func (d *duel) now() snapshot { return d.past[len(d.past)-1] }

func (d *duel) step(n int) {
	d.t.Helper()
	d.tell("step %d", n)
	edited := false
	if n > 0 {
		for range d.r.IntN(4) {
			edited = d.meddle() || edited
		}
		d.history()
	}
	if d.bitmap && n%5 == 0 {
		d.collect()
	}
	sight, err := d.ours.Look(d.t.Context(), nil)
	if err != nil {
		d.fatalf("look: %v", err)
	}
	d.tell("  %+v", sight)
	if sight.Version != d.now().id || sight.Rebuilt != "" {
		d.fatalf("at %s (rebuilt: %q), want %s", sight.Version, sight.Rebuilt, d.now().id)
	}
	said := slices.ContainsFunc(sight.Notices, func(s string) bool { return strings.HasPrefix(s, "put back ") })
	if said && !edited {
		d.fatalf("edits were put back that nobody made: %q", sight.Notices)
	}
	gittest.Git(d.t, d.git, "fetch", "-q", "origin", "+main:refs/remotes/origin/main")
	gittest.Git(d.t, d.git, "reset", "-q", "--hard", "origin/main")
	d.compare(n)
}

// compare lets git read both trees, and our clone.
func (d *duel) compare(n int) {
	d.t.Helper()
	want := gittest.Git(d.t, d.git, "rev-parse", "HEAD^{tree}")
	// In a separate repository: adding files to our clone would restore an object that it lacks.
	testkit.Must(d.t, os.RemoveAll(filepath.Join(d.scratch, "index")))
	git := func(stdin string, args ...string) string {
		cmd := exec.Command("git", append([]string{"--git-dir=" + d.scratch, "--work-tree=.", "-c", "core.excludesFile=/dev/null"}, args...)...)
		cmd.Dir, cmd.Env, cmd.Stdin = d.dir, gittest.Env(), strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			d.fatalf("git %v: %v: %s", args, err, out)
		}
		return strings.TrimSuffix(string(out), "\n")
	}
	untracked := d.sentinels()
	git("", "add", "-A", "-f", "--", ".", ":(exclude,top).temp")
	git(strings.Join(untracked, "\x00"), "update-index", "-z", "--force-remove", "--stdin")
	if got := git("", "write-tree"); got != want {
		status := gittest.Git(d.t, d.dir, "--no-optional-locks", "status", "--porcelain")
		d.fatalf("our files are tree %s, git's %s\n%s", got, want, status)
	}
	status := []string{"--no-optional-locks", "status", "--porcelain", "-uno"}
	if n%5 == 4 {
		status = status[1:] // a person's: git writes the index again
	}
	if got := gittest.Git(d.t, d.dir, status...); got != "" {
		d.fatalf("git status in our clone:\n%s", got)
	}
	if got := gittest.Git(d.t, d.dir, "diff-files"); got != "" {
		d.fatalf("our index does not know:\n%s", got)
	}
	if got := gittest.Git(d.t, d.dir, "rev-parse", "HEAD"); got != d.now().id {
		d.fatalf("our HEAD is %s", got)
	}
	check := []string{"fsck", "--no-dangling", "--no-progress", "--connectivity-only"}
	if n%5 == 4 {
		check = check[:3]
	}
	if out, err := gittest.TryGit(d.dir, nil, check...); err != nil || out != "" {
		d.fatalf("fsck: %v %s", err, out)
	}
}

// sentinels finds all that a person made, whereever it is by now, and returns the paths of what is still in the tree.
func (d *duel) sentinels() []string {
	d.t.Helper()
	found := map[string]bool{}
	var inTree []string
	err := filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(strings.TrimPrefix(path, d.dir), "/")
		if rel == ".git" {
			return filepath.SkipDir
		}
		var b []byte
		switch {
		case e.Type().IsRegular():
			b, err = os.ReadFile(path)
		case e.Type() == fs.ModeSymlink:
			var to string
			to, err = os.Readlink(path)
			b = []byte(to)
		}
		if err != nil {
			return err
		}
		if _, ok := d.mine[string(b)]; ok {
			found[string(b)] = true
			if !strings.HasPrefix(rel, ".temp/") {
				inTree = append(inTree, rel)
			}
		}
		return nil
	})
	testkit.Must(d.t, err)
	for text, path := range d.mine {
		if !found[text] {
			d.fatalf("%q is gone: a person's file, made at %q", text, path)
		}
	}
	return inTree
}

// history does one thing to the branch.
func (d *duel) history() {
	tip := d.now()
	switch k := d.r.IntN(20); {
	case k < 9:
		d.commit([]string{tip.id}, tip.files, 1+d.r.IntN(6))
	case k < 11: // several in one push
		for range 2 + d.r.IntN(3) {
			d.commit([]string{d.now().id}, d.now().files, 1+d.r.IntN(3))
		}
	case k == 11:
		d.commit([]string{tip.id}, tip.files, 0)
	case k == 12: // unrelated
		d.commit(nil, map[string]planned{}, 3+d.r.IntN(8))
	case k < 15: // moved back
		old := d.past[d.r.IntN(len(d.past))]
		if old.id == tip.id {
			d.commit([]string{tip.id}, tip.files, 1)
			return
		}
		d.tell("  moved back to %s", old.id)
		d.src.Move("main", old.id)
		d.past = append(d.past, old)
	case k < 17: // rewritten
		if parent, err := gittest.TryGit(d.src.Dir, nil, "rev-parse", "-q", "--verify", tip.id+"^"); err == nil {
			d.commit([]string{parent}, tip.files, 2)
			return
		}
		d.commit([]string{tip.id}, tip.files, 2)
	default: // merge of an old branch
		old := d.past[d.r.IntN(len(d.past))]
		d.commit([]string{old.id}, old.files, 1+d.r.IntN(3))
		d.commit([]string{tip.id, d.now().id}, tip.files, 1+d.r.IntN(3))
	}
	if d.r.IntN(8) == 0 {
		d.collect()
	}
}

// collect makes the server drop what no branch needs, so that it may not know the commit that we have.
func (d *duel) collect() {
	d.tell("  server collects garbage")
	d.src.Git("-c", "repack.writeBitmaps="+strconv.FormatBool(d.bitmap), "gc", "-q", "--prune=now")
	d.Forget()
}

// Forget drops the commits that the server does not have any more.
func (d *duel) Forget() {
	var ask strings.Builder
	for _, s := range d.past {
		fmt.Fprintln(&ask, s.id)
	}
	out, err := gittest.TryGit(d.src.Dir, []byte(ask.String()), "cat-file", "--batch-check")
	testkit.Must(d.t, err)
	lines := strings.Split(out, "\n")
	var left []snapshot
	for i, s := range d.past {
		if strings.Contains(lines[i], " commit ") {
			left = append(left, s)
		}
	}
	d.past = left
}

// commit makes a commit of random changes on the files of the latest snapshot. fast-import starts from the tree of the
// first parent, so what the model says is written over it, whole.
func (d *duel) commit(parents []string, files map[string]planned, changes int) {
	files = maps.Clone(files)
	for range changes {
		d.change(files)
	}
	all := []gittest.Change{}
	if len(parents) > 0 {
		for line := range strings.SplitSeq(d.src.Git("ls-tree", "-z", "--name-only", parents[0]), "\x00") {
			if line != "" {
				all = append(all, gittest.Remove(line))
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		all = append(all, gittest.Change{Path: path, Content: files[path].text, Mode: files[path].mode})
	}
	id := d.src.CommitOn("main", parents, all...)
	d.tell("  commit %s on %v: %d files", id, parents, len(files))
	d.past = append(d.past, snapshot{id, files})
}
