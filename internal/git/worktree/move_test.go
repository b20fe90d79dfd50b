package worktree

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/go-git/go-git/v5/plumbing"
)

// checkout is a work tree moved by moveTree alone: its objects are fetched by the git program.
type checkout struct {
	tb    testing.TB
	src   *gittest.Repo
	dir   string
	at    string // commit; "" before the first move
	loose bool   // let git unpack what it fetches
	notes *DirtySet
}

func newCheckout(tb testing.TB) *checkout {
	tb.Helper()
	root := tb.TempDir()
	c := &checkout{tb: tb, src: gittest.New(tb, filepath.Join(root, "src.git")), dir: filepath.Join(root, "tree")}
	gittest.Git(tb, root, "init", "-q", "--initial-branch=main", c.dir)
	return c
}

func (c *checkout) fetch(id string) {
	c.tb.Helper()
	limit := "1"
	if c.loose {
		limit = "10000"
	}
	gittest.Git(c.tb, c.dir, "-c", "fetch.unpackLimit="+limit, "fetch", "-q", "--depth=1", "file://"+c.src.Dir, id)
}

func (c *checkout) tryMove(ctx context.Context, from, to string) (Moved, error) {
	c.tb.Helper()
	return moveAndRecord(ctx, c.dir, plumbing.NewHash(from), plumbing.NewHash(to), Options{Dirty: c.notes})
}

// moveAndRecord moves a tree, and writes what a clone writes then.
func moveAndRecord(ctx context.Context, dir string, from, to plumbing.Hash, o Options) (Moved, error) {
	m, err := Move(ctx, dir, from, to, o)
	if err != nil {
		return m, err
	}
	return m, m.Commit(func(git string) error {
		for name, text := range map[string]string{"HEAD": "ref: refs/heads/main", "refs/heads/main": to.String(), "shallow": to.String()} {
			if err := objects.WriteFile(git, name, []byte(text+"\n")); err != nil {
				return err
			}
		}
		return nil
	})
}

// move fetches a commit, moves to it, and checks the result as git sees it.
func (c *checkout) move(id string) Moved {
	c.tb.Helper()
	c.fetch(id)
	m, err := c.tryMove(c.tb.Context(), c.at, id)
	if err != nil {
		c.tb.Fatal(err)
	}
	c.at = id
	c.check()
	return m
}

// check compares with the source what git reads in the checkout.
func (c *checkout) check(untracked ...string) {
	c.tb.Helper()
	if got := gittest.Git(c.tb, c.dir, "rev-parse", "HEAD"); got != c.at {
		c.tb.Fatalf("HEAD is %s, want %s", got, c.at)
	}
	if got := gittest.Git(c.tb, c.dir, "diff-files"); got != "" { // also shows stat data that is not exactly right
		c.tb.Fatalf("the index does not know these files:\n%s", got)
	}
	if got := gittest.Git(c.tb, c.dir, "status", "--porcelain", "--untracked-files=no"); got != "" {
		c.tb.Fatalf("git status:\n%s", got)
	}
	if got, want := gittest.Git(c.tb, c.dir, "write-tree"), c.src.Git("rev-parse", c.at+"^{tree}"); got != want {
		c.tb.Fatalf("the index is tree %s, want %s", got, want)
	}
	if _, found, err := ReadMarker(c.dir); found || err != nil {
		c.tb.Fatalf("a marker is left: %v %v", found, err)
	}
	gittest.Fsck(c.tb, c.dir)
}

func (c *checkout) path(name string) string { return filepath.Join(c.dir, name) }

func (c *checkout) write(name, text string) {
	c.tb.Helper()
	if err := os.MkdirAll(filepath.Dir(c.path(name)), 0o755); err != nil {
		c.tb.Fatal(err)
	}
	if err := os.WriteFile(c.path(name), []byte(text), 0o644); err != nil {
		c.tb.Fatal(err)
	}
}

func (c *checkout) want(name, text string) {
	c.tb.Helper()
	b, err := os.ReadFile(c.path(name))
	if err != nil || string(b) != text {
		c.tb.Errorf("%s holds %q (%v), want %q", name, b, err, text)
	}
}

func (c *checkout) wantGone(name string) {
	c.tb.Helper()
	if _, err := os.Lstat(c.path(name)); !errors.Is(err, os.ErrNotExist) {
		c.tb.Errorf("%s: %v, want it gone", name, err)
	}
}

// aside returns what was set aside at a path, in any of the stamped folders.
func (c *checkout) aside(name string) string {
	c.tb.Helper()
	all, err := filepath.Glob(c.path(".temp/displaced/*/" + name))
	if err != nil || len(all) != 1 {
		c.tb.Fatalf("set aside %v (%v), want one %s", all, err, name)
	}
	return all[0]
}

func wantNotices(tb testing.TB, m Moved, want ...string) {
	tb.Helper()
	got := slices.Clone(m.Notices)
	for i, n := range got {
		if before, _, ok := strings.Cut(n, " (now in .temp/displaced/"); ok {
			got[i] = before
		}
	}
	if !slices.Equal(got, want) {
		tb.Errorf("notices %q, want %q", got, want)
	}
}

func TestMove(t *testing.T) {
	for _, loose := range []bool{false, true} {
		c := newCheckout(t)
		c.loose = loose
		one := c.src.Commit("main",
			gittest.File("a", "1"), gittest.File("dir/b", "2"), gittest.File("dir/deep/c", "3"),
			gittest.WithMode("run.sh", "#!/bin/sh\n", "100755"), gittest.WithMode("link", "dir/b", "120000"), gittest.File("empty", ""))
		two := c.src.Commit("main",
			gittest.File("a", "1 more"), gittest.Remove("dir/deep"), gittest.WithMode("run.sh", "#!/bin/sh\n", "100644"),
			gittest.WithMode("link", "a", "120000"), gittest.File("dir.c", "x"), gittest.File("dir0", "y"))
		m := c.move(one)
		if m.Files != 6 {
			t.Errorf("wrote %d files, want 6", m.Files)
		}
		wantNotices(t, m)
		c.want("link", "2")
		m = c.move(two)
		if m.Files != 6 {
			t.Errorf("wrote and deleted %d files, want 6", m.Files)
		}
		wantNotices(t, m)
		c.wantGone("dir/deep")
		c.want("link", "1 more")
		if m = c.move(two); m.Files != 0 {
			t.Errorf("wrote %d files for nothing", m.Files)
		}
		if m = c.move(one); m.Files != 6 { // a branch moved back
			t.Errorf("wrote and deleted %d files, want 6", m.Files)
		}
	}
}

// TestUntracked: nothing that a person made is ever deleted.
func TestUntracked(t *testing.T) {
	c := newCheckout(t)
	one := c.src.Commit("main", gittest.File("d/a", "1"), gittest.File("f", "file"), gittest.File(".gitignore", "*.log\n.temp\n"))
	two := c.src.Commit("main", gittest.Remove("d"), gittest.Remove("f"), gittest.File("f/x", "folder"))
	three := c.src.Commit("main", gittest.Remove("f"), gittest.File("f", "file again"), gittest.File("d", "file now"))
	c.move(one)
	c.write("d/mine", "mine")
	c.write("d/mine.log", "ignored")
	c.write("top.log", "ignored")
	c.write(".temp/add/common/work.sh_VERSION", one)
	wantNotices(t, c.move(two))
	c.want("d/mine", "mine")
	c.want("d/mine.log", "ignored")
	c.wantGone("d/a")
	c.write("f/mine", "in the way")
	m := c.move(three)
	wantNotices(t, m, "set aside 2 untracked files in the way: d, f")
	for name, want := range map[string]string{"d/mine": "mine", "d/mine.log": "ignored", "f/mine": "in the way"} {
		if b, err := os.ReadFile(c.aside(name)); err != nil || string(b) != want {
			t.Errorf("%s set aside as %q (%v), want %q", name, b, err, want)
		}
	}
	c.want("top.log", "ignored")
	c.want(".temp/add/common/work.sh_VERSION", one)
	// an unrelated history, as after a forced push
	other := c.src.CommitOn("main", nil, gittest.File("z", "new"))
	c.move(other)
	c.want("top.log", "ignored")
	c.want(".temp/add/common/work.sh_VERSION", one)
	c.wantGone("d")
	c.wantGone("f")
}

// TestInTheWay: an untracked file where a tracked one comes is adopted when it is the same, else set aside.
func TestInTheWay(t *testing.T) {
	c := newCheckout(t)
	one := c.src.Commit("main", gittest.File("a", "1"))
	two := c.src.Commit("main", gittest.File("same", "same"), gittest.File("differs", "theirs"), gittest.File("dir/sub/x", "x"),
		gittest.WithMode("run", "run", "100755"), gittest.WithMode("link", "a", "120000"), gittest.File("pipe", "text"), gittest.File("hollow", "text"))
	c.move(one)
	c.write("same", "same")
	c.write("differs", "mine")
	c.write("dir", "a file where a folder comes")
	c.write("run", "run")
	c.write("link", "a")
	testkit.Must(t, syscall.Mkfifo(c.path("pipe"), 0o600))
	testkit.Must(t, os.MkdirAll(c.path("hollow"), 0o755))
	m := c.move(two)
	wantNotices(t, m, "set aside 4 untracked files in the way: differs, dir, link, pipe")
	if m.Files != 5 { // differs, dir/sub/x, link, pipe, hollow
		t.Errorf("wrote %d files, want 5", m.Files)
	}
	if b, err := os.ReadFile(c.aside("differs")); err != nil || string(b) != "mine" {
		t.Errorf("differs set aside as %q (%v)", b, err)
	}
	if b, err := os.ReadFile(c.aside("dir")); err != nil || string(b) != "a file where a folder comes" {
		t.Errorf("dir set aside as %q (%v)", b, err)
	}
	c.aside("link")
	c.aside("pipe")
}

// TestPutBack: whatever a person did to tracked files, anywhere, is undone when the repository moves.
func TestPutBack(t *testing.T) {
	c := newCheckout(t)
	files := []gittest.Change{gittest.WithMode("x/run", "run\n", "100755"), gittest.WithMode("x/link", "edited", "120000"), gittest.File("moves", "1")}
	for _, name := range []string{"edited", "sized", "deleted", "closed", "made-executable", "touched", "x/y/z/gone1", "x/y/z/gone2",
		"linked/one", "linked/two", "filed/one", "changed", "dropped", "became-folder", "became-link"} {
		files = append(files, gittest.File(name, "content of "+name+"\n"))
	}
	one := c.src.Commit("main", files...)
	two := c.src.Commit("main", gittest.File("moves", "2"), gittest.File("changed", "new content\n"), gittest.Remove("dropped"))
	c.move(one)
	outside := t.TempDir()
	testkit.Must(t, os.WriteFile(filepath.Join(outside, "one"), []byte("outside"), 0o644))
	c.write("edited", "CONTENT of edited\n") // same length
	c.write("sized", "longer than it was, by far\n")
	c.write("changed", "edited, and changed upstream\n")
	c.write("dropped", "edited, and dropped upstream\n")
	c.write("touched", "content of touched\n")
	testkit.Must(t, os.Remove(c.path("deleted")))
	testkit.Must(t, os.Chmod(c.path("closed"), 0o600))
	testkit.Must(t, os.Chmod(c.path("made-executable"), 0o755))
	testkit.Must(t, os.Chmod(c.path("x/run"), 0o644))
	testkit.Must(t, os.Remove(c.path("x/link")))
	testkit.Must(t, os.Symlink("elsewhere", c.path("x/link")))
	testkit.Must(t, os.RemoveAll(c.path("x/y")))
	testkit.Must(t, os.RemoveAll(c.path("linked")))
	testkit.Must(t, os.Symlink(outside, c.path("linked")))
	testkit.Must(t, os.RemoveAll(c.path("filed")))
	c.write("filed", "a file instead of a folder")
	testkit.Must(t, os.Remove(c.path("became-folder")))
	c.write("became-folder/mine", "mine")
	testkit.Must(t, os.Remove(c.path("became-link")))
	testkit.Must(t, os.Symlink("edited", c.path("became-link")))
	m := c.move(two)
	wantNotices(t, m, "put back 16 edited files: dropped, became-folder, became-link, changed, closed, ...",
		"set aside 3 untracked files in the way: became-folder, filed, linked")
	c.want("edited", "content of edited\n")
	c.want("linked/one", "content of linked/one\n")
	c.wantGone("dropped")
	if b, err := os.ReadFile(filepath.Join(outside, "one")); err != nil || string(b) != "outside" {
		t.Errorf("written through a link: %q %v", b, err)
	}
	if all, err := os.ReadDir(outside); err != nil || len(all) != 1 {
		t.Errorf("written through a link: %v %v", all, err)
	}
	if b, err := os.ReadFile(c.aside("became-folder/mine")); err != nil || string(b) != "mine" {
		t.Errorf("set aside %q (%v)", b, err)
	}
	if info, err := os.Stat(c.path("closed")); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("closed: %v %v", info.Mode(), err)
	}
	// all is known again: nothing to hash, nothing to put back
	m = c.move(two)
	if wantNotices(t, m); m.Files != 0 {
		t.Errorf("wrote %d files", m.Files)
	}
}

// TestLinkInsideTheTree: os.Root would follow a link that stays inside; we must not.
func TestLinkInsideTheTree(t *testing.T) {
	c := newCheckout(t)
	one := c.src.Commit("main", gittest.File("a/f", "a's"), gittest.File("a/g", "a's g"), gittest.File("b/x", "b's"))
	two := c.src.Commit("main", gittest.File("a/f", "a's, new"), gittest.Remove("a/g"))
	c.move(one)
	c.write("b/f", "untracked in b")
	c.write("b/g", "untracked in b")
	testkit.Must(t, os.RemoveAll(c.path("a")))
	testkit.Must(t, os.Symlink("b", c.path("a")))
	c.move(two)
	c.want("b/f", "untracked in b")
	c.want("b/g", "untracked in b")
	c.want("a/f", "a's, new")
	if to, err := os.Readlink(c.aside("a")); err != nil || to != "b" {
		t.Errorf("set aside %q %v", to, err)
	}
}

func TestUmask(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	c := newCheckout(t)
	c.move(c.src.Commit("main", gittest.File("d/f", "f"), gittest.WithMode("d/run", "run", "100755"), gittest.WithMode("s", "d", "120000")))
	for name, want := range map[string]os.FileMode{"d": 0o755, "d/f": 0o644, "d/run": 0o755} {
		if info, err := os.Stat(c.path(name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v (%v), want %v", name, info.Mode(), err, want)
		}
	}
}

func TestOddNames(t *testing.T) {
	c := newCheckout(t)
	long, deep := strings.Repeat("n", 255), strings.Repeat("d/", 300)
	names := []string{"sp ace", "tab\t", "new\nline", `quo"te`, `back\slash`, "caf\xe9", "café", "-dash", "a", "a.b/c", "a-b", "a0",
		long, long[:200] + "/" + long[:200], deep + "leaf", "\x01", "~", "$x", "日本/語", ".gitignore", ".temporary", "x/.temp", ".gitx", "git~2"}
	var files []gittest.Change
	for _, n := range names {
		files = append(files, gittest.File(n, n))
	}
	one := c.src.Commit("main", files...)
	c.move(one)
	for _, n := range names {
		c.want(n, n)
	}
	if got, want := gittest.TreeOf(t, c.dir), c.src.Git("rev-parse", one+"^{tree}"); got != want {
		t.Errorf("tree %s, want %s", got, want)
	}
	c.move(c.src.Commit("main", gittest.Remove("d"), gittest.Remove("a.b"), gittest.File("a.b", "file")))
	c.wantGone("d")
}

func TestSubmodulesAndPointers(t *testing.T) {
	c := newCheckout(t)
	pointer := lfsPointer + "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
	id := strings.Repeat("1", 40)
	one := c.src.Commit("main", gittest.WithMode("lib/sub", id, "160000"), gittest.File("big.bin", pointer), gittest.File("a", "1"))
	two := c.src.Commit("main", gittest.File("a", "2"))
	three := c.src.Commit("main", gittest.WithMode("lib/sub", strings.Repeat("2", 40), "160000"))
	four := c.src.Commit("main", gittest.Remove("lib"))
	wantNotices(t, c.move(one), "left 1 submodule as it is: lib/sub", "left 1 Git LFS pointer as it is: big.bin")
	c.want("big.bin", pointer)
	if info, err := os.Stat(c.path("lib/sub")); err != nil || !info.IsDir() {
		t.Errorf("no folder for the submodule: %v", err)
	}
	c.write("lib/sub/mine", "mine")
	wantNotices(t, c.move(two))
	wantNotices(t, c.move(three), "left 1 submodule as it is: lib/sub")
	wantNotices(t, c.move(four), "left 1 submodule as it is: lib/sub")
	c.want("lib/sub/mine", "mine")
	c.move(one)
	testkit.Must(t, os.RemoveAll(c.path("lib")))
	c.move(two)
	if info, err := os.Stat(c.path("lib/sub")); err != nil || !info.IsDir() {
		t.Errorf("the submodule's folder was not put back: %v", err)
	}
}

// TestConversions: what git would convert is written as it is stored, and that is said when the attributes come.
func TestConversions(t *testing.T) {
	c := newCheckout(t)
	said := "content is not converted (eol, ident, encoding, filter), though 1 file asks for it: "
	for attributes, want := range map[string]string{
		"*.bat text eol=crlf\n":                   said,
		"# x\n\n*.c  ident\n":                     said,
		"*.txt working-tree-encoding=UTF-16 text": said,
		"*.key filter=vault\n":                    said,
		"*.bin filter=lfs diff=lfs merge=lfs -text\n* text=auto\n*.sh text eol=lf\n# *.x ident\n": "",
	} {
		to := c.src.Commit("main", gittest.File("win/.gitattributes", attributes), gittest.File("win/a.bat", "$Id$\n"))
		m := c.move(to)
		if got := strings.Join(m.Notices, "; "); got != want && got != want+"win/.gitattributes" {
			t.Errorf("%q: %q, want %q", attributes, got, want)
		}
		c.want("win/a.bat", "$Id$\n")
	}
}
