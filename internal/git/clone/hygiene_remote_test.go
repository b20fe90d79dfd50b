package clone

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/testkit"
)

// TestSwitchedRemote switches the URL in the config to the same history elsewhere, to another history and to a
// repository that has nothing to do with it, there and back; and the branch with it.
func TestSwitchedRemote(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gittest.ServerOptions{})
	w.src.Commit("main", someFiles(30, "x")...)
	w.src.Commit("main", gittest.File("second", "x"))
	w.src.CommitOn("release", []string{w.src.Tip("main")}, gittest.File("release", "x"))
	root := filepath.Dir(w.src.Dir)
	gittest.Git(t, root, "clone", "-q", "--mirror", w.src.Dir, "mirror.git")
	rewritten := gittest.New(t, filepath.Join(root, "rewritten.git"))
	rewritten.Commit("main", append(someFiles(30, "x"), gittest.File("other", "history"))...)
	unrelated := gittest.New(t, filepath.Join(root, "unrelated.git"))
	unrelated.Commit("trunk", gittest.File("nothing", "in common"))
	unrelated.Git("symbolic-ref", "HEAD", "refs/heads/trunk")
	mirror := *w.src
	mirror.Dir = filepath.Join(root, "mirror.git")
	mirror.Git("config", "uploadpack.allowAnySHA1InWant", "true")
	first := w.check()
	w.write(".temp/add/x", "memory")
	w.write("mine", "mine")
	all := map[string]*gittest.Repo{"r": w.src, "mirror": &mirror, "rewritten": rewritten, "unrelated": unrelated}
	at, branch := "r", "main"
	for i, to := range []string{"mirror", "r", "rewritten", "r", "unrelated", "rewritten", "r release", "mirror main", "unrelated", "r"} {
		name, want, _ := strings.Cut(to, " ")
		url := w.server.URL + "/" + name + ".git"
		w.src = all[name]
		w.open(remote.Source{URL: url, Branch: want, Rewind: "follow"}, Limits{})
		if _, ok, err := w.repo.Applied(); ok || err != nil {
			t.Error("a clone of another remote is taken for this one: ", err)
		}
		s := w.look()
		same := at != name && (at == "r" || at == "mirror") && (name == "r" || name == "mirror") && branch == s.Branch
		if s.Rebuilt != "" || s.Moved == same || same && s.Bytes > 0 {
			t.Errorf("%d: from %s to %s: %+v", i, at, to, s)
		}
		if n := strings.Join(s.Notices, "; "); !strings.Contains(n, "its remote was ") || !strings.Contains(n, "now it is "+url) {
			t.Errorf("%d: %q", i, n)
		}
		testkit.Must(t, os.Remove(w.path("mine")))
		w.same(s)
		w.write("mine", "mine")
		if s := w.look(); s.Moved || len(s.Notices) > 0 {
			t.Errorf("%d: again: %+v", i, s)
		}
		at, branch = name, s.Branch
	}
	if at, ok, err := w.repo.Applied(); !ok || err != nil || at.ID != first.Version {
		t.Error(at, ok, err)
	}
	if _, err := os.Stat(w.path(".temp/add/x")); err != nil {
		t.Error(err)
	}
}

// TestRemoteGoesAway empties, deletes, replaces and damages a remote. What was last good stays, and the trouble says
// what happened and what to do. Once the remote is repaired, the clone recovers.
func TestRemoteGoesAway(t *testing.T) {
	t.Parallel()
	for _, local := range []bool{false, true} {
		w := newWorld(t, gittest.ServerOptions{})
		if local {
			w.open(remote.Source{URL: w.src.Dir}, Limits{})
		}
		w.src.Commit("main", someFiles(20, "x")...)
		good := w.check()
		trouble := func(want ...string) {
			t.Helper()
			for range 2 {
				_, err := w.repo.Look(t.Context(), nil)
				for _, text := range want {
					if err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "\n") {
						t.Errorf("local %v: %q is not in: %v", local, text, err)
					}
				}
			}
			if at, ok, err := w.repo.Applied(); !ok || err != nil || at.ID != good.Version {
				t.Error(at, ok, err)
			}
			gittest.Fsck(t, w.dir)
			w.noLeftOvers()
			if out := gittest.Git(t, w.dir, "status", "--porcelain"); out != "" {
				t.Error(out)
			}
		}
		stays := "the tree stays at " + human.ID(good.Version) + " of main"
		// All branches deleted, and one pushed again.
		w.src.Git("update-ref", "-d", "refs/heads/main")
		trouble("the remote repository is empty: push a first commit", stays)
		w.src.Move("main", good.Version)
		if s := w.check(); s.Moved {
			t.Errorf("%+v", s)
		}
		// HEAD names another branch from now on; later the old one is deleted and made anew.
		w.src.Git("branch", "-m", "main", "trunk")
		if s := w.check(); s.Branch != "trunk" || s.Moved {
			t.Errorf("%+v", s)
		}
		if out := gittest.Git(t, w.dir, "config", "remote.origin.fetch"); out != "+refs/heads/trunk:refs/remotes/origin/trunk" {
			t.Error(out)
		}
		w.src.Git("branch", "-m", "trunk", "main")
		w.check()
		s := w.repo.source
		s.Branch = "main"
		w.open(s, Limits{})
		w.src.Git("branch", "-m", "main", "other")
		trouble(`branch "main" is not there; the remote has other: push it, or set branch`, stays)
		w.src.Commit("main", gittest.File("anew", "x"))
		good = w.check()
		stays = "the tree stays at " + human.ID(good.Version) + " of main"
		// Deleted, and another repository under the same address.
		away := w.src.Dir + ".away"
		testkit.Must(t, os.Rename(w.src.Dir, away))
		if local {
			trouble("no such file or directory", stays)
		} else {
			trouble("404", "check url", stays)
		}
		replaced := gittest.New(t, w.src.Dir)
		replaced.Commit("main", gittest.File("another", "x"))
		replaced.Commit("main", gittest.File("another", "y"))
		if s := w.check(); !s.Moved || s.Rebuilt != "" || len(s.Notices) != 1 || !strings.Contains(s.Notices[0], "history was rewritten") {
			t.Errorf("%+v", s)
		}
		testkit.Must(t, os.RemoveAll(w.src.Dir))
		testkit.Must(t, os.Rename(away, w.src.Dir))
		if s := w.check(); !s.Moved || s.Rebuilt != "" {
			t.Errorf("%+v", s)
		}
		// Damaged: an object of the new commit is gone from the remote.
		id := w.src.Commit("main", gittest.File("lost", "lost"), gittest.File("d00/e0/file0000.txt", "new"))
		blob := w.src.Git("rev-parse", id+":lost")
		w.src.Git("repack", "-q", "-ad")
		pack, err := filepath.Glob(filepath.Join(w.src.Dir, "objects/pack/*.pack"))
		testkit.Must(t, err)
		data, err := os.ReadFile(pack[0])
		testkit.Must(t, err)
		testkit.Must(t, os.RemoveAll(filepath.Join(w.src.Dir, "objects/pack")))
		_, err = gittest.TryGit(w.src.Dir, data, "unpack-objects", "-q")
		testkit.Must(t, err)
		lost := filepath.Join(w.src.Dir, "objects", blob[:2], blob[2:])
		testkit.Must(t, os.Rename(lost, lost+".away"))
		trouble("possible repository corruption on the remote side")
		testkit.Must(t, os.Rename(lost+".away", lost))
		if s := w.check(); !s.Moved || s.Rebuilt != "" {
			t.Errorf("%+v", s)
		}
	}
}

// TestPersonsCloneOfAPath: a person's clone of a repository on this machine keeps all its history.
func TestPersonsCloneOfAPath(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gittest.ServerOptions{})
	w.src.History("main", 5, func(i int) []gittest.Change { return []gittest.Change{gittest.File("a", fmt.Sprint(i))} })
	gittest.Git(t, ".", "clone", "-q", w.src.Dir, w.dir)
	w.open(remote.Source{URL: w.src.Dir}, Limits{})
	for i := range 4 {
		side := w.src.CommitOn("side", []string{w.src.Git("rev-parse", "main~2")}, gittest.File("side", fmt.Sprint(i)))
		w.src.CommitOn("main", []string{w.src.Tip("main"), side}, gittest.File("side", fmt.Sprint(i)))
		w.src.Commit("main", gittest.File("b/c", fmt.Sprint(i)))
		if s := w.check(); s.Rebuilt != "" || len(s.Notices) > 0 {
			t.Errorf("%+v", s)
		}
	}
	if got, want := gittest.Git(t, w.dir, "rev-list", "--count", "main"), w.src.Git("rev-list", "--count", "main"); got != want {
		t.Errorf("%s commits, want %s", got, want)
	}
	if got := gittest.Git(t, w.dir, "status", "--porcelain", "--branch"); got != "## main...origin/main" {
		t.Error(got)
	}
}

// TestPersonHelpsHimself: a person pulls, and then fetches all history, in a clone of ours. Neither is put back, and
// the history is his from then on.
func TestPersonHelpsHimself(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gittest.ServerOptions{})
	w.src.History("main", 5, func(i int) []gittest.Change { return []gittest.Change{gittest.File("a", fmt.Sprint(i))} })
	w.check()
	next := func(what string) {
		t.Helper()
		w.src.Commit("main", gittest.File(what, "x"))
		if s := w.check(); len(s.Notices) > 0 || s.Rebuilt != "" {
			t.Errorf("after %s: %+v", what, s)
		}
	}
	w.src.Commit("main", gittest.File("pulled", "x"))
	gittest.Git(t, w.dir, "pull", "-q", "origin", "main")
	if s := w.check(); s.Moved {
		t.Errorf("%+v", s)
	}
	next("pull")
	gittest.Git(t, w.dir, "fetch", "-q", "--unshallow", "origin")
	next("unshallow")
	next("again")
	if got, want := gittest.Git(t, w.dir, "rev-list", "--count", "main"), w.src.Git("rev-list", "--count", "main"); got != want {
		t.Errorf("%s commits, want %s", got, want)
	}
}
