package gitrepo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/gitpack"
	"github.com/addagent/addagent/internal/gitrepo/gittest"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/go-git/go-git/v5/plumbing"
)

var epoch = time.Unix(1_500_000_000, 0)

func TestTree(t *testing.T) {
	src := gittest.New(t, filepath.Join(t.TempDir(), "src.git"))
	tip := src.Commit("main", gittest.File("a", "text"), gittest.File("d/e/f", "deep"), mode("d/run", "run", "100755"),
		mode("d/link", "run", "120000"), mode("sub", strings.Repeat("1", 40), "160000"), gittest.File("d.x", ""))
	released := false
	tr, err := newTree(nil, src.Dir, tip, func() error { released = true; return nil })
	if err != nil {
		src.Git("repack", "-adq") // few objects: they were loose
		tr, err = newTree(nil, src.Dir, tip, func() error { released = true; return nil })
	}
	testkit.Must(t, err)
	for path, of := range map[string]string{"": "", "/": "", ".": "", "a": "a", "d": "d", "d/": "d", "/d/e/": "d/e", "d//e/f": "d/e/f", "sub": "sub", "d/link": "d/link"} {
		got, err := tr.ID(path)
		want := src.Git("rev-parse", tip+":"+of)
		if err != nil || got != want {
			t.Errorf("id of %q: %q %v, want %s", path, got, err, want)
		}
	}
	for _, path := range []string{"nothing", "a/b", "d/e/f/g", "d/link/x", "sub/x", "A"} {
		if got, err := tr.ID(path); err != nil || got != "" {
			t.Errorf("id of %q: %q %v", path, got, err)
		}
	}
	if b, err := tr.Read("d/e/f", 4); err != nil || string(b) != "deep" {
		t.Errorf("read %q %v", b, err)
	}
	if _, err := tr.Read("nothing/here", 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read nothing: %v", err)
	}
	for path, want := range map[string]string{"d/e/f": "longer than 3 bytes", "d": "is no file", "d/link": "symbolic link", "sub": "is no file"} {
		if _, err := tr.Read(path, 3); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("read %s: %v, want %s", path, err, want)
		}
	}
	deep := src.Git("rev-parse", tip+":d/e/f")
	if b, err := tr.Blob(deep, 4); err != nil || string(b) != "deep" {
		t.Errorf("read %q %v", b, err)
	}
	if _, err := tr.Blob(deep, 3); err == nil || !strings.Contains(err.Error(), "longer than 3 bytes") {
		t.Errorf("read a longer one: %v", err)
	}
	for _, id := range []string{"", "x", strings.Repeat("1", 40), src.Git("rev-parse", tip+":d")} {
		if _, err := tr.Blob(id, 100); err == nil {
			t.Errorf("%q was read", id)
		}
	}
	var got []string
	for _, dir := range []string{"", "d/", "d/e", "a", "nothing", "sub", "d/e/f/g"} {
		list, err := tr.List(dir)
		testkit.Must(t, err)
		for _, e := range list {
			got = append(got, fmt.Sprint(dir, ":", e.Name, " ", e.Dir, " ", e.Executable, " ", e.Symlink, " ", len(e.ID)))
		}
	}
	want := []string{":a false false false 40", ":d.x false false false 40", ":d true false false 40", "d/:e true false false 40",
		"d/:link false false true 40", "d/:run false true false 40", "d/e:f false false false 40"}
	if !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	testkit.Must(t, tr.Close())
	if !released {
		t.Error("the store was not released")
	}
	for _, bad := range []string{"", "main", "zz", strings.Repeat("0", 40)} {
		if _, err := newTree(nil, src.Dir, bad, nil); err == nil {
			t.Errorf("a tree of %q", bad)
		}
	}
}

func TestChangedPaths(t *testing.T) {
	c := newCheckout(t)
	one, two := versions(c.src)
	c.fetch(one)
	c.fetch(two)
	s, err := openStore(c.path(".git"))
	testkit.Must(t, err)
	defer s.Close()
	list := func(limit int) ([]string, bool) {
		paths, complete, err := changedPaths(s, c.path(".git"), plumbing.NewHash(one), plumbing.NewHash(two), limit)
		testkit.Must(t, err)
		return paths, complete
	}
	want := strings.Split(c.src.Git("diff-tree", "-r", "--no-renames", "--name-only", one, two), "\n")
	got, complete := list(1000)
	if !complete || !slices.Equal(got, want) {
		t.Errorf("changed %q, want %q", got, want)
	}
	if got, complete = list(3); complete || !slices.Equal(got, want[:3]) {
		t.Errorf("changed %q %v, want %q", got, complete, want[:3])
	}
	if got, complete = list(len(want)); !complete || len(got) != len(want) {
		t.Errorf("changed %q %v", got, complete)
	}
	if _, _, err := changedPaths(s, c.path(".git"), plumbing.NewHash(strings.Repeat("1", 40)), plumbing.NewHash(two), 10); !errors.Is(err, gitpack.ErrMissing) {
		t.Errorf("an unknown version: %v", err)
	}
}

// TestNewObjects: after a rebuild the commit that the tree is at is unknown, and the index alone says what was tracked.
func TestNewObjects(t *testing.T) {
	for _, index := range []string{"kept", "lost", "by a person"} {
		c := newCheckout(t)
		one, two := versions(c.src)
		c.move(one)
		c.write("gone/a/mine", "mine")
		c.write("stays", "edited")
		testkit.Must(t, os.Remove(c.path("many/04/f")))
		switch index {
		case "lost":
			testkit.Must(t, os.Remove(c.path(".git/index")))
		case "by a person":
			c.write("added", "added")
			gittest.Git(t, c.dir, "add", "added", "stays")
		}
		testkit.Must(t, os.RemoveAll(c.path(".git/objects")))
		testkit.Must(t, os.MkdirAll(c.path(".git/objects/pack"), 0o755))
		testkit.Must(t, os.Remove(c.path(".git/shallow")))
		gittest.Git(t, c.dir, "update-ref", "-d", "refs/heads/main")
		testkit.Must(t, os.RemoveAll(c.path(".git/logs")))
		c.fetch(two)
		m, err := c.tryMove(t.Context(), "", two)
		testkit.Must(t, err)
		c.at = two
		c.check()
		c.want("gone/a/mine", "mine")
		c.want("stays", "stays")
		if index == "kept" {
			wantNotices(t, m, "put back 2 edited files: many/04/f, stays")
			if got, want := tree(t, c.dir, "gone/a/mine"), c.src.Git("rev-parse", two+"^{tree}"); got != want {
				t.Errorf("tree %s, want %s", got, want)
			}
			continue
		}
		// Nothing says what was tracked: all that is not as it should be is kept.
		if b, err := os.ReadFile(c.aside("stays")); err != nil || string(b) != "edited" {
			t.Errorf("set aside %q %v", b, err)
		}
		c.want("gone/a/b/c", "c")
		if index == "by a person" {
			c.want("added", "added")
		}
	}
}

// TestForeignIndex: what a person does with git in the clone is undone, and nothing of it deleted.
func TestForeignIndex(t *testing.T) {
	c := newCheckout(t)
	one, two := versions(c.src)
	c.move(one)
	c.write("stays", "edited")
	c.write("added", "added")
	gittest.Git(t, c.dir, "add", "-A")
	gittest.Git(t, c.dir, "update-index", "--assume-unchanged", "run")
	m := c.move(two)
	wantNotices(t, m, "put back 1 edited file: stays")
	c.want("added", "added")
	// a quiet look of a person, after touching files: the same tree, another index
	testkit.Must(t, os.Chtimes(c.path("stays"), epoch, epoch))
	gittest.Git(t, c.dir, "status")
	c.write("run", "edited")
	gittest.Git(t, c.dir, "update-index", "--assume-unchanged", "run")
	wantNotices(t, c.move(two), "put back 1 edited file: run")
	if err := verify(c, two); err != nil {
		t.Error(err)
	}
	testkit.Must(t, os.Remove(c.path(".git/index")))
	testkit.Must(t, os.Mkdir(c.path(".git/index"), 0o755))
	m, err := c.tryMove(t.Context(), two, one) // git itself can do nothing with such an index
	testkit.Must(t, err)
	wantNotices(t, m)
	c.at = one
	c.check()
	c.want("added", "added")
}

func verify(c *checkout, at string) error {
	s, err := openStore(c.path(".git"))
	testkit.Must(c.tb, err)
	defer s.Close()
	// an edit that lstat cannot see
	before, err := os.Stat(c.path("stays"))
	testkit.Must(c.tb, err)
	testkit.Must(c.tb, os.WriteFile(c.path("stays"), []byte("STAYS"), 0o644))
	testkit.Must(c.tb, os.Chtimes(c.path("stays"), before.ModTime(), before.ModTime()))
	m, err := verifyTree(c.tb.Context(), s, c.dir, plumbing.NewHash(at), func() {})
	if err != nil {
		return err
	}
	wantNotices(c.tb, m, "put back 1 edited file: stays")
	c.want("stays", "stays")
	return commitMove(c.dir, "main", plumbing.NewHash(at))
}
