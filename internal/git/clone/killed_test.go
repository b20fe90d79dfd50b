package clone

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/pack"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/git/worktree"
	"github.com/addagent/addagent/internal/testkit"
)

// TestKilledLook kills a process anywhere in a look: while it clones, fetches, rebuilds, swaps or moves. The next look
// must end with a whole clone and the right tree, and nothing left behind.
func TestKilledLook(t *testing.T) {
	if dir := os.Getenv("ADD_TEST_LOOKS"); dir != "" {
		r := New(dir, remote.Source{URL: os.Getenv("ADD_TEST_URL")}, Limits{})
		for {
			if _, err := r.Look(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	rounds := testkit.Rounds(4, 8)
	w := newWorld(t, gittest.ServerOptions{})
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	w.src.Commit("main", someFiles(120, "start")...)
	w.src.Commit("main", gittest.File("huge", gittest.Wordy(random, 200_000)))
	w.look()
	w.write("mine/x", "mine")
	w.write(".temp/add/x", "memory")
	states := map[string]int{}
	for round := range rounds {
		switch round % 4 {
		case 0:
			testkit.Must(t, os.RemoveAll(filepath.Join(w.dir, ".git")))
		case 1:
			found, err := filepath.Glob(filepath.Join(w.dir, ".git/objects/pack/*.pack"))
			testkit.Must(t, err)
			testkit.Must(t, os.Remove(found[random.IntN(len(found))]))
		case 2:
			w.src.Move("main", "main~1")
		}
		w.src.Commit("main", append(someFiles(80, fmt.Sprint("round ", round)), gittest.File("huge", gittest.Wordy(random, 200_000)))...)
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledLook$")
		cmd.Env = append(os.Environ(), "ADD_TEST_LOOKS="+w.dir, "ADD_TEST_URL="+w.repo.source.URL)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		testkit.Must(t, cmd.Start())
		time.AfterFunc(time.Duration(15+random.IntN(100))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		if err := cmd.Wait(); err == nil || strings.Contains(out.String(), "FAIL") {
			t.Fatalf("seed %d: %v: %s", seed, err, out.String())
		}
		states[w.state()]++
		s, err := w.repo.Look(t.Context(), nil)
		if err != nil {
			t.Fatalf("seed %d, round %d: %v", seed, round, err)
		}
		for _, mine := range []string{"mine/x", ".temp/add/x"} {
			if _, err := os.Stat(filepath.Join(w.dir, mine)); err != nil {
				t.Fatalf("seed %d, round %d: %v", seed, round, err)
			}
		}
		testkit.Must(t, os.RemoveAll(filepath.Join(w.dir, "mine")))
		w.same(s)
		w.write("mine/x", "mine")
	}
	t.Logf("found after a kill: %v", states)
}

// state says in what a killed look was cut.
func (w *world) state() string {
	switch _, found, err := worktree.ReadMarker(w.dir); {
	case err != nil:
		w.tb.Fatal(err)
	case found:
		return "move"
	}
	for name, pattern := range map[string]string{"receive": ".git/" + pack.ReceivePrefix + "*", "rebuild": rebuildPrefix + "*"} {
		if found, _ := filepath.Glob(filepath.Join(w.dir, pattern)); len(found) > 0 {
			return name
		}
	}
	at, ok, err := w.repo.Applied()
	switch {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		w.tb.Fatal(err)
	case !ok:
		return "nothing applied"
	case at.ID == w.src.Tip("main"):
		return "done"
	}
	return "before"
}
