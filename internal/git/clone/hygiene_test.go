package clone

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/refs"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/testkit"
)

// gitBytes is what lies below .git.
func gitBytes(tb testing.TB, dir string) (sum int64) {
	tb.Helper()
	testkit.Must(tb, filepath.WalkDir(filepath.Join(dir, ".git"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		sum += info.Size()
		return err
	}))
	return sum
}

func packsOf(tb testing.TB, dir string) []string {
	tb.Helper()
	found, err := filepath.Glob(filepath.Join(dir, ".git/objects/pack/*.pack"))
	testkit.Must(tb, err)
	return found
}

func looseOf(tb testing.TB, dir string) []string {
	tb.Helper()
	found, err := filepath.Glob(filepath.Join(dir, ".git/objects/[0-9a-f][0-9a-f]/*"))
	testkit.Must(tb, err)
	return found
}

// winding makes a history of n tips as people push them: mostly linear, with merges of old branches, branches moved
// back, and forced pushes among them. One program makes all commits.
func winding(src *gittest.Repo, n int) []string {
	file := func(i int) gittest.Change {
		return gittest.File(fmt.Sprintf("d%02d/e%d/file%04d.txt", i%20, i%3, i%60), strings.Repeat(fmt.Sprintf("step %d\n", i), 1+i%90))
	}
	src.History("main", n, func(i int) []gittest.Change { return []gittest.Change{file(i)} })
	line := strings.Fields(src.Git("rev-list", "--reverse", "main"))
	line = line[len(line)-n:]
	tips := make([]string, 0, n)
	for i, at := 0, 0; i < n; i++ {
		switch {
		case i%40 == 17 && at > 20: // a merge of a branch that forked long ago
			side := src.CommitOn("side", []string{line[at-15]}, gittest.File(fmt.Sprintf("side/%d", i), "side"))
			tips = append(tips, src.CommitOn("merged", []string{line[at], side}, gittest.File(fmt.Sprintf("side/%d", i), "side")))
			continue
		case i%40 == 27 && at > 3: // moved back
			at -= 3
		case i%40 == 37 && at > 3: // forced: another commit in place of the last one
			tips = append(tips, src.CommitOn("forced", []string{line[at-1]}, gittest.File("forced", fmt.Sprint(i))))
			continue
		default:
			at++
		}
		tips = append(tips, line[min(at, n-1)])
	}
	return tips
}

// TestThousandFetches brings a thousand changes, one fetch each, into one clone. At the end git finds nothing wrong
// with it, nothing is left over, and it is not much larger than a fresh one.
func TestThousandFetches(t *testing.T) {
	t.Parallel()
	n := testkit.Rounds(100, 1000)
	w := newWorld(t, gittest.ServerOptions{})
	if shm, err := os.MkdirTemp("/dev/shm", "thousand"); err == nil { // each move waits for the disk a dozen times
		t.Cleanup(func() { testkit.Must(t, os.RemoveAll(shm)) })
		w.dir = filepath.Join(shm, "clone")
		w.open(w.repo.source, Limits{})
	}
	w.src.Commit("main", someFiles(200, "start")...)
	first := w.src.Tip("main")
	tips := winding(w.src, n)
	w.src.Git("repack", "-q", "-adb")
	w.src.Git("branch", "all", tips[len(tips)-1])
	w.src.Move("main", first)
	w.check()
	ref := filepath.Join(w.src.Dir, "refs", "heads", "main")
	fetched, most, largest := 0, 0, int64(0)
	for i, tip := range tips {
		// As a push does; a program for each would take longer than all the rest.
		testkit.Must(t, os.WriteFile(ref, []byte(tip+"\n"), 0o644))
		var s Applied
		if i%10 == 0 {
			s = w.look()
		} else {
			var err error
			if s, err = w.repo.Apply(t.Context(), remote.Tip{Branch: "main", ID: tip}, nil); err != nil {
				t.Fatal(err)
			}
		}
		if s.Version != tip || s.Rebuilt != "" {
			t.Fatalf("step %d: %+v", i, s)
		}
		if s.Bytes > 0 {
			fetched++
		}
		most = max(most, len(packsOf(t, w.dir)))
		largest = max(largest, gitBytes(t, w.dir))
		if i%200 == 199 {
			w.same(s)
		}
	}
	w.check()
	fresh := filepath.Join(t.TempDir(), "fresh")
	gittest.Git(t, ".", "clone", "-q", "--depth=1", w.repo.source.URL, fresh)
	t.Logf("%d fetches: at most %d packs and %d bytes, at the end %d packs, %d loose objects, %d bytes; a fresh clone has %d",
		fetched, most, largest, len(packsOf(t, w.dir)), len(looseOf(t, w.dir)), gitBytes(t, w.dir), gitBytes(t, fresh))
	if fetched < n*9/10 {
		t.Errorf("only %d of %d were fetches", fetched, n)
	}
	if most > maxPacks {
		t.Errorf("%d packs at one time", most)
	}
	if loose := looseOf(t, w.dir); len(loose) > 0 {
		t.Errorf("loose objects: %v", loose)
	}
	// What may be there besides: 50 packs that were not repacked yet, each with a change and what its deltas lean on.
	// Here each is below 8 KB, with an index of 1.3 KB.
	if limit := 2*gitBytes(t, fresh) + maxPacks*(10<<10); largest > limit {
		t.Errorf("%d bytes at one time, more than %d", largest, limit)
	}
}

// TestRepackKeepsWhatPeopleMade makes branches, tags, stashes and worktrees in a clone of ours and in a person's, and
// lets many changes pass over them.
func TestRepackKeepsWhatPeopleMade(t *testing.T) {
	t.Parallel()
	for _, persons := range []bool{false, true} {
		t.Run(map[bool]string{false: "ours", true: "a person's"}[persons], func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, gittest.ServerOptions{})
			w.src.Commit("main", someFiles(60, "start")...)
			w.src.Commit("main", gittest.File("a", "a"))
			if persons {
				gittest.Git(t, ".", "clone", "-q", w.repo.source.URL, w.dir)
			}
			w.src.Commit("main", gittest.File("a", "b"))
			w.check()
			git := func(args ...string) string { t.Helper(); return gittest.Git(t, w.dir, args...) }
			git("tag", "before")
			git("checkout", "-q", "-b", "mine")
			w.write("new", "committed by a person")
			git("add", "new")
			git("commit", "-q", "-m", "mine")
			mine := git("rev-parse", "HEAD")
			refuse := w.repo.source
			refuse.Rewind = "refuse" // of the remote; what a person does here is another thing
			w.open(refuse, Limits{})
			s := w.look() // HEAD was on another branch
			if len(s.Notices) != 1 || !strings.Contains(s.Notices[0], "put back") {
				t.Errorf("%q", s.Notices)
			}
			if got := git("rev-parse", "mine"); got != mine || s.Version != w.src.Tip("main") {
				t.Fatalf("%s %+v", got, s)
			}
			w.write("a", "stashed")
			git("stash", "-q")
			stash := git("rev-parse", "stash")
			tree := filepath.Join(t.TempDir(), "tree")
			git("worktree", "add", "-q", "--detach", tree)
			testkit.Must(t, os.WriteFile(filepath.Join(tree, "staged"), []byte("staged in a worktree"), 0o644))
			gittest.Git(t, tree, "add", "staged")
			w.write("a", "a commit on our branch")
			git("commit", "-q", "-a", "-m", "on our branch")
			ours := git("rev-parse", "HEAD")
			s = w.check()
			if len(s.Notices) != 1 || !slices.ContainsFunc(s.Notices, func(n string) bool { return strings.Contains(n, "put back, kept as "+refs.Kept) }) {
				t.Errorf("nothing is said about the commit of a person: %q", s.Notices)
			}
			w.src.Git("branch", "later", "main")
			w.src.History("later", 2*maxPacks+10, func(i int) []gittest.Change {
				return []gittest.Change{gittest.File(fmt.Sprintf("d%02d/e0/file%04d.txt", i%20, i), fmt.Sprint(i)), gittest.File("a", fmt.Sprint("a", i))}
			})
			for i, id := range strings.Fields(w.src.Git("rev-list", "--reverse", "main..later")) {
				w.src.Move("main", id)
				s = w.look()
				if i%40 == 20 {
					w.same(s)
				}
			}
			w.same(s)
			if n := len(packsOf(t, w.dir)); n > maxPacks {
				t.Errorf("%d packs", n)
			}
			for _, id := range []string{"before", mine, stash, ours} {
				git("rev-list", "--objects", id) // fails when something is missing
				git("archive", "-o", os.DevNull, id)
			}
			if got := git("show", mine+":new"); got != "committed by a person" {
				t.Error(got)
			}
			if got := gittest.Git(t, tree, "status", "--porcelain"); got != "A  staged" {
				t.Error(got)
			}
			gittest.Git(t, tree, "commit", "-q", "-m", "staged")
			gittest.Fsck(t, w.dir)
			if persons {
				if _, err := os.Stat(filepath.Join(w.dir, ".git/shallow")); err == nil {
					t.Error("a clone with all history has lost some")
				}
				git("merge-base", "--is-ancestor", "before", "main")
				if got := git("status", "--porcelain", "--branch"); got != "## main...origin/main" {
					t.Error(got)
				}
			}
		})
	}
}

// TestRepackLeavesAlternates: the packs of a repository that a clone borrows from are not ours to repack.
func TestRepackLeavesAlternates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gittest.ServerOptions{})
	w.src.Commit("main", someFiles(30, "start")...)
	other := filepath.Join(t.TempDir(), "other")
	gittest.Git(t, ".", "clone", "-q", w.repo.source.URL, other)
	for i := range 3 {
		w.src.Commit("main", gittest.File("a", fmt.Sprint(i)))
		gittest.Git(t, other, "-c", "fetch.unpackLimit=1", "pull", "-q")
	}
	gittest.Git(t, ".", "clone", "-q", "--shared", other, w.dir)
	gittest.Git(t, w.dir, "remote", "set-url", "origin", w.repo.source.URL)
	before := packsOf(t, other)
	for i := range maxPacks + 5 {
		w.src.Commit("main", gittest.File("b", fmt.Sprint(i)))
		w.look()
	}
	s := w.check()
	if s.Rebuilt != "" || len(packsOf(t, w.dir)) > maxPacks {
		t.Errorf("%+v, %d packs", s, len(packsOf(t, w.dir)))
	}
	if now := packsOf(t, other); !slices.Equal(now, before) {
		t.Errorf("packs of the other repository were %v and are %v", before, now)
	}
	gittest.Fsck(t, other)
}

// TestLooseObjects: repacking takes in the loose objects that a person's branch needs, and removes those that nothing
// needs once they are an hour old.
func TestLooseObjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gittest.ServerOptions{})
	w.src.Commit("main", someFiles(5, "x")...)
	w.check()
	git := func(args ...string) string { t.Helper(); return gittest.Git(t, w.dir, args...) }
	git("checkout", "-q", "-b", "mine")
	w.write("new", "mine")
	git("add", "new")
	git("commit", "-q", "-m", "mine")
	git("checkout", "-q", "main")
	loose := func(text string, age time.Duration) string {
		t.Helper()
		id, err := gittest.TryGit(w.dir, []byte(text), "hash-object", "-w", "--stdin")
		testkit.Must(t, err)
		path := w.path(".git/objects/" + id[:2] + "/" + id[2:])
		at := time.Now().Add(-age)
		testkit.Must(t, os.Chtimes(path, at, at))
		return path
	}
	loose("nobody needs this", 2*time.Hour)
	young := loose("somebody may be about to use this", time.Minute)
	w.src.Commit("main", gittest.File("a", "a"))
	s := w.look()
	id, _ := objects.ParseID(s.Version)
	for range 2 {
		testkit.Must(t, repack(t.Context(), w.path(".git"), id, true, func() {}))
		if got := looseOf(t, w.dir); len(got) != 1 || got[0] != young {
			t.Errorf("loose: %v", got)
		}
		gittest.Fsck(t, w.dir)
	}
	folders, err := filepath.Glob(w.path(".git/objects/[0-9a-f][0-9a-f]"))
	if err != nil || len(folders) != 1 {
		t.Error(folders, err)
	}
	if got := git("show", "mine:new"); got != "mine" {
		t.Error(got)
	}
	w.same(s)
}
