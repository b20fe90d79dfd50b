package worktree

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
)

// TestDiskFull runs on a filesystem of 1 MB.
func TestDiskFull(t *testing.T) { gittest.OnSmallDisk(t, "size=1m", diskFull) }

func diskFull(t *testing.T, dir string) {
	src := gittest.New(t, filepath.Join(t.TempDir(), "src.git"))
	one, two := versions(src)
	c := &checkout{tb: t, src: src, dir: filepath.Join(dir, "tree")}
	// The objects lie elsewhere, so that what fills up is the tree.
	gittest.Git(t, dir, "init", "-q", "--initial-branch=main", c.dir)
	testkit.Must(t, os.WriteFile(c.path(".git/objects/info/alternates"), []byte(src.Dir+"/objects\n"), 0o644))
	_, err := c.tryMove(t.Context(), "", one)
	testkit.Must(t, err)
	c.at = one
	ballast := filepath.Join(dir, "ballast")
	var st syscall.Statfs_t
	testkit.Must(t, syscall.Statfs(dir, &st))
	for left := int64(st.Bfree) * st.Bsize; left > 0; left -= 16 << 10 { // every amount of room, from none to enough
		testkit.Must(t, os.WriteFile(ballast, nil, 0o644))
		if err := os.WriteFile(ballast, make([]byte, left), 0o644); err != nil {
			t.Logf("ballast of %d bytes: %v", left, err)
		}
		from, to := one, two
		if c.at == two {
			from, to = two, one
		}
		_, err := c.tryMove(t.Context(), from, to)
		if err == nil {
			c.at = to
			continue
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		for _, f := range gittest.Files(t, c.dir) { // whatever is there is whole, old or new
			if info, err := os.Lstat(c.path(f)); err != nil || !info.Mode().IsRegular() {
				continue
			}
			b, err := os.ReadFile(c.path(f))
			testkit.Must(t, err)
			if !bytes.Equal(b, blobAt(src, from, f)) && !bytes.Equal(b, blobAt(src, to, f)) {
				t.Fatalf("%s is torn: %d bytes", f, len(b))
			}
		}
		testkit.Must(t, os.Remove(ballast))
		m, err := c.tryMove(t.Context(), from, to)
		testkit.Must(t, err)
		wantNotices(t, m)
		c.at = to
		if got, want := gittest.TreeOf(t, c.dir), src.Git("rev-parse", to+"^{tree}"); got != want {
			t.Fatalf("tree %s, want %s", got, want)
		}
	}
}

func blobAt(src *gittest.Repo, commit, path string) []byte {
	cmd := exec.Command("git", "cat-file", "blob", commit+":"+path)
	cmd.Dir = src.Dir
	b, err := cmd.Output()
	if err != nil {
		return nil
	}
	return b
}
