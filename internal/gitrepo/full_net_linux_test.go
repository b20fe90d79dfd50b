package gitrepo

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/addagent/addagent/internal/gitrepo/gittest"
)

// TestPackTooLargeForTheDisk runs in a mount namespace of its own, on a filesystem that has little more room than must
// stay free.
func TestPackTooLargeForTheDisk(t *testing.T) {
	if dir := os.Getenv("GITREPO_TEST_LITTLE"); dir != "" {
		littleDisk(t, dir)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestPackTooLargeForTheDisk$", "-test.v")
	cmd.Env = append(os.Environ(), "GITREPO_TEST_LITTLE="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EINVAL):
		t.Skipf("no user namespaces here: %v", err)
	case err != nil:
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("%s", out)
}

func littleDisk(t *testing.T, dir string) {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=35m"); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	w := newWorld(t, gittest.ServerOptions{})
	w.dir = filepath.Join(dir, "clone")
	w.open(w.repo.source, Limits{})
	at := w.src.Commit("main", files(20, "x")...)
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
	must(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=18m"))
	w.open(w.repo.source, Limits{})
	_, err := w.repo.Look(t.Context(), nil)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "receive pack: ") {
		t.Fatal(err)
	}
	w.intact(at)
	// A small change needs little: what it writes, and a few megabytes.
	must(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=6m"))
	w.src.Move("main", at)
	w.src.Commit("main", gittest.File("small", "x"))
	w.check()
}
