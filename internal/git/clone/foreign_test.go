package clone

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/testkit"
)

// TestForeignClones: clones of a format that the agent does not read, and what is no clone, say what they are. One of
// a configured repository is made anew.
func TestForeignClones(t *testing.T) {
	w := newLocal(t)
	w.src.Commit("main", gittest.File("a", "x"))
	foreign := func(name string, extensions ...string) string {
		dir := filepath.Join(t.TempDir(), "clone")
		gittest.Git(t, filepath.Dir(dir), "clone", "-q", w.src.Dir, dir)
		config := filepath.Join(dir, ".git", "config")
		gittest.WriteFile(t, config, gittest.ReadFile(t, config)+"[extensions]\n\t"+strings.Join(extensions, "\n\t")+"\n")
		if name == "reftable" {
			gittest.WriteFile(t, filepath.Join(dir, ".git", "HEAD"), "ref: refs/heads/.invalid\n")
		}
		return dir
	}
	says := func(dir, want string) {
		t.Helper()
		if _, err := Discover(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	says(foreign("sha256", "objectFormat = sha256"), "names objects by sha256")
	table := foreign("reftable", "refStorage = reftable")
	says(table, "keeps its refs as reftable")
	work := filepath.Join(t.TempDir(), "work")
	testkit.Must(t, os.Mkdir(work, 0o755))
	gittest.WriteFile(t, filepath.Join(work, ".git"), "gitdir: /elsewhere\n")
	says(work, "its .git is a file")

	r := New(table, remote.Source{URL: w.src.Dir, Branch: "main"}, Limits{})
	t.Cleanup(func() { _ = r.Close() })
	s, err := r.Look(t.Context(), nil)
	if err != nil || !strings.Contains(s.Rebuilt, "reftable") {
		t.Errorf("%+v %v", s, err)
	}
	if _, err := Discover(table); err != nil {
		t.Error(err)
	}
}
