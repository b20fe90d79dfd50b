package worktree

import (
	"os"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/go-git/go-git/v5/plumbing"
)

func TestMarker(t *testing.T) {
	c := newCheckout(t)
	from, to := strings.Repeat("1", 40), strings.Repeat("2", 40)
	for text, want := range map[string]Marker{
		"":                                    {},
		"garbage":                             {},
		from + " " + to[:39] + "\n":           {},
		"damaged: an object\n":                {Damage: "an object"},
		from + " " + to + "\n":                {From: plumbing.NewHash(from), To: plumbing.NewHash(to)},
		from + " " + to + " another-boot\n":   {From: plumbing.NewHash(from), To: plumbing.NewHash(to)},
		from + " " + to + " " + bootID() + "": {From: plumbing.NewHash(from), To: plumbing.NewHash(to), sameBoot: bootID() != ""},
	} {
		c.write(".git/"+markerFile, text)
		got, found, err := ReadMarker(c.dir)
		if got != want || !found || err != nil {
			t.Errorf("%q: %v %v %v, want %v", text, got, found, err, want)
		}
	}
	testkit.Must(t, os.Remove(c.path(".git/"+markerFile)))
	if _, found, err := ReadMarker(c.dir); found || err != nil {
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
