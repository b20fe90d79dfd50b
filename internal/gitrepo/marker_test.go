package gitrepo

import (
	"os"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/gitrepo/gittest"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/go-git/go-git/v5/plumbing"
)

// moveTo moves and commits to a branch of any name.
func (c *checkout) moveTo(branch, id string) {
	c.tb.Helper()
	c.fetch(id)
	s, err := openStore(c.path(".git"))
	testkit.Must(c.tb, err)
	_, err = moveTree(c.tb.Context(), s, c.dir, plumbing.NewHash(c.at), plumbing.NewHash(id), func() {})
	testkit.Must(c.tb, err)
	testkit.Must(c.tb, s.Close())
	testkit.Must(c.tb, commitMove(c.dir, branch, plumbing.NewHash(id)))
	c.at = id
	c.check()
	if got := gittest.Git(c.tb, c.dir, "symbolic-ref", "HEAD"); got != "refs/heads/"+branch {
		c.tb.Errorf("HEAD is %s, want %s", got, branch)
	}
	if got := gittest.Git(c.tb, c.dir, "for-each-ref", "--format=%(refname) %(objectname)"); got != "refs/heads/"+branch+" "+id {
		c.tb.Errorf("refs are %q", got)
	}
	b, err := os.ReadFile(c.path(".git/shallow"))
	if err != nil || string(b) != id+"\n" {
		c.tb.Errorf("shallow is %q (%v)", b, err)
	}
}

// TestBranches: whatever refs stand there, afterwards there is one branch, and git finds nothing wrong.
func TestBranches(t *testing.T) {
	c := newCheckout(t)
	var ids []string
	for i := range 8 {
		ids = append(ids, c.src.Commit("main", gittest.File("f", strings.Repeat("x", i))))
	}
	gittest.Git(t, c.dir, "config", "addagent.clone", "true")
	gittest.Git(t, c.dir, "config", "core.logAllRefUpdates", "false")
	c.moveTo("main", ids[0])
	c.moveTo("main", ids[1])
	gittest.Git(t, c.dir, "pack-refs", "--all")
	c.moveTo("main", ids[2]) // the loose ref wins over the packed one
	gittest.Git(t, c.dir, "pack-refs", "--all")
	c.moveTo("a/b", ids[3]) // and the packed one goes with its branch
	c.moveTo("a", ids[4])
	c.moveTo("a/b/c", ids[5])
	gittest.Git(t, c.dir, "checkout", "-q", "--detach")
	gittest.Git(t, c.dir, "update-ref", "-d", "refs/heads/a/b/c")
	c.moveTo("main", ids[6])
	for _, bad := range []string{"", "..", "a..b", "a b", "x.lock", "/x", "../../config"} {
		if err := commitMove(c.dir, bad, plumbing.NewHash(ids[6])); err == nil {
			t.Errorf("branch %q is accepted", bad)
		}
	}
}

func TestMarker(t *testing.T) {
	c := newCheckout(t)
	from, to := strings.Repeat("1", 40), strings.Repeat("2", 40)
	for text, want := range map[string]unfinished{
		"":                                    {},
		"garbage":                             {},
		from + " " + to[:39] + "\n":           {},
		from + " " + to + "\n":                {From: plumbing.NewHash(from), To: plumbing.NewHash(to)},
		from + " " + to + " another-boot\n":   {From: plumbing.NewHash(from), To: plumbing.NewHash(to)},
		from + " " + to + " " + bootID() + "": {From: plumbing.NewHash(from), To: plumbing.NewHash(to), sameBoot: bootID() != ""},
	} {
		c.write(".git/"+markerFile, text)
		got, found, err := interruptedMove(c.dir)
		if got != want || !found || err != nil {
			t.Errorf("%q: %v %v %v, want %v", text, got, found, err, want)
		}
	}
	testkit.Must(t, os.Remove(c.path(".git/"+markerFile)))
	if _, found, err := interruptedMove(c.dir); found || err != nil {
		t.Errorf("no marker: %v %v", found, err)
	}
}

// TestMissingObjects: what lacks an object says so before anything is touched.
func TestMissingObjects(t *testing.T) {
	c := newCheckout(t)
	c.loose = true
	one, two := versions(c.src)
	c.move(one)
	c.fetch(two)
	id := c.src.Git("rev-parse", two+":new/a/b")
	testkit.Must(t, os.Remove(c.path(".git/objects/"+id[:2]+"/"+id[2:])))
	if _, err := c.tryMove(t.Context(), one, two); err == nil || !strings.Contains(err.Error(), "new/a/b: "+id+": object is missing or damaged") {
		t.Errorf("missing: %v", err)
	}
	c.check()
	// a damaged one is found when it is written; the move can be finished once it is whole again
	c.fetch(two)
	gittest.Git(t, c.dir, "fetch", "-q", "--refetch", "--depth=1", "file://"+c.src.Dir, two)
	path := c.path(".git/objects/" + id[:2] + "/" + id[2:])
	if b, err := os.ReadFile(path); err == nil {
		testkit.Must(t, os.Chmod(path, 0o644))
		b[len(b)/2] ^= 1
		testkit.Must(t, os.WriteFile(path, b, 0o644))
		if _, err := c.tryMove(t.Context(), one, two); err == nil || !strings.Contains(err.Error(), "object is missing or damaged") {
			t.Errorf("damaged: %v", err)
		}
		b[len(b)/2] ^= 1
		testkit.Must(t, os.WriteFile(path, b, 0o644))
	}
	_, err := c.tryMove(t.Context(), one, two)
	testkit.Must(t, err)
	c.at = two
	c.check()
}
