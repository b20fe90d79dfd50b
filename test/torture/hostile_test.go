//go:build linux

package torture

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
)

// entry is one line of a tree object, whatever git itself would say to it.
type entry struct{ mode, name, id string }

// tree writes a tree object as it is told to.
func tree(t *testing.T, r *gittest.Repo, entries ...entry) string {
	t.Helper()
	var b bytes.Buffer
	for _, e := range entries {
		id, err := hex.DecodeString(e.id)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %s\x00%s", e.mode, e.name, id)
	}
	return object(t, r, "tree", b.String())
}

func object(t *testing.T, r *gittest.Repo, kind, content string) string {
	t.Helper()
	id, err := gittest.TryGit(r.Dir, []byte(content), "hash-object", "-t", kind, "--literally", "-w", "--stdin")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// with is the tree of a commit with more entries, in git's order, so that nothing but those is odd.
func with(t *testing.T, r *gittest.Repo, commit string, more ...entry) string {
	t.Helper()
	all := more
	for line := range strings.Lines(r.Git("ls-tree", commit)) {
		head, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		f := strings.Fields(head)
		all = append(all, entry{strings.TrimPrefix(f[0], "0"), name, f[2]})
	}
	key := func(e entry) string {
		if e.mode == "40000" {
			return e.name + "/"
		}
		return e.name
	}
	slices.SortStableFunc(all, func(a, b entry) int { return strings.Compare(key(a), key(b)) })
	return tree(t, r, all...)
}

// TestHostileTrees pushes trees that git would not make, and that would write outside of the clone or into its .git.
//
// INVARIANT (spec 4): each is refused and its path named, before anything at all is written; the node goes on with what
// it has; the next good push is taken.
func TestHostileTrees(t *testing.T) {
	t.Parallel()
	g := newGrid(t, plan{})
	g.evil = true
	r := g.repos["ops"]
	g.push("ops", gittest.File("nodework/work.sh", "echo worked $ADD_VERSION >>$T_DIR/journal\n"), gittest.File("a/b", "1"))
	g.beatOnce(0)

	evil := object(t, r, "blob", "#!/bin/sh\necho owned\n")
	outside := filepath.Join(g.dir, "outside")
	write(t, filepath.Join(outside, "kept"), "kept\n")
	link := object(t, r, "blob", outside)
	file := func(name string) string { return tree(t, r, entry{"100755", name, evil}) }
	folder := func(name, inside string) entry { return entry{"40000", name, inside} }
	cases := map[string][]entry{
		"..":                    {folder("..", file("x"))},
		"z/..":                  {folder("z", tree(t, r, folder("..", file("x"))))},
		"z/y/..":                {folder("z", tree(t, r, folder("y", tree(t, r, folder("..", file("x"))))))},
		"../../outside/x":       {{"100755", "../../outside/x", evil}},
		outside + "/x":          {{"100755", outside + "/x", evil}},
		".git":                  {folder(".git", tree(t, r, folder("hooks", file("post-checkout"))))},
		"z/.git":                {folder("z", tree(t, r, folder(".git", file("config"))))},
		".GIT":                  {folder(".GIT", file("config"))},
		".Git":                  {{"100644", ".Git", evil}},
		".git. ":                {folder(".git. ", file("config"))},
		"git~1":                 {folder("git~1", file("config"))},
		`.g\u200cit`:            {folder(".g\u200cit", file("config"))},
		`z\.git\config`:         {{"100644", `z\.git\config`, evil}},
		".temp":                 {folder(".temp", tree(t, r, folder("add", tree(t, r, folder("root", file("work.sh_VERSION"))))))},
		"d is there twice":      {{"120000", "d", link}, folder("d", file("x"))},
		"d/kept is there twice": {folder("d", tree(t, r, entry{"100644", "kept", evil}, entry{"100644", "kept", evil}))},
		".":                     {folder(".", file("x"))},
	}
	listed(t, len(cases))
	for named, e := range cases {
		good := g.tip("ops")
		before := g.snapshot()
		worked := g.count("worked")
		commit := r.Git("commit-tree", with(t, r, good, e...), "-p", good, "-m", "hostile")
		r.Git("update-ref", "refs/heads/main", commit)
		if err := os.Remove(filepath.Join(g.memory("ops", "root"), "work.sh_VERSION")); err != nil { // "again"
			t.Fatal(err)
		}
		code, _, stderr := g.run("beat")
		if code != 1 || !strings.Contains(stderr, named) || !strings.Contains(stderr, "unsafe path") {
			t.Errorf("%s: beat ended with %d: %s", named, code, stderr)
		}
		if got := g.worked("ops", "root"); got != good || g.count("worked") != worked+1 {
			t.Errorf("%s: worked %s, want %s once more", named, got, good)
		}
		if after := g.snapshot(); !maps.Equal(before, after) {
			t.Errorf("%s: something was written: %v -> %v", named, before, after)
		}
		g.tracked("ops")
		r.Git("update-ref", "refs/heads/main", good)
		g.push("ops", gittest.File("a/b", named))
		g.beatOnce(0)
		if t.Failed() {
			t.FailNow()
		}
	}
	g.sound("ops")
}

// TestLinksLeadNowhere has links, tracked ones and a person's, where the next push has folders.
//
// INVARIANT (spec 4): nothing is ever written or deleted through a link; what was in the way of a tracked path and is a
// person's is set aside, not lost.
func TestLinksLeadNowhere(t *testing.T) {
	t.Parallel()
	listed(t, 1)
	g := newGrid(t, plan{})
	outside := filepath.Join(g.dir, "outside")
	for _, name := range []string{"kept", "b", "file"} {
		write(t, filepath.Join(outside, name), "kept\n")
	}
	work := gittest.File("nodework/work.sh", "echo worked >>$T_DIR/journal\n")
	g.push("ops", work, gittest.File("a/b", "1"), gittest.File("a/c", "1"), gittest.Change{Path: "d", Content: outside, Mode: "120000"})
	g.beatOnce(0)
	clone := g.clone("ops")
	// A person moves a tracked folder away and puts a link there, and one where a folder will be.
	if err := join(os.RemoveAll(filepath.Join(clone, "a")), os.Symlink(outside, filepath.Join(clone, "a")), os.Symlink(outside, filepath.Join(clone, "e"))); err != nil {
		t.Fatal(err)
	}
	g.push("ops", gittest.File("a/b", "2"), gittest.Remove("a/c"), gittest.Remove("d"), gittest.File("d/file", "2"), gittest.File("e/file", "2"))
	g.beatOnce(0)
	g.sound("ops")
	for _, name := range []string{"kept", "b", "file"} {
		if got := read(filepath.Join(outside, name)); got != "kept\n" {
			t.Errorf("outside, %s holds %q", name, got)
		}
	}
	if all, err := os.ReadDir(outside); err != nil || len(all) != 3 {
		t.Errorf("outside are %v (%v)", all, err)
	}
	aside, err := filepath.Glob(filepath.Join(clone, ".temp", "displaced", "*", "e"))
	if err != nil || len(aside) != 1 {
		t.Errorf("the person's link was not set aside: %v %v", aside, err)
	}
	// And the links go while the folders stay.
	g.push("ops", gittest.Remove("d"), gittest.Change{Path: "d", Content: outside, Mode: "120000"}, gittest.Remove("a"))
	g.beatOnce(0)
	g.push("ops", gittest.Remove("d"), gittest.Remove("e"))
	g.beatOnce(0)
	g.sound("ops")
	if got := read(filepath.Join(outside, "kept")); got != "kept\n" {
		t.Errorf("outside, kept holds %q", got)
	}
}

// snapshot is a hash of every file around and in the clone that a tree must not reach: all but what a beat itself
// keeps.
func (g *grid) snapshot() map[string]string {
	g.t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(g.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(g.dir, path)
		switch rel {
		case "remote", "run", "lib", "t", "home/log", "home/nodeinfo", "home/gitrepo/ops/.git/objects", "home/gitrepo/ops/.git/refs/addagent", "home/gitrepo/ops/.temp/add/root":
			return filepath.SkipDir
		}
		if d.IsDir() {
			return nil
		}
		if rel == "home/gitrepo/ops/.git/addagent-checked" { // when the packs were read last
			return nil
		}
		what := read(path)
		if d.Type()&fs.ModeSymlink != 0 {
			what, _ = os.Readlink(path)
		}
		sum := sha256.Sum256([]byte(d.Type().String() + what))
		all[rel] = hex.EncodeToString(sum[:4])
		return nil
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return all
}
