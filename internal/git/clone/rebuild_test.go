package clone

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/git/worktree"
	"github.com/addagent/addagent/internal/testkit"
)

// TestBrokenClones breaks a clone in many ways; the next look repairs it and keeps what is people's.
func TestBrokenClones(t *testing.T) {
	t.Parallel()
	packs := func(w *world, end string) []string {
		found, err := filepath.Glob(filepath.Join(w.dir, ".git/objects/pack/*"+end))
		if err != nil || len(found) == 0 {
			w.tb.Fatal(found, err)
		}
		return found
	}
	remove := func(w *world, paths ...string) {
		for _, p := range paths {
			if err := os.RemoveAll(p); err != nil {
				w.tb.Fatal(err)
			}
		}
	}
	pipe := func(w *world, path string) {
		remove(w, path)
		testkit.Must(w.tb, os.MkdirAll(filepath.Dir(path), 0o755))
		testkit.Must(w.tb, syscall.Mkfifo(path, 0o644))
	}
	git := func(w *world, name string) string { return filepath.Join(w.dir, ".git", name) }
	for name, k := range map[string]struct {
		spoil func(*world)
		push  bool // the damage shows when the tree moves
		same  bool // nothing has to be rebuilt
	}{
		"no HEAD":      {spoil: func(w *world) { remove(w, git(w, "HEAD")) }},
		"bad HEAD":     {spoil: func(w *world) { gittest.WriteFile(w.tb, git(w, "HEAD"), "ref: ../../etc") }},
		"empty HEAD":   {spoil: func(w *world) { gittest.WriteFile(w.tb, git(w, "HEAD"), "") }},
		"no ref":       {spoil: func(w *world) { remove(w, git(w, "refs")) }, same: true},
		"bad ref":      {spoil: func(w *world) { gittest.WriteFile(w.tb, git(w, "refs/heads/main"), "zzz") }},
		"no config":    {spoil: func(w *world) { remove(w, git(w, "config")) }},
		"bad config":   {spoil: func(w *world) { gittest.WriteFile(w.tb, git(w, "config"), "[[[") }},
		"other remote": {spoil: func(w *world) { gittest.Git(w.tb, w.dir, "remote", "set-url", "origin", "http://u:S3CR3T@elsewhere/x") }, same: true},
		"no .git":      {spoil: func(w *world) { remove(w, filepath.Join(w.dir, ".git")) }, same: true},
		".git is a file": {spoil: func(w *world) {
			remove(w, filepath.Join(w.dir, ".git"))
			gittest.WriteFile(w.tb, filepath.Join(w.dir, ".git"), "x")
		}},
		"a pipe for HEAD":           {spoil: func(w *world) { pipe(w, git(w, "HEAD")) }},
		"a pipe for the ref":        {spoil: func(w *world) { pipe(w, git(w, "refs/heads/main")) }},
		"a pipe for the config":     {spoil: func(w *world) { pipe(w, git(w, "config")) }},
		"a pipe for the index":      {spoil: func(w *world) { pipe(w, git(w, "index")) }, push: true, same: true},
		"a pipe for the marker":     {spoil: func(w *world) { pipe(w, git(w, "addagent-move")) }, same: true},
		"a pipe for packed-refs":    {spoil: func(w *world) { pipe(w, git(w, "packed-refs")) }, push: true},
		"a pipe for shallow":        {spoil: func(w *world) { pipe(w, git(w, "shallow")) }, push: true, same: true},
		"a pipe for alternates":     {spoil: func(w *world) { pipe(w, git(w, "objects/info/alternates")) }, push: true},
		"a pipe for a pack":         {spoil: func(w *world) { pipe(w, packs(w, ".pack")[0]) }, push: true},
		"a pipe for a pack's index": {spoil: func(w *world) { pipe(w, packs(w, ".idx")[0]) }, push: true},
		"a pipe for a loose object": {spoil: func(w *world) {
			p := packs(w, ".pack")[0]
			all, err := os.Open(p)
			testkit.Must(w.tb, err)
			defer all.Close()
			remove(w, p, strings.TrimSuffix(p, ".pack")+".idx")
			unpack := exec.Command("git", "-C", w.dir, "unpack-objects", "-q")
			unpack.Stdin = all
			testkit.Must(w.tb, unpack.Run())
			tree := gittest.Git(w.tb, w.dir, "rev-parse", "HEAD^{tree}")
			pipe(w, git(w, "objects/"+tree[:2]+"/"+tree[2:]))
		}, push: true},
		"no index":   {spoil: func(w *world) { remove(w, git(w, "index")) }, push: true, same: true},
		"bad index":  {spoil: func(w *world) { gittest.WriteFile(w.tb, git(w, "index"), "DIRCxxxx") }, push: true, same: true},
		"bad marker": {spoil: func(w *world) { gittest.WriteFile(w.tb, git(w, "addagent-move"), "what?") }, same: true},
		"strange marker": {spoil: func(w *world) {
			gittest.WriteFile(w.tb, git(w, "addagent-move"), strings.Repeat("1", 40)+" "+strings.Repeat("2", 40)+"\n")
		}},
		"bad packed-refs": {spoil: func(w *world) {
			gittest.Git(w.tb, w.dir, "tag", "mine")
			gittest.Git(w.tb, w.dir, "pack-refs", "--all")
			b, err := os.ReadFile(git(w, "packed-refs"))
			if err != nil {
				w.tb.Fatal(err)
			}
			gittest.WriteFile(w.tb, git(w, "packed-refs"), string(b)+"what is this\n")
		}, push: true},
		"no objects":      {spoil: func(w *world) { remove(w, git(w, "objects")) }, push: true},
		"no packs":        {spoil: func(w *world) { remove(w, packs(w, ".pack")...) }, push: true},
		"no pack indexes": {spoil: func(w *world) { remove(w, packs(w, ".idx")...) }, push: true},
		"an index cut by a byte": {spoil: func(w *world) {
			p := packs(w, ".idx")[0]
			info, err := os.Stat(p)
			if err == nil {
				err = os.Truncate(p, info.Size()-1)
			}
			if err != nil {
				w.tb.Fatal(err)
			}
		}, push: true},
		"a folder for an index": {spoil: func(w *world) {
			p := packs(w, ".idx")[0]
			remove(w, p)
			if err := os.Mkdir(p, 0o755); err != nil {
				w.tb.Fatal(err)
			}
		}, push: true},
		"a bit that nothing reads": {spoil: func(w *world) {
			p := packs(w, ".pack")[0]
			b, err := os.ReadFile(p)
			if err != nil {
				w.tb.Fatal(err)
			}
			b[len(b)-21] ^= 1
			remove(w, p)
			gittest.WriteFile(w.tb, p, string(b))
			old := time.Now().Add(-2 * checkEvery)
			gittest.WriteFile(w.tb, git(w, checkedFile), "")
			if err := os.Chtimes(git(w, checkedFile), old, old); err != nil {
				w.tb.Fatal(err)
			}
		}, push: true},
		"empty packs": {spoil: func(w *world) {
			for _, p := range packs(w, ".pack") {
				remove(w, p)
				gittest.WriteFile(w.tb, p, "")
			}
		}, push: true},
		"flipped bits": {spoil: func(w *world) {
			for _, p := range packs(w, ".pack") {
				b, err := os.ReadFile(p)
				if err != nil {
					w.tb.Fatal(err)
				}
				for i := 100; i < len(b); i += 7 {
					b[i] ^= 0x55
				}
				remove(w, p)
				gittest.WriteFile(w.tb, p, string(b))
			}
		}, push: true},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.OneIn(t, 4)
			w := newWorld(t, gittest.ServerOptions{})
			w.src.Commit("main", append(someFiles(40, "x"), gittest.File("goes", "x"))...)
			first := w.check().Version
			w.write("mine/file", "mine")
			w.write(".temp/add/x", "memory")
			w.write("d00/e0/mine", "mine")
			k.spoil(w)
			if k.push {
				w.src.Commit("main", gittest.File("d00/e0/file0000.txt", "new"), gittest.Remove("goes"), gittest.Remove("d01/e1/file0001.txt"))
			}
			s := w.look()
			if (s.Rebuilt == "") != k.same || strings.Contains(s.Rebuilt, "S3CR3T") {
				t.Errorf("%+v", s)
			}
			t.Logf("rebuilt: %q, notices %q", s.Rebuilt, s.Notices)
			if s.Moved != k.push && s.Previous != "" {
				t.Errorf("%+v", s)
			}
			if s.Previous != "" && s.Previous != first {
				t.Errorf("%+v", s)
			}
			for _, mine := range []string{"mine/file", ".temp/add/x", "d00/e0/mine"} {
				if _, err := os.Stat(filepath.Join(w.dir, mine)); err != nil {
					t.Error(err)
				}
			}
			for _, mine := range []string{"mine", "d00/e0/mine", ".temp"} {
				if err := os.RemoveAll(filepath.Join(w.dir, mine)); err != nil {
					t.Fatal(err)
				}
			}
			w.same(s)
			if s := w.check(); s.Moved || s.Rebuilt != "" {
				t.Errorf("again: %+v", s)
			}
			w.src.Commit("main", gittest.File("d00/e0/file0000.txt", "newer"))
			if s := w.check(); !s.Moved || s.Rebuilt != "" {
				t.Errorf("after that: %+v", s)
			}
		})
	}
}

// TestPersonsClone adopts a clone that a person made with git.
func TestPersonsClone(t *testing.T) {
	for name, args := range map[string][]string{"full": nil, "shallow": {"--depth=1"}, "partial": {"--filter=blob:none", "--no-checkout"}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, gittest.ServerOptions{})
			w.src.Git("config", "uploadpack.allowFilter", "true")
			w.src.Commit("main", someFiles(40, "x")...)
			w.src.Commit("main", gittest.File("a", "a"))
			w.src.Commit("other", gittest.File("a", "b"))
			w.src.Git("tag", "v1")
			url := w.repo.source.URL
			gittest.Git(t, ".", append(append([]string{"clone", "-q"}, args...), url, w.dir)...)
			found, err := Discover(w.dir)
			if err != nil || !found.Same(remote.Source{URL: url, Branch: "main"}) {
				t.Fatal(found, err)
			}
			if name != "partial" {
				w.write("d00/e0/file0000.txt", "edited")
			}
			w.write("mine", "mine")
			w.src.Commit("main", gittest.File("b", "b"))
			s := w.look()
			t.Logf("%+v", s)
			if (s.Rebuilt == "") != (name != "partial") {
				t.Errorf("%+v", s)
			}
			if err := os.Remove(filepath.Join(w.dir, "mine")); err != nil {
				t.Error(err)
			}
			if s.Rebuilt != "" {
				aside, err := filepath.Glob(filepath.Join(w.dir, worktree.DisplacedFolder, "*", "git", "HEAD"))
				if err != nil || len(aside) != 1 {
					t.Error("what the person made is gone: ", aside, err)
				}
			}
			w.same(s)
			w.src.Commit("main", gittest.File("c", "c"))
			if s := w.check(); s.Rebuilt != "" {
				t.Errorf("%+v", s)
			}
		})
	}
	if _, err := Discover(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestOtherBranch changes the branch and the remote's HEAD.
func TestOtherBranch(t *testing.T) {
	w := newWorld(t, gittest.ServerOptions{})
	w.src.Commit("main", someFiles(40, "x")...)
	w.check()
	w.src.CommitOn("dev", []string{w.src.Tip("main")}, gittest.File("dev", "x"))
	w.src.Git("symbolic-ref", "HEAD", "refs/heads/dev")
	if s := w.check(); s.Branch != "dev" || !s.Moved {
		t.Errorf("%+v", s)
	}
	w.src.Move("release", "dev")
	s := w.repo.source
	s.Branch = "release"
	w.open(s, Limits{})
	if s := w.check(); s.Branch != "release" || s.Moved || s.Bytes != 0 {
		t.Errorf("%+v", s)
	}
	if out := gittest.Git(t, w.dir, "status", "--short", "--branch"); !strings.HasPrefix(out, "## release") {
		t.Error(out)
	}
}

func TestNoSecretInTheClone(t *testing.T) {
	w := newWorld(t, gittest.ServerOptions{User: "u", Password: "S3CR3T"})
	w.open(remote.Source{URL: strings.Replace(w.repo.source.URL, "://", "://u:S3CR3T@", 1)}, Limits{})
	w.src.Commit("main", gittest.File("a", "a"))
	w.check()
	err := filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), "S3CR3T") {
			t.Errorf("%s holds the password", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if text := w.repo.source.String(); strings.Contains(text, "S3CR3T") {
		t.Error(text)
	}
}

// TestUnsafeTreeIsPassed refuses a commit, stays where it is, and goes on when the next one is good.
func TestUnsafeTreeIsPassed(t *testing.T) {
	for _, cloned := range []bool{true, false} {
		w := newWorld(t, gittest.ServerOptions{})
		good := w.src.Commit("main", gittest.File("a", "a"))
		if cloned {
			w.check()
		}
		blob := w.src.Git("rev-parse", good+":a")
		line, err := gittest.TryGit(w.src.Dir, []byte("100644 blob "+blob+"\t..\n"), "mktree")
		if err != nil {
			t.Fatal(err)
		}
		bad := w.src.Git("commit-tree", "-p", good, "-m", "bad", line)
		w.src.Git("update-ref", "refs/heads/main", bad)
		for range 2 {
			if _, err := w.repo.Look(t.Context(), nil); !errors.Is(err, objects.ErrUnsafe) || !strings.Contains(err.Error(), "..") {
				t.Fatal(err)
			}
		}
		if cloned {
			if at, ok, err := w.repo.Applied(); !ok || err != nil || at.ID != good {
				t.Error(at, ok, err)
			}
		}
		w.src.Git("update-ref", "refs/heads/main", good)
		w.src.Commit("main", gittest.File("b", "b"))
		w.look()
		if err := os.Remove(filepath.Join(w.dir, "b")); err != nil {
			t.Error(err)
		}
	}
}
