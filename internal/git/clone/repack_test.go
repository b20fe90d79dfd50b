package clone

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/objects"
)

func TestRepack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gittest.ServerOptions{})
	w.src.Commit("main", append(someFiles(100, "start"), gittest.File("big", gittest.Wordy(rand.New(rand.NewPCG(1, 1)), 300000)))...)
	w.check()
	for i := range 3 {
		w.src.Commit("main", someFiles(20, fmt.Sprint("step ", i))...)
		w.look()
	}
	w.src.Commit("main", gittest.File("last", "x"))
	s := w.check()
	id, _ := objects.ParseID(s.Version)
	count := func() int {
		found, _ := filepath.Glob(filepath.Join(w.dir, ".git/objects/pack/*.pack"))
		return len(found)
	}
	if n := count(); n != 5 {
		t.Fatalf("%d packs", n)
	}
	for range 2 {
		if err := repack(t.Context(), filepath.Join(w.dir, ".git"), id, true, func() {}); err != nil {
			t.Fatal(err)
		}
		if n := count(); n != 2 {
			t.Errorf("%d packs", n)
		}
		w.same(s)
	}
	w.src.Commit("main", someFiles(90, "all anew")...)
	w.src.Commit("main", gittest.File("big", gittest.Wordy(rand.New(rand.NewPCG(2, 2)), 400000)))
	s = w.check()
	id, _ = objects.ParseID(s.Version)
	if err := repack(t.Context(), filepath.Join(w.dir, ".git"), id, true, func() {}); err != nil {
		t.Fatal(err)
	}
	if n := count(); n > 2 { // a pack of which most is needed stays as it is
		t.Errorf("%d packs", n)
	}
	w.same(s)
	// A person's clone: nothing is dropped, whatever hangs on it.
	for i := range 4 {
		w.src.Commit("main", gittest.File("after", fmt.Sprint(i)))
		w.look()
	}
	old := gittest.Git(t, w.dir, "cat-file", "--batch-all-objects", "--batch-check")
	if err := repack(t.Context(), filepath.Join(w.dir, ".git"), id, false, func() {}); err != nil {
		t.Fatal(err)
	}
	if n := count(); n > 2 { // a pack of which most is needed stays as it is
		t.Errorf("%d packs", n)
	}
	if now := gittest.Git(t, w.dir, "cat-file", "--batch-all-objects", "--batch-check"); now != old {
		t.Errorf("objects were\n%s\nand are\n%s", old, now)
	}
	w.src.Commit("main", gittest.File("after", "x"))
	w.check()
}
