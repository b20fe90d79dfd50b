package clone

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
)

// TestOverlay: the clone came with the lower layer of an overlay, where a folder cannot be renamed. A folder of a
// person's goes aside all the same, and a damaged clone is made anew.
func TestOverlay(t *testing.T) { gittest.OnSmallDisk(t, "size=64m", overlay) }

func overlay(t *testing.T, dir string) {
	at := func(name string) string {
		path := filepath.Join(dir, name)
		testkit.Must(t, os.MkdirAll(path, 0o755))
		return path
	}
	w := newWorld(t, gittest.ServerOptions{})
	w.dir = filepath.Join(at("low"), "clone")
	w.open(w.repo.source, Limits{})
	w.src.Commit("main", append(someFiles(20, "x"), gittest.File("goes", "x"))...)
	w.check()
	w.write("mine/deep/f", "mine")
	testkit.Must(t, os.Symlink("nowhere", w.path("mine/link")))
	gittest.Git(t, w.dir, "tag", "mine")
	testkit.Must(t, syscall.Mount("overlay", at("m"), "overlay", 0, "lowerdir="+at("low")+",upperdir="+at("up")+",workdir="+at("wk")))
	defer func() { testkit.Must(t, syscall.Unmount(at("m"), 0)) }()
	w.dir = filepath.Join(at("m"), "clone")
	w.open(w.repo.source, Limits{})
	aside := func(name string) {
		t.Helper()
		if found, err := filepath.Glob(w.path(".temp/displaced/*/" + name)); err != nil || len(found) != 1 {
			t.Errorf("%s was not set aside: %v %v", name, found, err)
		}
	}
	w.src.Commit("main", gittest.File("mine", "tracked"))
	if s := w.look(); len(s.Notices) != 1 || !strings.Contains(s.Notices[0], "set aside 1 untracked file") {
		t.Errorf("%+v", s)
	}
	aside("mine/deep/f")
	aside("mine/link")
	testkit.Must(t, os.Remove(w.path(".git/HEAD")))
	w.src.Commit("main", gittest.Remove("goes"), gittest.File("d00/e0/file0000.txt", "new"))
	if s := w.look(); s.Rebuilt == "" {
		t.Errorf("%+v", s)
	}
	aside("git/refs/tags/mine")
	w.src.Commit("main", gittest.File("last", "x"))
	if s := w.check(); s.Rebuilt != "" {
		t.Errorf("%+v", s)
	}
}
