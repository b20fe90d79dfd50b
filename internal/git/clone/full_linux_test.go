package clone

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
)

// TestPackTooLargeForTheDisk runs on a filesystem that has little more room than must stay free.
func TestPackTooLargeForTheDisk(t *testing.T) { gittest.OnSmallDisk(t, "size=35m", littleDisk) }

func littleDisk(t *testing.T, dir string) {
	w := newWorld(t, gittest.ServerOptions{})
	w.dir = filepath.Join(dir, "clone")
	w.open(w.repo.source, Limits{})
	at := w.src.Commit("main", someFiles(20, "x")...)
	w.check()
	noise := make([]byte, 20<<20)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	w.src.Commit("main", gittest.File("noise", string(noise)))
	for range 2 {
		_, err := w.repo.Look(t.Context(), nil)
		if err == nil || !strings.Contains(err.Error(), "must stay free") {
			t.Fatal(err)
		}
		w.intact(at)
	}
	// Here the pack alone is too much.
	testkit.Must(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=18m"))
	w.open(w.repo.source, Limits{})
	_, err := w.repo.Look(t.Context(), nil)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "receive pack: ") {
		t.Fatal(err)
	}
	w.intact(at)
	// A small change needs little: what it writes, and a few megabytes.
	testkit.Must(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=6m"))
	w.src.Move("main", at)
	w.src.Commit("main", gittest.File("small", "x"))
	w.check()
}
