package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/testkit"
)

const presenceRefs = "refs/heads/presence/"

func nodeName(i int) string { return fmt.Sprintf("i-%04d", i) }

// fill gives a repository the refs of so many nodes, with so many commits each.
func fill(tb testing.TB, src *gittest.Repo, nodes, commits int) map[string]string {
	tb.Helper()
	s, err := New(Source{URL: src.Dir})
	testkit.Must(tb, err)
	tips := make(map[string]string)
	var o objects.Builder
	var updates []Update
	for i := range nodes {
		var parents []string
		for n := range commits {
			parents = []string{putRecord(&o, nodeName(i), fmt.Sprint("state ", n), n, parents...)}
		}
		tips[presenceRefs+nodeName(i)] = parents[0]
		updates = append(updates, Update{Ref: presenceRefs + nodeName(i), New: parents[0], Objects: &o})
	}
	testkit.Must(tb, s.Push(tb.Context(), updates...))
	return tips
}

// readFleet lists the refs and reads what is behind them.
func readFleet(tb testing.TB, s *Repository, o ReadOptions) ([]Ref, *objects.Content) {
	tb.Helper()
	refs, err := s.Refs(tb.Context(), presenceRefs)
	testkit.Must(tb, err)
	ids := make([]string, 0, len(refs))
	for _, r := range refs {
		ids = append(ids, r.ID)
	}
	c, err := s.Read(tb.Context(), ids, o)
	testkit.Must(tb, err)
	return refs, c
}

func TestStoreRead(t *testing.T) {
	everywhere(t, func(t *testing.T, a away) {
		const nodes = 60
		tips := fill(t, a.src, nodes, 5)
		s := a.store(t)
		for _, packed := range []bool{false, true} {
			if packed {
				a.src.Git("repack", "-qadf", "--depth=50", "--window=50")
				a.src.Git("pack-refs", "--all")
				if a.src.Git("verify-pack", "-s", a.packFile(t)) == "" {
					t.Fatal("no pack")
				}
			}
			refs, c := readFleet(t, s, ReadOptions{Depth: 1})
			if len(refs) != nodes {
				t.Fatalf("%d refs", len(refs))
			}
			for i, r := range refs {
				if r.Name != presenceRefs+nodeName(i) || r.ID != tips[r.Name] {
					t.Fatalf("%+v", r)
				}
				data, err := c.File(r.ID, "it/presence/all/"+nodeName(i)+".json")
				testkit.Must(t, err)
				if !bytes.Equal(data, someRecord(nodeName(i), "state 4")) {
					t.Fatalf("%q", data)
				}
				info, err := c.Commit(r.ID)
				testkit.Must(t, err)
				if want := nodeName(i) + ":prod/app1 state 4"; info.Subject() != want || len(info.Parents) != 1 || c.Has(info.Parents[0]) ||
					info.Author != (objects.Person{Name: nodeName(i), Email: nodeName(i) + "@example.org", When: time.Unix(1_800_000_004, 0).UTC()}) || info.Committer != info.Author {
					t.Fatalf("%+v", info)
				}
				tree, err := c.Tree(r.ID)
				testkit.Must(t, err)
				root, err := tree.List("")
				testkit.Must(t, err)
				if len(root) != 1 || root[0].Name != "it" || !root[0].Dir {
					t.Fatalf("%+v", root)
				}
			}
			tip := refs[7].ID
			_, c = readFleet(t, s, ReadOptions{Depth: 3})
			if n := chain(t, c, tip); n != 3 {
				t.Errorf("depth 3: %d", n)
			}
			_, c = readFleet(t, s, ReadOptions{})
			if n := chain(t, c, tip); n != 5 {
				t.Errorf("all: %d", n)
			}
			_, c = readFleet(t, s, ReadOptions{Since: time.Unix(1_800_000_003, 0)})
			if n := chain(t, c, tip); n != 2 {
				t.Errorf("since: %d", n)
			}
			_, c = readFleet(t, s, ReadOptions{Since: time.Unix(1_900_000_000, 0)})
			if n := chain(t, c, tip); n != 1 {
				t.Errorf("since later: %d", n)
			}
			back := a.src.Git("rev-parse", tip+"~2")
			c, err := s.Read(t.Context(), []string{tip}, ReadOptions{Have: []string{back}})
			testkit.Must(t, err)
			if n := chain(t, c, tip); n != 2 {
				t.Errorf("have: %d", n)
			}
			if _, err := s.Read(t.Context(), []string{tip}, ReadOptions{MaxBytes: 3000}); err == nil {
				t.Error("more than the limit was read")
			}
		}
		_, c := readFleet(t, s, ReadOptions{Depth: 1})
		tip := tips[presenceRefs+nodeName(0)]
		for name, want := range map[string]error{"it/none": fs.ErrNotExist, "none/x": fs.ErrNotExist, "it/presence/all/i-0000.json/x": fs.ErrNotExist} {
			if _, err := c.File(tip, name); !errors.Is(err, want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := c.Commit(strings.Repeat("1", 40)); !errors.Is(err, objects.ErrMissing) {
			t.Error(err)
		}
		if _, err := c.File(tip, "it"); err == nil {
			t.Error("a folder was read as a file")
		}
		if _, err := s.Read(t.Context(), []string{strings.Repeat("1", 40)}, ReadOptions{}); err == nil {
			t.Error("what is not there was read")
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Refs(gone); err == nil && a.source.URL != a.src.Dir {
			t.Error("no error")
		}
		if _, err := s.Read(gone, []string{tip}, ReadOptions{}); err == nil {
			t.Error("no error")
		}
	})
}

func (a away) packFile(tb testing.TB) string {
	tb.Helper()
	for _, f := range gittest.Files(tb, a.src.Dir) {
		if strings.HasSuffix(f, ".idx") {
			return f
		}
	}
	tb.Fatal("there is no pack")
	return ""
}

// chain returns how many commits of a line were read.
func chain(tb testing.TB, c *objects.Content, id string) int {
	tb.Helper()
	for n := 0; ; n++ {
		if !c.Has(id) {
			return n
		}
		info, err := c.Commit(id)
		testkit.Must(tb, err)
		if len(info.Parents) == 0 {
			return n + 1
		}
		id = info.Parents[0]
	}
}
