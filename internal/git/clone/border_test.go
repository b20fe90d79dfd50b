package clone

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/worktree"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/go-git/go-git/v5/plumbing"
)

// TestBranches: whatever refs stand there, afterwards there is one branch, and git finds nothing wrong.
func TestBranches(t *testing.T) {
	root := t.TempDir()
	src, dir := gittest.New(t, filepath.Join(root, "src.git")), filepath.Join(root, "tree")
	gittest.Git(t, root, "init", "-q", "--initial-branch=main", dir)
	var ids []string
	for i := range 8 {
		ids = append(ids, src.Commit("main", gittest.File("f", strings.Repeat("x", i))))
	}
	gittest.Git(t, dir, "config", "addagent.clone", "true")
	gittest.Git(t, dir, "config", "core.logAllRefUpdates", "false")
	at := ""
	moveTo := func(branch, id string) {
		t.Helper()
		gittest.Git(t, dir, "fetch", "-q", "--depth=1", "file://"+src.Dir, id)
		m, err := worktree.Move(t.Context(), dir, plumbing.NewHash(at), plumbing.NewHash(id), worktree.Options{})
		testkit.Must(t, err)
		testkit.Must(t, m.Commit(func(git string) error { return recordMove(git, branch, plumbing.NewHash(id)) }))
		at = id
		if got := gittest.Git(t, dir, "symbolic-ref", "HEAD"); got != "refs/heads/"+branch {
			t.Errorf("HEAD is %s, want %s", got, branch)
		}
		if got := gittest.Git(t, dir, "for-each-ref", "--format=%(refname) %(objectname)"); got != "refs/heads/"+branch+" "+id {
			t.Errorf("refs are %q", got)
		}
		if got := gittest.Git(t, dir, "status", "--porcelain"); got != "" {
			t.Errorf("git status: %s", got)
		}
		b, err := os.ReadFile(filepath.Join(dir, ".git/shallow"))
		if err != nil || string(b) != id+"\n" {
			t.Errorf("shallow is %q (%v)", b, err)
		}
		gittest.Fsck(t, dir)
	}
	moveTo("main", ids[0])
	moveTo("main", ids[1])
	gittest.Git(t, dir, "pack-refs", "--all")
	moveTo("main", ids[2]) // the loose ref wins over the packed one
	gittest.Git(t, dir, "pack-refs", "--all")
	moveTo("a/b", ids[3]) // and the packed one goes with its branch
	moveTo("a", ids[4])
	moveTo("a/b/c", ids[5])
	gittest.Git(t, dir, "checkout", "-q", "--detach")
	gittest.Git(t, dir, "update-ref", "-d", "refs/heads/a/b/c")
	moveTo("main", ids[6])
	for _, bad := range []string{"", "..", "a..b", "a b", "x.lock", "/x", "../../config"} {
		if err := recordMove(filepath.Join(dir, ".git"), bad, plumbing.NewHash(ids[6])); err == nil {
			t.Errorf("branch %q is accepted", bad)
		}
	}
}
