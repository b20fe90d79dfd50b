package remote

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/testkit"
)

// TestStoreReadOnly has a repository on a disk that cannot be written to, behind sshd and as a folder.
func TestStoreReadOnly(t *testing.T) { gittest.OnSmallDisk(t, "size=4m", readOnlyStore) }

func readOnlyStore(t *testing.T, dir string) {
	src := gittest.New(t, filepath.Join(dir, "r.git"))
	testkit.Must(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	sshd := gittest.StartSSHD(t)
	var o objects.Builder
	update := Update{Ref: "refs/heads/a", New: putRecord(&o, "a", "idle", 1), Objects: &o}
	for _, s := range []Source{{URL: src.Dir}, {URL: sshd.URL(src.Dir), Auth: Auth{SSHKeyFiles: []string{sshd.KeyFile}, KnownHostsFile: sshd.KnownHosts}}} {
		err := away{src, s}.store(t).Push(t.Context(), update)
		if !errors.Is(err, ErrAccess) || errors.Is(err, ErrUnclear) || !strings.Contains(err.Error(), "write") {
			t.Errorf("%s: %v", s.URL, err)
		}
	}
}

// TestStoreFullDisk pushes into a folder with every amount of room, from none to enough.
func TestStoreFullDisk(t *testing.T) { gittest.OnSmallDisk(t, "size=256k", fullStore) }

func fullStore(t *testing.T, dir string) {
	src := gittest.New(t, filepath.Join(dir, "r.git"))
	ballast := filepath.Join(dir, "ballast")
	s := away{src, Source{URL: src.Dir}}.store(t)
	var st syscall.Statfs_t
	testkit.Must(t, syscall.Statfs(dir, &st))
	at, full := "", 0
	for left := int64(st.Bfree) * st.Bsize; left >= 0; left -= st.Bsize {
		testkit.Must(t, os.WriteFile(ballast, make([]byte, left), 0o644))
		var o objects.Builder
		next := putRecord(&o, "a", "idle", int(left))
		err := s.Push(t.Context(), Update{Ref: "refs/heads/a", Old: at, New: next, Objects: &o})
		switch {
		case err == nil:
			at = next
		case !errors.As(err, new(*Rejected)) || errors.Is(err, ErrAccess):
			t.Fatal(err)
		default:
			full++
		}
		testkit.Must(t, os.Remove(ballast))
		gittest.Fsck(t, src.Dir)
		for _, f := range gittest.Files(t, src.Dir) {
			if strings.HasSuffix(f, ".lock") || strings.Contains(f, "tmp_") {
				t.Fatalf("%s is left", f)
			}
		}
		if at != "" && src.Tip("a") != at {
			t.Fatalf("it is at %s, want %s", src.Tip("a"), at)
		}
		if full > 8 || at != "" {
			src.Git("gc", "-q", "--prune=now")
		}
		if at != "" && full > 3 {
			return
		}
	}
	t.Fatalf("%d times full, at %q", full, at)
}
