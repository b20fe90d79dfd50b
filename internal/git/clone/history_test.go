package clone

import (
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/refs"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/go-git/go-git/v5/plumbing"
)

// TestHistory pushes commits one by one and several at once, merges old branches, moves the branch back, forces it, has
// the packs repacked and the clone rebuilt. In between items succeed, some of them seldom. Whatever happened, git says
// in the clone what it says where all history is: which commits since the last success touched a path.
func TestHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gittest.ServerOptions{})
	w.src.Git("config", "gc.auto", "0")
	w.src.Commit("main", append(someFiles(30, "x"), gittest.File("a/f", "0"), gittest.File("b/f", "0"))...)
	w.check()
	random := rand.New(rand.NewSource(1))
	done := map[string]string{}
	memory := map[string]string{"often": ".temp/add/often/work.sh_VERSION", "seldom": ".temp/add/seldom/work.sh_VERSION", "old": ".temp/add/work.sh_VERSION"}
	succeed := func(item string) {
		done[item] = w.src.Tip("main")
		w.write(memory[item], done[item]+"\n")
	}
	for item := range memory {
		succeed(item)
	}
	change := func() gittest.Change {
		return gittest.File(fmt.Sprintf("%c/f", 'a'+random.Intn(2)), fmt.Sprint(random.Int()))
	}
	for i := range testkit.Rounds(80, 220) {
		tip := w.src.Tip("main")
		what := "a commit"
		switch {
		case i%50 == 49:
			what = "rebuilt"
			testkit.Must(t, os.RemoveAll(w.path(".git")))
			w.src.Commit("main", change())
		case i%11 == 10:
			what = "several at once"
			w.src.History("main", 2+random.Intn(8), func(int) []gittest.Change { return []gittest.Change{change()} })
		case i%13 == 12:
			what = "a merge of an old branch"
			c := gittest.File(fmt.Sprintf("side/%d", i), "x")
			side := w.src.CommitOn("side", []string{w.src.Git("rev-parse", tip+"~5")}, c)
			w.src.CommitOn("main", []string{tip, side}, c)
		case i%17 == 16:
			what = "forced"
			w.src.CommitOn("main", []string{w.src.Git("rev-parse", tip+"~2")}, change())
		case i%19 == 18:
			what = "moved back"
			w.src.Move("main", tip+"~2")
		default:
			w.src.Commit("main", change())
		}
		s := w.look()
		now := w.src.Tip("main")
		for item, was := range done {
			for n := range testkit.Rounds(1, 4) { // each is two programs
				path := []string{"a", "b", "side", "d00"}[(i+n)%4]
				args := []string{"log", "--format=%H", was + ".." + now, "--", path}
				ours, err := gittest.TryGit(w.dir, nil, args...)
				if theirs := w.src.Git(args...); err != nil || strings.TrimSpace(ours) != theirs {
					t.Fatalf("step %d, %s: the log of %s since %s succeeded (%s) is %q %v, want %q; %+v", i, what, path, item, was, ours, err, theirs, s)
				}
			}
			args := []string{"diff", was, now}
			ours, err := gittest.TryGit(w.dir, nil, args...)
			if theirs := w.src.Git(args...); err != nil || strings.TrimSpace(ours) != theirs {
				t.Fatalf("step %d, %s: the diff since %s succeeded (%s): %v", i, what, item, was, err)
			}
			if _, known, err := w.repo.Changed(was, now, 1000); err != nil || !known {
				t.Errorf("step %d: what changed since %s is not known: %v", i, was, err)
			}
		}
		if i%10 == 9 {
			testkit.Must(t, repack(t.Context(), w.path(".git"), plumbing.NewHash(now), true, func() {}))
			gittest.Fsck(t, w.dir)
		}
		succeed("often")
		if i%40 == 39 {
			succeed("seldom")
		}
		if i%4 == 3 {
			succeed("old")
		}
	}
	// An item that is gone needs nothing any more.
	testkit.Must(t, os.RemoveAll(filepath.Dir(w.path(memory["seldom"]))))
	w.src.Commit("main", change())
	w.look()
	if named := gittest.Git(t, w.dir, "for-each-ref", "--format=%(refname)", refs.Done); named != refs.Done+"/often\n"+refs.Done+"/work.sh_VERSION" {
		t.Errorf("refs: %s", named)
	}
}

// TestSinceDone: what leads from the last successes to what is shown does not depend on the order in which these are
// named.
func TestSinceDone(t *testing.T) {
	t.Parallel()
	src := gittest.New(t, filepath.Join(t.TempDir(), "src.git"))
	var all []plumbing.Hash // from the first commit on
	for i := range 10 {
		all = append(all, plumbing.NewHash(src.Commit("main", gittest.File("f", fmt.Sprint(i)))))
	}
	store, err := objects.Open(src.Dir)
	testkit.Must(t, err)
	defer store.Close()
	for _, c := range []struct {
		done []int
		want int // commits
	}{
		{[]int{8}, 2},
		{[]int{9}, 1},
		{[]int{8, 7}, 3},
		{[]int{7, 8}, 3},
		{[]int{8, 7, 0}, 10},
		{[]int{0, 7, 8}, 10},
		{[]int{7, 0, 8}, 10},
		{[]int{7, 8, 0}, 10},
		{[]int{0, 8, 7}, 10},
		{[]int{8, 0, 7}, 10},
		{[]int{1, 8, 7}, 9},
		{[]int{7, 1, 8}, 9},
	} {
		var done []plumbing.Hash
		for _, i := range c.done {
			done = append(done, all[i])
		}
		line, err := sinceDone(store, all[9], done)
		testkit.Must(t, err)
		for _, id := range all[10-c.want:] {
			if !slices.Contains(line, id) {
				t.Errorf("since %v: %s is not among %v", c.done, id, line)
			}
		}
		if len(line) > c.want+1 { // where all meet may be one further
			t.Errorf("since %v: %d commits, want %d", c.done, len(line), c.want)
		}
	}
}

// TestBoundaryBehindAGap: the fetch of what lies between the last success and the new commit was cut off half way, so
// the clone lacks a commit in between: there it ends.
func TestBoundaryBehindAGap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gittest.ServerOptions{})
	w.src.Commit("main", gittest.File("f", "0"))
	w.look()
	w.write(".temp/add/work.sh_VERSION", w.src.Tip("main")+"\n")
	w.src.Commit("main", gittest.File("f", "1"))
	w.look() // history is kept from here on
	missing := w.src.Commit("main", gittest.File("f", "2"))
	end := w.src.Commit("main", gittest.File("f", "3"))
	to := w.src.Commit("main", gittest.File("f", "4"))
	list := filepath.Join(t.TempDir(), "list")
	testkit.Must(t, os.WriteFile(list, []byte(w.src.Git("rev-list", "--objects", missing+".."+to)+"\n"), 0o644))
	pack := exec.Command("sh", "-c", "git -C '"+w.src.Dir+"' pack-objects -q '"+w.path(".git/objects/pack/pack")+"' <'"+list+"'")
	if out, err := pack.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ends, err := boundary(w.path(".git"), "refs/heads/main", plumbing.NewHash(to))
	if err != nil || !slices.Contains(ends, plumbing.NewHash(end)) {
		t.Errorf("the clone ends at %v (%v), want %s among them", ends, err, end)
	}
}
