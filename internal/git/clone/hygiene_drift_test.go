package clone

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/pack"
	"github.com/addagent/addagent/internal/git/worktree"
	"github.com/addagent/addagent/internal/testkit"
)

// TestDrift changes by hand what is the agent's. The next move repairs it, reports that, and keeps what is people's.
// What the agent itself cannot read, and a branch that was moved, is repaired at the next look.
func TestDrift(t *testing.T) {
	t.Parallel()
	const first = "d00/e0/file0000.txt"
	for name, k := range map[string]struct {
		do     func(w *world)
		look   bool   // repaired without a push
		notice string // in it
	}{
		"edited":          {do: func(w *world) { w.write(first, "edited") }, notice: "put back 1 edited file"},
		"deleted":         {do: func(w *world) { testkit.Must(w.tb, os.Remove(w.path(first))) }, notice: "put back 1 edited file"},
		"mode":            {do: func(w *world) { testkit.Must(w.tb, os.Chmod(w.path(first), 0o755)) }, notice: "put back 1 edited file"},
		"became a folder": {do: func(w *world) { testkit.Must(w.tb, os.Remove(w.path(first))); w.write(first+"/mine", "x") }, notice: "set aside 1 untracked file"},
		"became a symlink": {do: func(w *world) {
			testkit.Must(w.tb, os.Remove(w.path(first)))
			testkit.Must(w.tb, os.Symlink("/etc/passwd", w.path(first)))
		}, notice: "put back 1 edited file"},
		"its folder became a symlink": {do: func(w *world) {
			testkit.Must(w.tb, os.Rename(w.path("d00"), w.path("moved-away")))
			testkit.Must(w.tb, os.Symlink("moved-away", w.path("d00")))
		}, notice: "set aside"},
		"HEAD on another branch": {do: func(w *world) {
			testkit.Must(w.tb, os.WriteFile(w.path(".git/HEAD"), []byte("ref: refs/heads/nothing\n"), 0o644))
		}, look: true, notice: "the branch was moved by hand"},
		"HEAD detached": {do: func(w *world) { gittest.Git(w.tb, w.dir, "checkout", "-q", "--detach") }, look: true},
		"branch deleted": {do: func(w *world) { testkit.Must(w.tb, os.Remove(w.path(".git/refs/heads/main"))) }, look: true,
			notice: "the branch was moved by hand"},
		"branch wrong": {do: func(w *world) {
			testkit.Must(w.tb, os.WriteFile(w.path(".git/refs/heads/main"), []byte(strings.Repeat("7", 40)+"\n"), 0o644))
		}, look: true, notice: "the branch was moved by hand"},
		"index deleted": {do: func(w *world) { testkit.Must(w.tb, os.Remove(w.path(".git/index"))) }},
		"index corrupt": {do: func(w *world) { testkit.Must(w.tb, os.WriteFile(w.path(".git/index"), []byte("DIRC????"), 0o644)) }},
		"URL edited":    {do: func(w *world) { gittest.Git(w.tb, w.dir, "remote", "set-url", "origin", "https://elsewhere.example/x") }, look: true, notice: "its remote was https://elsewhere.example/x"},
		"shallow gone":  {do: func(w *world) { testkit.Must(w.tb, os.Remove(w.path(".git/shallow"))) }, notice: "put back .git/shallow"},
		"shallow rubbish": {do: func(w *world) { testkit.Must(w.tb, os.WriteFile(w.path(".git/shallow"), []byte("?\x00\n"), 0o644)) },
			notice: "put back .git/shallow"},
		".temp is a file": {do: func(w *world) {
			testkit.Must(w.tb, os.Rename(w.path(".temp"), w.path("keep")))
			testkit.Must(w.tb, os.WriteFile(w.path(".temp"), []byte("mine"), 0o644))
		}, look: true, notice: "put back the folder .temp"},
		"excludes gone": {do: func(w *world) { testkit.Must(w.tb, os.Remove(w.path(".git/info/exclude"))) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, gittest.ServerOptions{})
			w.src.Commit("main", someFiles(20, "x")...)
			w.look()
			w.src.Commit("main", gittest.File("second", "x"))
			before := w.check()
			w.write("mine/file", "mine")
			w.write(".temp/add/x", "memory")
			k.do(w)
			var s Applied
			if k.look {
				if s = w.look(); s.Moved || s.Version != before.Version {
					t.Errorf("nothing was pushed: %+v", s)
				}
			} else {
				w.src.Commit("main", gittest.File("pushed", "x"))
				if s = w.look(); !s.Moved || s.Previous != before.Version {
					t.Errorf("%+v", s)
				}
			}
			about := slices.DeleteFunc(slices.Clone(s.Notices), func(n string) bool { return !strings.Contains(n, k.notice) })
			if k.notice == "" && len(s.Notices) > 0 || k.notice != "" && len(about) != 1 || len(s.Notices) > 1 && !strings.HasPrefix(k.notice, "set aside") || s.Rebuilt != "" {
				t.Errorf("%+v, want one notice with %q", s, k.notice)
			}
			for _, mine := range []string{"mine/file", ".temp/add/x"} {
				if _, err := os.Stat(w.path(mine)); err != nil && name != ".temp is a file" {
					t.Error(err)
				}
			}
			status := gittest.Git(t, w.dir, "status", "--porcelain")
			for _, own := range []string{"?? mine/", "?? moved-away/", "?? keep/"} {
				status = strings.TrimSpace(strings.Replace(status, own, "", 1))
			}
			if status != "" {
				t.Errorf("git status: %s", status)
			}
			for _, own := range []string{"mine", "moved-away", "keep"} {
				testkit.Must(t, os.RemoveAll(w.path(own)))
			}
			w.same(s)
			w.src.Commit("main", gittest.File("after", "x"))
			if s := w.check(); len(s.Notices) > 0 || s.Rebuilt != "" {
				t.Errorf("after that: %+v", s)
			}
		})
	}
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// TestLeftOvers puts into a clone what killed programs leave. What is a day old goes, what is younger may be in use.
func TestLeftOvers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gittest.ServerOptions{})
	w.src.Commit("main", someFiles(5, "x")...)
	w.check()
	left := []string{".git/objects/pack/tmp_pack_abc", ".git/objects/pack/tmp_idx_abc", ".git/objects/pack/.tmp-12-pack-abc.pack",
		".git/index.lock", ".git/refs/heads/main.lock", ".git/shallow.lock", ".git/packed-refs.lock", ".git/objects/tmp_objdir-incoming-x/y",
		".git/objects/pack/pack-" + strings.Repeat("a", 40) + ".pack", ".git/gc.pid"}
	old := time.Now().Add(-24 * time.Hour)
	for _, name := range left {
		for _, age := range []string{"", "-young"} {
			if path := strings.Replace(name, "pack-a", "pack"+age+"-a", 1); path != name {
				w.write(path, "half")
			} else if age == "" {
				w.write(name, "half")
			}
		}
	}
	w.write(".git/HEAD.lock", "a program is about to move HEAD")
	w.write(".git/objects/pack/tmp_pack_young", "coming in")
	for _, name := range left {
		testkit.Must(t, os.Chtimes(w.path(name), old, old))
		testkit.Must(t, os.Chtimes(filepath.Dir(w.path(name)), old, old))
	}
	w.write(".git/"+pack.ReceivePrefix+"x/pack", "half")
	w.write(rebuildPrefix+"1/HEAD", "half a clone")
	w.src.Commit("main", gittest.File("a", "a"))
	w.look()
	for _, name := range left {
		if _, err := os.Lstat(w.path(name)); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
	for _, name := range []string{".git/HEAD.lock", ".git/objects/pack/tmp_pack_young"} {
		if err := os.Remove(w.path(name)); err != nil {
			t.Errorf("it was in use: %v", err)
		}
	}
	w.src.Commit("main", gittest.File("a", "b"))
	w.check()
}

// TestReplacedCloneIsNotLost: a process is killed after the clone that a person made was replaced, and before it was
// set aside.
func TestReplacedCloneIsNotLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gittest.ServerOptions{})
	w.src.Commit("main", someFiles(5, "x")...)
	gittest.Git(t, ".", "clone", "-q", w.repo.source.URL, w.path(".git.was"))
	testkit.Must(t, os.Rename(w.path(".git.was/.git"), w.path(rebuildPrefix+"7")))
	testkit.Must(t, os.RemoveAll(w.path(".git.was")))
	s := w.look()
	aside, err := filepath.Glob(w.path(worktree.DisplacedFolder + "/*/git/refs"))
	if err != nil || len(aside) != 1 {
		t.Fatal(aside, err)
	}
	w.same(s)
}

// TestRefusedTreesLeaveNothing: objects of a tree that is refused are thrown away, and not fetched again at each beat.
func TestRefusedTreesLeaveNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gittest.ServerOptions{})
	good := w.src.Commit("main", gittest.File("a", "a"))
	w.check()
	blob := w.src.Git("rev-parse", good+":a")
	for i := range 3 {
		line, err := gittest.TryGit(w.src.Dir, []byte("100644 blob "+blob+"\t..\n100644 blob "+blob+"\tf"+string(rune('a'+i))+"\n"), "mktree")
		testkit.Must(t, err)
		w.src.Git("update-ref", "refs/heads/main", w.src.Git("commit-tree", "-p", good, "-m", "bad", line))
		for range 3 {
			before := w.server.Requests.Load()
			_, err := w.repo.Look(t.Context(), nil)
			if !errors.Is(err, objects.ErrUnsafe) {
				t.Fatal(err)
			}
			if n := w.server.Requests.Load() - before; n > 2 {
				t.Errorf("%d requests", n)
			}
		}
	}
	before := w.server.Requests.Load()
	if _, err := w.repo.Look(t.Context(), nil); !errors.Is(err, objects.ErrUnsafe) || w.server.Requests.Load()-before != 1 {
		t.Error("a refused commit was fetched again: ", err)
	}
	if n := len(packsOf(t, w.dir)); n != 1 {
		t.Errorf("%d packs", n)
	}
	if out := gittest.Git(t, w.dir, "fsck", "--full"); out != "" {
		t.Error(out)
	}
}

// TestLinkedFolder works a clone that was moved to another disk, with a link in its place.
func TestLinkedFolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gittest.ServerOptions{})
	w.src.Commit("main", someFiles(5, "x")...)
	w.check()
	other := filepath.Join(t.TempDir(), "data", "ops")
	testkit.Must(t, os.MkdirAll(filepath.Dir(other), 0o755))
	testkit.Must(t, os.Rename(w.dir, other))
	testkit.Must(t, os.Symlink(other, w.dir))
	w.src.Commit("main", gittest.File("a", "a"))
	w.check()
	testkit.Must(t, os.RemoveAll(filepath.Join(other, ".git")))
	w.src.Commit("main", gittest.File("a", "b"))
	w.check()
	if info, err := os.Lstat(w.dir); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Error(info, err)
	}
	testkit.Must(t, os.Rename(other, other+".unmounted"))
	_, err := w.repo.Look(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "is a symbolic link to "+other) || !strings.Contains(err.Error(), "is its disk mounted?") {
		t.Error(err)
	}
	if _, err := os.Lstat(other); err == nil {
		t.Error("something was made where the disk belongs")
	}
	testkit.Must(t, os.Rename(other+".unmounted", other))
	w.src.Commit("main", gittest.File("a", "c"))
	w.check()
}
