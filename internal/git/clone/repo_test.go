package clone

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/pack"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/testkit"
)

// world is a repository, a server in front of it, and our clone of it.
type world struct {
	tb     testing.TB
	src    *gittest.Repo
	server *gittest.Server
	repo   *Repo
	dir    string
}

func newWorld(tb testing.TB, o gittest.ServerOptions) *world {
	tb.Helper()
	src, server := gittest.Remote(tb, o)
	w := &world{tb: tb, src: src, server: server, dir: filepath.Join(tb.TempDir(), "clone")}
	w.open(remote.Source{URL: server.URL + "/r.git", Agent: "addagent/test"}, Limits{})
	return w
}

// open opens the clone anew. Unless a test is about how long an answer may take, it may take as long as it does on a
// busy machine.
func (w *world) open(s remote.Source, l Limits) {
	if l.Look == 0 {
		l.Look = testkit.Patience
	}
	w.repo = New(w.dir, s, l)
	w.tb.Cleanup(func() { _ = w.repo.Close() })
}

func (w *world) look() Applied {
	w.tb.Helper()
	s, err := w.repo.Look(w.tb.Context(), nil)
	if err != nil {
		w.tb.Fatal(err)
	}
	return s
}

// check looks, and compares the result with the source as git sees both.
func (w *world) check() Applied {
	w.tb.Helper()
	s := w.look()
	w.same(s)
	return s
}

func (w *world) same(s Applied) {
	w.tb.Helper()
	tip, tree, _ := strings.Cut(w.src.Git("rev-parse", "refs/heads/"+s.Branch, "refs/heads/"+s.Branch+"^{tree}"), "\n")
	if s.Version != tip {
		w.tb.Fatalf("version is %s, want %s", s.Version, tip)
	}
	if got := gittest.TreeOf(w.tb, w.dir); got != tree {
		w.tb.Fatalf("tree is %s, want %s:\n%s", got, tree, strings.Join(gittest.Files(w.tb, w.dir), "\n"))
	}
	want := "# branch.oid " + tip + "\n# branch.head " + s.Branch
	if got := gittest.Git(w.tb, w.dir, "status", "--porcelain=v2", "--branch", "--untracked-files=no", "--no-ahead-behind"); got != want && !strings.HasPrefix(got, want+"\n# branch.upstream ") || strings.Contains(got, "\n1 ") {
		w.tb.Fatalf("git status:\n%s", got)
	}
	gittest.Fsck(w.tb, w.dir)
	w.noLeftOvers()
}

func (w *world) noLeftOvers() {
	w.tb.Helper()
	for _, pattern := range []string{".git/" + pack.ReceivePrefix + "*", rebuildPrefix + "*", ".git/*.addagent-tmp"} {
		found, err := filepath.Glob(filepath.Join(w.dir, pattern))
		if err != nil {
			w.tb.Fatal(err)
		}
		if len(found) > 0 {
			w.tb.Fatalf("left behind: %v", found)
		}
	}
}

func (w *world) write(name, text string) {
	w.tb.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.tb.Fatal(err)
	}
}

// files makes the changes of a commit that touches n files.
func someFiles(n int, text string) []gittest.Change {
	var all []gittest.Change
	for i := range n {
		all = append(all, gittest.File(fmt.Sprintf("d%02d/e%d/file%04d.txt", i%20, i%3, i), strings.Repeat(fmt.Sprintf("%s %d\n", text, i), 20)))
	}
	return all
}

func TestLookClonesAndFollows(t *testing.T) {
	w := newWorld(t, gittest.ServerOptions{})
	w.src.Commit("main", someFiles(50, "one")...)
	s := w.check()
	if !s.Moved || s.Previous != "" || s.Rebuilt != "" || s.Branch != "main" || s.Files != 50 {
		t.Fatalf("first look: %+v", s)
	}
	first := s.Version
	if s = w.check(); s.Moved || s.Version != first {
		t.Fatalf("second look: %+v", s)
	}
	w.write("untracked/x", "mine")
	w.src.Commit("main", gittest.File("d00/e0/file0000.txt", "changed"), gittest.Remove("d01/e1/file0001.txt"), gittest.File("new", "new"))
	s = w.look()
	if !s.Moved || s.Previous != first || s.Files != 3 || len(s.Notices) != 0 {
		t.Fatalf("after a push: %+v", s)
	}
	if err := os.RemoveAll(filepath.Join(w.dir, "untracked")); err != nil {
		t.Fatal("the untracked file is gone: ", err)
	}
	w.same(s)
	at, ok, err := w.repo.Applied()
	if err != nil || !ok || at != (remote.Tip{Branch: "main", ID: s.Version}) {
		t.Fatalf("applied: %v %v %v", at, ok, err)
	}
	changed, complete, err := w.repo.Changed(first, s.Version, 10)
	if err != nil || !complete || len(changed) != 3 {
		t.Fatalf("changed: %v %v %v", changed, complete, err)
	}
	tree, err := w.repo.Tree(s.Version)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	if b, err := tree.Read("new", 10); err != nil || string(b) != "new" {
		t.Fatalf("read: %q %v", b, err)
	}
}

func TestManySteps(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gittest.ServerOptions{})
	w.src.Commit("main", someFiles(100, "start")...)
	w.src.Git("repack", "-q", "-adb")
	w.check()
	back := w.src.Tip("main")
	for i := range testkit.Rounds(20, 60) {
		switch i % 6 {
		case 0, 1, 2:
			w.src.Commit("main", gittest.File(fmt.Sprintf("d%02d/e0/file%04d.txt", i%20, i), fmt.Sprint("step ", i)))
		case 3:
			old := w.src.Git("rev-parse", "main~2")
			side := w.src.CommitOn("side", []string{old}, gittest.File(fmt.Sprintf("side/%d", i), "side"))
			w.src.CommitOn("main", []string{w.src.Tip("main"), side}, gittest.File(fmt.Sprintf("side/%d", i), "side"))
		case 4:
			w.src.Move("main", "main~1")
		case 5:
			w.src.CommitOn("main", []string{w.src.Git("rev-parse", "main~1")}, gittest.File("amended", fmt.Sprint(i)))
		}
		if i%20 == 10 {
			w.src.Git("repack", "-q", "-adb")
		}
		if i%10 == 9 {
			w.check()
		} else {
			w.look()
		}
	}
	w.src.Move("main", back)
	w.check()
	packs, _ := filepath.Glob(filepath.Join(w.dir, ".git/objects/pack/*.pack"))
	if len(packs) > maxPacks {
		t.Errorf("%d packs", len(packs))
	}
}
