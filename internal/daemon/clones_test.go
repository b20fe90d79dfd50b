package daemon

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/clone"
	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
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
	c.renew(nil, true, clone.Limits{}, remote.Network{})
	defer c.Close()
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

func TestARenewedConfigReachesAllRepositories(t *testing.T) {
	c := newClones(t.TempDir())
	defer c.Close()
	all := []configuredRepo{{"a", remote.Source{URL: "/a"}}, {"b", remote.Source{URL: "/b"}}, {"c", remote.Source{URL: "/c"}}}
	repos := func() (all []*clone.Repo) {
		for _, r := range c.list {
			all = append(all, r.repo)
		}
		return all
	}
	c.renew(all, false, clone.Limits{Look: time.Second}, remote.Network{})
	first := repos()
	c.renew([]configuredRepo{all[2], all[0]}, false, clone.Limits{Look: time.Second}, remote.Network{})
	if got := repos(); len(got) != 2 || got[0] != first[2] || got[1] != first[0] {
		t.Error("what stays as it was is not made anew")
	}
	c.renew(all, false, clone.Limits{Look: time.Minute}, remote.Network{})
	for i, r := range repos() {
		if r == first[i] {
			t.Errorf("%s keeps its old limits", all[i].name)
		}
	}
}
