package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/addagent/addagent/internal/gitrepo"
	"github.com/addagent/addagent/internal/gitrepo/gittest"
)

// TestLinkedClonesAreFound: a clone that was moved to another disk is found through the link in its place; a link to
// another clone here is not a second one, and one that leads nowhere is none.
func TestLinkedClonesAreFound(t *testing.T) {
	src := gittest.New(t, filepath.Join(t.TempDir(), "r.git"))
	src.Commit("main", gittest.File("a", "a"))
	top, disk := t.TempDir(), t.TempDir()
	for _, dir := range []string{filepath.Join(top, "here"), filepath.Join(disk, "big")} {
		gittest.Git(t, ".", "clone", "-q", src.Dir, dir)
	}
	for name, to := range map[string]string{"moved": filepath.Join(disk, "big"), "again": filepath.Join(top, "here"), "gone": filepath.Join(disk, "gone")} {
		if err := os.Symlink(to, filepath.Join(top, name)); err != nil {
			t.Fatal(err)
		}
	}
	c := newClones(top)
	c.renew(nil, true, gitrepo.Limits{}, gitrepo.Network{})
	defer c.close()
	for range 2 {
		looks := c.Ask(t.Context(), func(string) bool { return false })
		if len(looks) != 2 || looks[0].Repo != "here" || looks[1].Repo != "moved" {
			t.Fatalf("%+v", looks)
		}
		for _, l := range looks {
			if l.Trouble != "" || l.Version != src.Tip("main") {
				t.Errorf("%+v", l)
			}
		}
	}
}
