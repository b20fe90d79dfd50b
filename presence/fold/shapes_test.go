package fold

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
)

// object writes an object of any kind into a repository.
func (g *grid) object(kind string, data []byte) string {
	g.tb.Helper()
	id, err := gittest.TryGit(g.Dir, data, "hash-object", "-w", "--stdin", "-t", kind, "--literally")
	testkit.Must(g.tb, err)
	return id
}

// at makes a commit whose tree has an object as the record of a node.
func (g *grid) at(id, blob string, parents ...string) string {
	g.tb.Helper()
	tree, err := gittest.TryGit(g.Dir, []byte("100644 blob "+blob+"\t"+id+".json\n"), "mktree")
	testkit.Must(g.tb, err)
	for _, dir := range []string{"all", "presence", "it"} {
		tree, err = gittest.TryGit(g.Dir, []byte("040000 tree "+tree+"\t"+dir+"\n"), "mktree")
		testkit.Must(g.tb, err)
	}
	args := []string{"commit-tree", "-m", "x", tree}
	for _, p := range parents {
		args = append(args, "-p", p)
	}
	return g.Git(args...)
}

// ref writes a ref, also one that git does not write.
func (g *grid) ref(id, to string) {
	g.tb.Helper()
	testkit.Must(g.tb, os.MkdirAll(filepath.Join(g.Dir, g.prefix), 0o755))
	testkit.Must(g.tb, os.WriteFile(filepath.Join(g.Dir, g.prefix, id), []byte(to+"\n"), 0o644))
}

// hostile are what may lie at refs of nodes: each puts refs below presence/bad- and returns how many.
var hostile = map[string]func(g *grid) int{
	"eight refs share a huge blob of zeros": func(g *grid) int {
		blob := g.object("blob", make([]byte, 100<<20))
		for i := range 8 {
			id := fmt.Sprint("bad-", i)
			g.Git("update-ref", g.prefix+id, g.at(id, blob))
		}
		return 8
	},
	"refs at huge blobs and trees": func(g *grid) int {
		g.ref("bad-blob", g.object("blob", make([]byte, 70<<20)))
		g.ref("bad-tree", g.object("tree", bytes.Repeat([]byte("100644 a\x0001234567890123456789"), 100_000)))
		return 2
	},
	"a huge commit, a tag, a commit without a tree": func(g *grid) int {
		tree := g.Git("rev-parse", g.prefix+name(0)+"^{tree}")
		g.Git("update-ref", g.prefix+"bad-commit", g.object("commit", fmt.Appendf(nil, "tree %s\nauthor a <a> 1 +0000\ncommitter a <a> 1 +0000\n\n%s", tree, strings.Repeat("x", 3<<20))))
		g.Git("tag", "-a", "-m", "x", "tagged", g.prefix+name(0))
		g.ref("bad-tag", g.Git("rev-parse", "refs/tags/tagged"))
		g.Git("update-ref", g.prefix+"bad-empty", g.Git("commit-tree", "-m", "x", g.object("tree", nil)))
		return 3
	},
	"deep trees and many entries": func(g *grid) int {
		g.Import(fmt.Appendf(nil, "feature done\ncommit %sbad-deep\ncommitter C <c@example.org> 1 +0000\ndata 1\nx\nM 100644 inline %sf\ndata 2\n{}\n\ndone\n",
			g.prefix, strings.Repeat("d/", 501)))
		return 1
	},
	"records of a megabyte, and of brackets": func(g *grid) int {
		for what, data := range map[string][]byte{"long": bytes.Repeat([]byte(" "), 1<<20), "nested": bytes.Repeat([]byte("["), 200<<10),
			"key": []byte(`{"filetype":"nodepresence","value":{"instance-id":"bad-key","` + strings.Repeat("k", 40<<10) + `":1}}`)} {
			g.Git("update-ref", g.prefix+"bad-"+what, g.at("bad-"+what, g.object("blob", data)))
		}
		return 2 // an unknown key is ignored, however long
	},
	"many commits": func(g *grid) int {
		var in bytes.Buffer
		in.WriteString("feature done\n")
		for i := range 3000 {
			fmt.Fprintf(&in, "commit %sbad-many\ncommitter C <c@example.org> %d +0000\ndata 1\nx\nM 100644 inline f%d\ndata 1\nx\n\n", g.prefix, i, i)
		}
		in.WriteString("done\n")
		g.Import(in.Bytes())
		return 1
	},
	"names of refs": func(g *grid) int {
		for _, n := range []string{"-x", "a/b/c", "\u009b31m", strings.Repeat("n", 200), "x..y"} {
			_, _ = gittest.TryGit(g.Dir, nil, "update-ref", g.prefix+n, g.prefix+name(0)) // what git takes of them
		}
		return 0
	},
}

// TestHostileShapes: whatever lies at some refs, each reader goes on with the others, names those that it cannot read,
// and does it in bounded memory.
func TestHostileShapes(t *testing.T) {
	for what, shape := range hostile {
		t.Run(what, func(t *testing.T) {
			testkit.OneIn(t, 8)
			repo, server := gittest.Remote(t, gittest.ServerOptions{})
			g := newGrid(t, repo)
			now := noon()
			g.many(20, node.Idle, now)
			bad := shape(g)
			url := server.URL + "/r.git"
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			r := reader(t, url)
			f := folder(t, url)
			for range 2 {
				got := read(t, r, now)
				known := 0
				for i := range 20 {
					if _, ok := got.Node(name(i)); ok {
						known++
					}
				}
				if known != 20 || got.Unseen != bad {
					t.Errorf("from %s: %d nodes, %d unseen, %q", got.From, known, got.Unseen, got.Notes)
				}
				for _, id := range strings.Fields(g.Git("for-each-ref", "--format=%(refname)", g.prefix+"bad-*")) {
					id = strings.TrimPrefix(id, g.prefix)
					if _, ok := got.Node(id); !ok && !strings.Contains(strings.Join(got.Notes, "\n"), id+": ") {
						t.Errorf("from %s: no note names %s: %q", got.From, id, got.Notes)
					}
				}
				requests := server.Requests.Load()
				read(t, r, now)
				if n := server.Requests.Load() - requests; n > 2 {
					t.Errorf("what is known to be bad is read again: %d requests", n)
				}
				once(t, f, now)
			}
			if _, err := reader(t, url).Reap(t.Context(), time.Hour, now.Add(24*time.Hour), true); err != nil {
				t.Errorf("reap: %v", err)
			}
			if _, err := reader(t, url).History(t.Context(), "", now.Add(-time.Hour)); err != nil {
				t.Errorf("history: %v", err)
			}
			runtime.ReadMemStats(&after)
			if grown := int64(after.Sys) - int64(before.Sys); grown > 100<<20 {
				t.Errorf("%d MB of memory", grown>>20)
			}
		})
	}
}

// TestMoreThanFits: refs that together hold more than one request may bring hide no other, and of one that alone holds
// too much the newest statement is read.
func TestMoreThanFits(t *testing.T) {
	testkit.Long(t)
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	now := noon()
	g.many(20, node.Idle, now)
	f := folder(t, server.URL+"/r.git")
	once(t, f, now)
	for i := range 400 { // 80 MB in statements that a folding node has not seen
		g.write(name(3), strings.Repeat(" ", 200<<10)+fmt.Sprint(i), "x", now)
	}
	g.say(record(name(3), node.Wedged, now), now)
	g.say(record(name(4), node.Failing, now), now)
	g.push()
	got := once(t, f, now)
	fleet := read(t, reader(t, server.URL+"/r.git"), now)
	three, _ := fleet.Node(name(3))
	four, _ := fleet.Node(name(4))
	if len(got.Notes) != 0 || three.State != node.Wedged || four.State != node.Failing {
		t.Errorf("%q, %s, %s", got.Notes, three.State, four.State)
	}
}

// wants tells whether a request has some words in it.
func wants(r *http.Request, words string) bool {
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return err == nil && bytes.Contains(body, []byte(words))
}

// TestJunkRefs: refs of which none can be read, and more refs than are read, hide no node that is known, and a fleet
// that is not wholly seen says so.
func TestJunkRefs(t *testing.T) {
	var deny string
	repo, server := gittest.Remote(t, gittest.ServerOptions{Wrap: func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if deny != "" && wants(r, deny) {
				http.Error(w, "no", http.StatusInternalServerError)
				return
			}
			h.ServeHTTP(w, r)
		})
	}})
	g := newGrid(t, repo)
	now := noon()
	url := server.URL + "/r.git"
	g.many(3, node.Idle, now)
	known := reader(t, url)
	read(t, known, now)
	var packed bytes.Buffer
	packed.WriteString("# pack-refs with: peeled fully-peeled sorted \n")
	junk := g.at("junk", g.object("blob", []byte("junk")))
	for i := range nodeLimit {
		fmt.Fprintf(&packed, "%s %sa%06d\n", junk, g.prefix, i)
	}
	for i := range 3 {
		fmt.Fprintf(&packed, "%s %s%s\n", g.Git("rev-parse", g.prefix+name(i)), g.prefix, name(i))
	}
	testkit.Must(t, os.WriteFile(filepath.Join(g.Dir, "packed-refs"), packed.Bytes(), 0o644))
	testkit.Must(t, os.RemoveAll(filepath.Join(g.Dir, "refs", "heads", "presence")))
	if got := read(t, known, now); len(got.Nodes) != 3 || got.Unseen != nodeLimit {
		t.Errorf("%d nodes, %d unseen", len(got.Nodes), got.Unseen)
	}
	if got := read(t, reader(t, url), now); got.Unseen != nodeLimit+3 {
		t.Errorf("who knew none: %d nodes, %d unseen", len(got.Nodes), got.Unseen)
	}
	// None of 300 can be read, for whatever reason.
	testkit.Must(t, os.Remove(filepath.Join(g.Dir, "packed-refs")))
	for i := range 300 {
		g.write(fmt.Sprintf("b%03d", i), "junk", fmt.Sprint(i), now)
	}
	g.push()
	deny = "want "
	if got := read(t, readerWith(t, Options{Source: remote.Source{URL: url}}), now); len(got.Nodes) != 0 || got.Unseen != 300 {
		t.Errorf("%d nodes, %d unseen, %q", len(got.Nodes), got.Unseen, got.Notes[:1])
	}
	deny = ""
	// A fold says how many it lacks.
	f := folder(t, url)
	once(t, f, now)
	if got := read(t, reader(t, url), now); len(got.Nodes) != 0 || got.Unseen != 300 || got.From == "" {
		t.Errorf("%d nodes, %d unseen from %s", len(got.Nodes), got.Unseen, got.From)
	}
}
