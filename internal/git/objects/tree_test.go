package objects

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/pack"
	"github.com/addagent/addagent/internal/testkit"
)

func TestTree(t *testing.T) {
	src := gittest.New(t, filepath.Join(t.TempDir(), "src.git"))
	tip := src.Commit("main", gittest.File("a", "text"), gittest.File("d/e/f", "deep"), gittest.WithMode("d/run", "run", "100755"),
		gittest.WithMode("d/link", "run", "120000"), gittest.WithMode("sub", strings.Repeat("1", 40), "160000"), gittest.File("d.x", ""))
	tr, err := OpenTree(tip, src.Dir)
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
	for _, bad := range []string{"", "main", "zz", strings.Repeat("0", 40)} {
		if _, err := OpenTree(bad, src.Dir); err == nil {
			t.Errorf("a tree of %q", bad)
		}
	}
}

func TestChangedPaths(t *testing.T) {
	src := gittest.New(t, filepath.Join(t.TempDir(), "src.git"))
	one := src.Commit("main", gittest.File("file-to-folder", "1"), gittest.File("folder-to-file/x/y", "1"), gittest.File("gone/a", "1"),
		gittest.File("stays", "1"), gittest.WithMode("run", "1", "100755"), gittest.WithMode("link", "stays", "120000"))
	two := src.Commit("main", gittest.Remove("file-to-folder"), gittest.File("file-to-folder/x", "2"), gittest.Remove("folder-to-file"),
		gittest.File("folder-to-file", "2"), gittest.Remove("gone"), gittest.WithMode("run", "1", "100644"), gittest.File("new/a/b", "2"))
	list := func(limit int) ([]string, bool) {
		paths, complete, err := Changed(src.Dir, one, two, limit)
		testkit.Must(t, err)
		return paths, complete
	}
	want := strings.Split(src.Git("diff-tree", "-r", "--no-renames", "--name-only", one, two), "\n")
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
	if _, _, err := Changed(src.Dir, strings.Repeat("1", 40), two, 10); !errors.Is(err, pack.ErrMissing) {
		t.Errorf("an unknown version: %v", err)
	}
}
