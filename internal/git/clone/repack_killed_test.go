package clone

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/testkit"
)

// TestKilledRepack kills a process at each step of repacking. git finds nothing wrong then, readers that had the old
// packs open go on reading, and the next repack ends as if nothing had been.
func TestKilledRepack(t *testing.T) {
	if dir := os.Getenv("GITREPO_TEST_REPACK"); dir != "" {
		left, err := strconv.Atoi(os.Getenv("GITREPO_TEST_LEFT"))
		testkit.Must(t, err)
		at, _ := objects.ParseID(os.Getenv("GITREPO_TEST_AT"))
		testkit.Must(t, repack(t.Context(), filepath.Join(dir, ".git"), at, os.Getenv("GITREPO_TEST_OURS") != "", func() {
			if left--; left == 0 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
		}))
		return
	}
	t.Parallel()
	for _, ours := range []bool{true, false} {
		w := newWorld(t, gittest.ServerOptions{})
		w.src.Commit("main", someFiles(10, "start")...)
		if !ours {
			gittest.Git(t, ".", "clone", "-q", w.repo.source.URL, w.dir)
		}
		w.check()
		for i := range 4 {
			w.src.Commit("main", gittest.File("d00/e0/file0000.txt", fmt.Sprint(i)), gittest.File("b", fmt.Sprint(i)))
			w.look()
		}
		s := w.check()
		whole := filepath.Join(t.TempDir(), "whole")
		testkit.Must(t, os.CopyFS(whole, os.DirFS(w.dir)))
		for n := 1; ; n += testkit.Rounds(4, 1) {
			testkit.Must(t, os.RemoveAll(w.dir))
			testkit.Must(t, os.CopyFS(w.dir, os.DirFS(whole)))
			gittest.Git(t, w.dir, "update-index", "-q", "--refresh")
			reader, err := w.repo.Tree(s.Version)
			testkit.Must(t, err)
			cmd := exec.Command(os.Args[0], "-test.run=^TestKilledRepack$")
			cmd.Env = append(os.Environ(), "GITREPO_TEST_REPACK="+w.dir, fmt.Sprint("GITREPO_TEST_LEFT=", n), "GITREPO_TEST_AT="+s.Version)
			if ours {
				cmd.Env = append(cmd.Env, "GITREPO_TEST_OURS=1")
			}
			out, err := cmd.CombinedOutput()
			if err != nil && bytes.Contains(out, []byte("FAIL")) {
				t.Fatalf("step %d: %v: %s", n, err, out)
			}
			gittest.Fsck(t, w.dir)
			if b, err := reader.Read("b", 10); err != nil || string(b) != "3" {
				t.Fatalf("step %d: a reader that was there before: %q %v", n, b, err)
			}
			testkit.Must(t, reader.Close())
			if err == nil {
				t.Logf("ours %v: killed at %d steps at the most", ours, n-1)
				break
			}
			if n%5 == 0 {
				id, _ := objects.ParseID(s.Version)
				testkit.Must(t, repack(t.Context(), filepath.Join(w.dir, ".git"), id, ours, func() {}))
				w.src.Commit("main", gittest.File("b", "3"), gittest.File("c", fmt.Sprint(n)))
				w.check()
				w.src.Move("main", s.Version)
			}
		}
	}
}

// TestReadWhileRepacking reads trees, as a plan does that holds no lock, while packs are repacked again and again under
// it.
func TestReadWhileRepacking(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gittest.ServerOptions{})
	w.src.Commit("main", someFiles(20, "start")...)
	s := w.check()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var version atomic.Value
	version.Store(s.Version)
	ended := make(chan error)
	reads := 0
	go func() {
		for ctx.Err() == nil {
			at := version.Load()
			tree, err := objects.OpenTree(at.(string), filepath.Join(w.dir, ".git"))
			if err == nil {
				for i := range 20 {
					if _, err = tree.Read(fmt.Sprintf("d%02d/e%d/file%04d.txt", i%20, i%3, i), 1<<20); err != nil {
						break
					}
				}
				_ = tree.Close()
			}
			if err != nil && at == version.Load() { // else it was dropped, rightly
				ended <- fmt.Errorf("read %d: %w", reads, err)
				return
			}
			reads++
		}
		ended <- nil
	}()
	for i := range 12 {
		w.src.Commit("main", gittest.File("d03/e0/file0003.txt", fmt.Sprint("new ", i)))
		s := w.look()
		version.Store(s.Version)
		id, _ := objects.ParseID(s.Version)
		testkit.Must(t, repack(t.Context(), filepath.Join(w.dir, ".git"), id, i%2 == 0, func() {}))
	}
	cancel()
	testkit.Must(t, <-ended)
	t.Logf("%d reads", reads)
	w.check()
}
