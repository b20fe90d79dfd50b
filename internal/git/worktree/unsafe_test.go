package worktree

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/go-git/go-git/v5/plumbing"
)

// treeObject builds a tree object from lines of "mode name", unchecked.
func treeObject(lines ...string) []byte {
	var b bytes.Buffer
	for i, l := range lines {
		b.WriteString(l)
		b.WriteByte(0)
		b.Write(bytes.Repeat([]byte{byte(i + 1)}, 20))
	}
	return b.Bytes()
}

func TestUnsafeNames(t *testing.T) {
	bad := []string{"", ".", "..", "a/b", "/", ".git", ".GIT", ".giT", ".git.", ".git ", ".git. .", ".git::$INDEX_ALLOCATION", ".git:x",
		"git~1", "GIT~1", "git~1.", ".g\u200cit", "\u200d.git", ".git\ufeff", ".\u206aGi\u202et", `.git\x`, `a\.git`, `x\git~1`, strings.Repeat("n", 256)}
	for _, name := range bad {
		if checkName([]byte(name), false) == "" {
			t.Errorf("%q is accepted", name)
		}
	}
	for _, name := range []string{".gitignore", ".gitmodules", ".gitattributes", "git", "a.git", ".git-x", "git~2", "...", ".g", "a..b", `a\b`, "-", "caf\xe9", ".temp", strings.Repeat("n", 255)} {
		if why := checkName([]byte(name), false); why != "" {
			t.Errorf("%q %s", name, why)
		}
	}
	if checkName([]byte(".temp"), true) == "" {
		t.Error(".temp at the top is accepted")
	}
}

func TestUnsafeTrees(t *testing.T) {
	for _, lines := range [][]string{
		{"100644 b", "100644 a"}, {"100644 a", "100644 a"}, {"100644 a", "40000 a"}, {"100644 a", "100644 a.c", "40000 a"},
		{"120000 a", "40000 a"}, {"40000 a", "100644 a0", "100644 a"}, {"10644 a"}, {"140000 a"}, {"1006440 a"}, {"9 a"}, {" a"}, {"100644"},
	} {
		if err := checkFolder([]byte("in/"), objects.Lines(treeObject(lines...))); !errors.Is(err, objects.ErrUnsafe) {
			t.Errorf("%q: %v", lines, err)
		}
	}
	if err := checkFolder(nil, objects.Lines(treeObject("100644 a", "100644 a.c", "40000 a.d", "100644 a0", "40000 b", "100664 c", "160000 d"))); err != nil {
		t.Error(err)
	}
	if err := checkFolder(nil, objects.Lines(treeObject("100644 a")[:10])); !errors.Is(err, objects.ErrUnsafe) {
		t.Errorf("a cut tree: %v", err)
	}
}

// TestUnsafeRefused: nothing is written, the path is named, and the clone goes on.
func TestUnsafeRefused(t *testing.T) {
	c := newCheckout(t)
	one := c.src.Commit("main", gittest.File("a/b/ok", "1"))
	c.move(one)
	blob := plumbing.NewHash(c.src.Git("rev-parse", one+":a/b/ok"))
	hash := func(kind string, data []byte) string {
		id, err := gittest.TryGit(c.dir, data, "hash-object", "-t", kind, "--literally", "-w", "--stdin")
		testkit.Must(t, err)
		return id
	}
	raw := func(id string) string {
		h := plumbing.NewHash(id)
		return string(h[:])
	}
	for name, want := range map[string]string{".git": "a/x/.git", "..": "a/x/..", ".Git ": "a/x/.Git ", "b/c": "a/x/b/c"} {
		inner := hash("tree", []byte("100644 "+name+"\x00"+string(blob[:])))
		middle := hash("tree", []byte("100644 new\x00"+string(blob[:])+"40000 x\x00"+raw(inner)))
		root := hash("tree", []byte("100644 0new\x00"+string(blob[:])+"40000 a\x00"+raw(middle)))
		commit := hash("commit", []byte("tree "+root+"\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nbad\n"))
		_, err := c.tryMove(context.Background(), one, commit)
		if !errors.Is(err, objects.ErrUnsafe) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", name, err)
		}
		c.want("a/b/ok", "1")
		c.wantGone("0new")
	}
	link := hash("tree", []byte("40000 d\x00"+raw(hash("tree", []byte("100644 f\x00"+string(blob[:]))))+"120000 d\x00"+string(blob[:])))
	commit := hash("commit", []byte("tree "+link+"\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nbad\n"))
	if _, err := c.tryMove(context.Background(), one, commit); !errors.Is(err, objects.ErrUnsafe) {
		t.Errorf("a path through a link: %v", err)
	}
	for _, target := range []string{"", "a\x00b", strings.Repeat("x", 4096)} {
		root := hash("tree", []byte("120000 link\x00"+raw(hash("blob", []byte(target)))))
		commit := hash("commit", []byte("tree "+root+"\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nbad\n"))
		if _, err := c.tryMove(context.Background(), one, commit); !errors.Is(err, objects.ErrUnsafe) || !strings.Contains(err.Error(), "link: no target") {
			t.Errorf("a link to %.5q: %v", target, err)
		}
	}
	if _, err := os.Stat(c.path(".git/" + markerFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a marker is left: %v", err)
	}
	two := c.src.Commit("main", gittest.File("a/b/ok", "2"))
	c.fetch(two)
	_, err := c.tryMove(context.Background(), one, two)
	testkit.Must(t, err)
	c.want("a/b/ok", "2")
}

func FuzzTreeNames(f *testing.F) {
	f.Add(treeObject("100644 a", "40000 b"))
	f.Add(treeObject("120000 .git"))
	f.Add(treeObject("100644 a", "100644 a.c", "40000 a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		err := checkFolder(nil, objects.Lines(data))
		if err != nil {
			if !errors.Is(err, objects.ErrUnsafe) {
				t.Fatalf("%v is no errUnsafe", err)
			}
			return
		}
		seen := map[string]bool{}
		lines := objects.Lines(data)
		var e objects.Line
		for {
			ok, err := lines.Next(&e)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				return
			}
			name := string(e.Name)
			if seen[name] || name == "" || name == "." || name == ".." || strings.Contains(name, "/") || strings.EqualFold(name, ".git") || name == ".temp" {
				t.Fatalf("%q is accepted", name)
			}
			seen[name] = true
		}
	})
}
