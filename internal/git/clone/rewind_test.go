package clone

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
)

func TestRewind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gittest.ServerOptions{})
	w.src.Commit("main", someFiles(10, "x")...)
	w.src.History("main", 10, func(i int) []gittest.Change { return []gittest.Change{gittest.File("n", fmt.Sprint(i))} })
	w.check()
	notice := func(want string) {
		t.Helper()
		s := w.check()
		all := strings.Join(s.Notices, "; ")
		if want == "" && all != "" || !strings.Contains(all, want) {
			t.Errorf("notices %q, want %q", all, want)
		}
	}
	w.src.History("main", 4, func(i int) []gittest.Change { return []gittest.Change{gittest.File("m", fmt.Sprint(i))} })
	notice("")
	w.src.Move("main", "main~1")
	notice("moved back")
	w.src.Move("main", "main~3")
	notice("history was rewritten or moved back")
	w.src.CommitOn("main", []string{w.src.Git("rev-parse", "main~1")}, gittest.File("amended", "a"))
	notice("history was rewritten: ")
	w.src.CommitOn("main", nil, gittest.File("root", "a"))
	notice("history was rewritten or moved back")

	refuse := w.repo.source
	refuse.Rewind = "refuse"
	w.open(refuse, Limits{})
	w.src.History("main", 3, func(i int) []gittest.Change { return []gittest.Change{gittest.File("k", fmt.Sprint(i))} })
	notice("")
	stays := w.src.Tip("main")
	for _, to := range []string{"main~1", "main~2"} {
		w.src.Move("main", to)
		for range 2 {
			_, err := w.repo.Look(t.Context(), nil)
			if !errors.Is(err, errRewound) || !strings.Contains(err.Error(), "rewind: refuse") {
				t.Fatal(err)
			}
		}
		if at, ok, err := w.repo.Applied(); !ok || err != nil || at.ID != stays {
			t.Fatal(at, ok, err)
		}
		w.src.Move("main", stays)
	}
	notice("")
	w.src.Commit("main", gittest.File("z", "z"))
	notice("")

	// Unasked it goes anywhere, with the question where the branch is and the fetch, and nothing else.
	unasked := w.repo.source
	unasked.Rewind = remote.RewindUnasked
	w.open(unasked, Limits{})
	for _, change := range []func(){
		func() {
			w.src.History("main", 9, func(i int) []gittest.Change { return []gittest.Change{gittest.File("u", fmt.Sprint(i))} })
		},
		func() { w.src.CommitOn("main", nil, gittest.File("root", "b")) },
		func() { w.src.CommitOn("main", nil, gittest.File("root", "c")) },
	} {
		change()
		requests := w.server.Requests.Load()
		notice("")
		if n := w.server.Requests.Load() - requests; n != 2 {
			t.Errorf("%d requests", n)
		}
	}
}

// TestRefuseOutlivesTheClone: a rewind is refused where the clone is gone, comes from another URL or was made anew, and
// is followed for as long as the config says so.
func TestRefuseOutlivesTheClone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gittest.ServerOptions{})
	memory := filepath.Join(t.TempDir(), "accepted")
	open := func(rewind, url string) {
		s := w.repo.source
		s.Rewind, s.URL = rewind, url
		w.open(s, Limits{})
		w.repo.Remember(memory)
	}
	url := w.repo.source.URL
	open("refuse", url)
	w.src.Commit("main", someFiles(10, "x")...)
	w.src.History("main", 10, func(i int) []gittest.Change { return []gittest.Change{gittest.File("n", fmt.Sprint(i))} })
	w.check()
	refused := func(what string) {
		t.Helper()
		for range 2 {
			if _, err := w.repo.Look(t.Context(), nil); !errors.Is(err, errRewound) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	gone := func() {
		if err := os.RemoveAll(filepath.Join(w.dir, ".git")); err != nil {
			t.Fatal(err)
		}
	}
	w.src.Move("main", "main~6")
	refused("in a clone")
	gone()
	refused("without a clone")
	open("refuse", strings.TrimSuffix(url, ".git")) // a new process
	refused("in another process")
	open("follow", url)
	w.check()
	open("refuse", url)
	w.check()
	gone()
	w.src.History("main", 3, func(i int) []gittest.Change { return []gittest.Change{gittest.File("m", fmt.Sprint(i))} })
	w.check() // it went forward

	other := gittest.New(t, filepath.Join(filepath.Dir(w.src.Dir), "other.git"))
	other.Commit("main", someFiles(10, "y")...)
	open("refuse", strings.Replace(url, filepath.Base(url), "other.git", 1))
	refused("at another URL")
	if err := os.WriteFile(memory, []byte("what?"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("at another URL, with a memory that is damaged")
}

func TestPreview(t *testing.T) {
	w := newWorld(t, gittest.ServerOptions{})
	w.src.Commit("main", someFiles(40, "x")...)
	preview := func(want string) {
		t.Helper()
		tip, err := w.repo.Ask(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tmp := t.TempDir()
		tree, err := w.repo.Preview(t.Context(), tmp, tip)
		if err != nil {
			t.Fatal(err)
		}
		defer tree.Close()
		if b, err := tree.Read("d01/e1/file0001.txt", 1<<20); err != nil || !strings.HasPrefix(string(b), want) {
			t.Errorf("%q %v", b, err)
		}
		if id, err := tree.ID("d03"); err != nil || id != w.src.Git("rev-parse", tip.ID+":d03") {
			t.Errorf("%s %v", id, err)
		}
	}
	preview("x 1\n") // no clone yet
	if _, err := os.Stat(w.dir); err == nil {
		t.Error("a preview made a clone")
	}
	w.check()
	w.src.Commit("main", gittest.File("d01/e1/file0001.txt", "changed"))
	before := snapshotOf(t, w.dir)
	preview("changed")
	if snapshotOf(t, w.dir) != before {
		t.Error("a preview wrote to the clone")
	}
	w.check()
	preview("changed")
}
