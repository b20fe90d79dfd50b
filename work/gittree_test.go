package work

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/objects"
)

// gitTree is a Tree as the git program sees it: what the decisions are made from in these tests is real commits, and
// not what our own reader makes of them.
type gitTree struct{ dir, version string }

func git(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %v: %w: %s", args, err, out)
	}
	return string(out), nil
}

// entry is the line of `git ls-tree` for a path: mode, type, id; all "" when there is none.
func (t gitTree) entry(p string) (mode, kind, id string, err error) {
	if p = path.Clean(p); p == "." || p == "/" {
		out, err := git(t.dir, "rev-parse", t.version+"^{tree}")
		return "040000", "tree", strings.TrimSpace(out), err
	}
	out, err := git(t.dir, "ls-tree", "-z", "--full-tree", t.version, "--", p)
	if err != nil || out == "" {
		return "", "", "", err
	}
	_, err = fmt.Sscan(out, &mode, &kind, &id)
	return mode, kind, id, err
}

func (t gitTree) ID(p string) (string, error) {
	_, _, id, err := t.entry(p)
	return id, err
}

func (t gitTree) Read(p string, limit int64) ([]byte, error) {
	_, kind, id, err := t.entry(p)
	if err != nil || kind != "blob" {
		return nil, errors.Join(fs.ErrNotExist, err)
	}
	out, err := git(t.dir, "cat-file", "blob", id)
	if int64(len(out)) > limit {
		return nil, fmt.Errorf("longer than %d bytes", limit)
	}
	return []byte(out), err
}

func (t gitTree) List(dir string) ([]objects.Entry, error) {
	_, kind, id, err := t.entry(dir)
	if err != nil || kind != "tree" {
		return nil, err
	}
	out, err := git(t.dir, "ls-tree", "-z", id)
	if err != nil {
		return nil, err
	}
	var all []objects.Entry
	for line := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		meta, name, ok := strings.Cut(line, "\t")
		if !ok {
			continue
		}
		f := strings.Fields(meta)
		all = append(all, objects.Entry{Name: name, ID: f[2], Dir: f[1] == "tree", Executable: f[0] == "100755", Symlink: f[0] == "120000"})
	}
	return all, nil
}

// checkout is a new repository with one commit of these files. A content "-> x" makes a symlink to x, a first line "#!"
// an executable.
func checkout(t testing.TB, name string, files map[string]string) Checkout {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := git(dir, "init", "-q", "-b", "main"); err != nil {
		t.Fatal(err)
	}
	return commit(t, Checkout{Repo: name, Dir: dir}, files)
}

// commit adds a commit with these files written; content "" deletes one.
func commit(t testing.TB, c Checkout, files map[string]string) Checkout {
	t.Helper()
	for p, content := range files {
		at := filepath.Join(c.Dir, p)
		if err := os.RemoveAll(at); err != nil {
			t.Fatal(err)
		}
		if content == "" {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		target, link := strings.CutPrefix(content, "-> ")
		mode := os.FileMode(0o644)
		if strings.HasPrefix(content, "#!") {
			mode = 0o755
		}
		err := error(nil)
		if link {
			err = os.Symlink(target, at)
		} else {
			err = os.WriteFile(at, []byte(content), mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := git(c.Dir, "add", "-A", "--", ".", ":!.temp"); err != nil {
		t.Fatal(err)
	}
	if _, err := git(c.Dir, "commit", "-q", "--allow-empty", "-m", "x"); err != nil {
		t.Fatal(err)
	}
	out, err := git(c.Dir, "rev-parse", "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	c.Version = strings.TrimSpace(out)
	c.Tree = gitTree{c.Dir, c.Version}
	return c
}
