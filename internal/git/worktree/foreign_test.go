package worktree

import (
	"os"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/go-git/go-git/v5/plumbing"
)

// TestNewObjects: after a rebuild the commit that the tree is at is unknown, and the index alone says what was
// tracked.
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
			if got, want := gittest.TreeOf(t, c.dir, "gone/a/mine"), c.src.Git("rev-parse", two+"^{tree}"); got != want {
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
	testkit.Must(t, os.Chtimes(c.path("stays"), time.Unix(1_500_000_000, 0), time.Unix(1_500_000_000, 0)))
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
	// an edit that lstat cannot see
	before, err := os.Stat(c.path("stays"))
	testkit.Must(c.tb, err)
	testkit.Must(c.tb, os.WriteFile(c.path("stays"), []byte("STAYS"), 0o644))
	testkit.Must(c.tb, os.Chtimes(c.path("stays"), before.ModTime(), before.ModTime()))
	m, err := moveAndRecord(c.tb.Context(), c.dir, plumbing.NewHash(at), plumbing.NewHash(at), Options{Verify: true})
	wantNotices(c.tb, m, "put back 1 edited file: stays")
	c.want("stays", "stays")
	return err
}
