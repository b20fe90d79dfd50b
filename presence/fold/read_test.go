package fold

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

func TestPeoplesFilesStay(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	now := noon()
	g.tell("a", node.Idle, now)
	g.Commit("main", gittest.File("LICENSE", "MIT"), gittest.File("docs/x", "y"), gittest.File("it/x", "y"), gittest.File("it/presence/2015/x", "y"), gittest.Change{Path: "run", Content: "#!", Mode: "100755"},
		gittest.File("README.md", "ours"))
	f := folder(t, server.URL+"/r.git")
	once(t, f, now)
	g.Commit("main", gittest.File("docs/z", "later"))
	g.tell("a", node.Working, now.Add(time.Second))
	once(t, f, now.Add(time.Minute))
	want := "100644 LICENSE, 100644 README.md, 100644 docs/x, 100644 docs/z, 100644 fold.json, 100644 history/2026/03/01.jsonl, " +
		"100644 it/presence/2015/x, 100644 it/presence/all/a.json, 100644 it/x, 100644 refs.json, 100755 run"
	if got := strings.ReplaceAll(g.Git("ls-tree", "-r", "--format=%(objectmode) %(path)", "main"), "\n", ", "); got != want {
		t.Errorf("there are %s", got)
	}
	if n := g.Git("rev-list", "--count", "main"); n != "4" {
		t.Errorf("%s commits", n)
	}
	gittest.Fsck(t, repo.Dir)
}

func TestWiped(t *testing.T) {
	for _, withFold := range []bool{false, true} {
		repo, server := gittest.Remote(t, gittest.ServerOptions{})
		g := newGrid(t, repo)
		now := noon()
		g.many(40, node.Idle, now)
		r := reader(t, server.URL+"/r.git")
		f := folder(t, server.URL+"/r.git")
		if withFold {
			once(t, f, now)
		}
		if got := read(t, r, now); len(got.Nodes) != 40 {
			t.Fatalf("%d nodes", len(got.Nodes))
		}
		for ref := range strings.Lines(g.Git("for-each-ref", "--format=%(refname)")) {
			g.Git("update-ref", "-d", strings.TrimSpace(ref))
		}
		got := read(t, r, now)
		if len(got.Nodes) != 0 || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "there were 40") {
			t.Errorf("fold %v: %d nodes, %q", withFold, len(got.Nodes), got.Notes)
		}
		if report := once(t, f, now); report.Pushed {
			t.Errorf("fold of nothing: %+v", report)
		}
		// Everybody comes back.
		g.many(40, node.Idle, now)
		once(t, f, now)
		if got := read(t, r, now); len(got.Nodes) != 40 || len(got.Notes) != 0 || got.From != presence.FromFold {
			t.Errorf("fold %v: %d nodes from %s, %q", withFold, len(got.Nodes), got.From, got.Notes)
		}
	}
}

// TestFailedRead: what was read last stays, in this process and in the next.
func TestFailedRead(t *testing.T) {
	for _, withFold := range []bool{false, true} {
		var down atomic.Bool
		repo, server := gittest.Remote(t, gittest.ServerOptions{Wrap: func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if down.Load() {
					http.Error(w, "down", http.StatusServiceUnavailable)
					return
				}
				h.ServeHTTP(w, r)
			})
		}})
		g := newGrid(t, repo)
		now := noon()
		g.many(3, node.Idle, now)
		o := Options{Source: remote.Source{URL: server.URL + "/r.git"}, CacheDir: filepath.Join(t.TempDir(), "cache")}
		if withFold {
			once(t, folder(t, o.Source.URL), now)
		}
		r := readerWith(t, o)
		if got := r.Last(); got.From != "" {
			t.Errorf("before any reading %+v", got)
		}
		want := read(t, r, now)
		down.Store(true)
		if got, err := r.Read(t.Context(), now.Add(time.Minute)); err == nil || len(got.Nodes) != 0 {
			t.Errorf("read %+v, %v", got, err)
		}
		if got := r.Last(); say(got, now) != say(want, now) || !got.At.Equal(now) {
			t.Errorf("last %+v", got)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		next := readerWith(t, o)
		if _, err := next.Read(t.Context(), now.Add(time.Minute)); err == nil {
			t.Error("no error")
		}
		if got := next.Last(); say(got, now) != say(want, now) || got.From != want.From {
			t.Errorf("fold %v: last of the next process %s from %q", withFold, say(got, now), got.From)
		}
		down.Store(false)
		requests := server.Requests.Load()
		if got := read(t, next, now.Add(time.Minute)); say(got, now) != say(want, now) {
			t.Errorf("read %s", say(got, now))
		}
		// The fold's ref, and without a fold all refs: nothing is read anew.
		if n := server.Requests.Load() - requests; n != map[bool]int64{false: 2, true: 1}[withFold] {
			t.Errorf("fold %v: %d requests", withFold, n)
		}
		cut, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := next.Read(cut, now); err == nil || len(next.Last().Nodes) != 3 {
			t.Errorf("cut: %v, last %+v", err, next.Last())
		}
	}
}

func TestCache(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	now := noon()
	g.many(3, node.Idle, now)
	o := Options{Source: remote.Source{URL: server.URL + "/r.git"}, CacheDir: filepath.Join(t.TempDir(), "a", "cache")}
	file := filepath.Join(o.CacheDir, "refs.json")
	use := func(o Options) presence.Fleet {
		t.Helper()
		r := readerWith(t, o)
		got := read(t, r, now)
		if len(got.Nodes) != 3 {
			t.Errorf("%d nodes, %q", len(got.Nodes), got.Notes)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		return got
	}
	use(o)
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("cache %v, %v", info, err)
	}
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var doc cached
	if err := json.Unmarshal(good, &doc); err != nil || doc.Filetype != cacheType || len(doc.Nodes) != 3 {
		t.Errorf("cache %s, %v", good, err)
	}
	for what, bad := range map[string]string{
		"empty": "", "cut": string(good[:len(good)/2]), "another": `{"filetype":"x"}`, "list": "[]",
		"bad id":     strings.Replace(string(good), `"nodes":{"`, `"nodes":{"../`, 1),
		"bad record": strings.Replace(string(good), `nodepresence`, `nodeevent`, 1),
	} {
		if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := use(o); len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "refs.json.corrupt") {
			t.Errorf("%s: %q", what, got.Notes)
		}
		if aside, err := os.ReadFile(file + ".corrupt"); err != nil || string(aside) != bad {
			t.Errorf("%s: aside %q, %v", what, aside, err)
		}
		if now, err := os.ReadFile(file); err != nil || len(now) != len(good) {
			t.Errorf("%s: it is not written anew: %v", what, err)
		}
	}
	// What is cached of another repository is nothing here, and no fault.
	elsewhere, other := gittest.Remote(t, gittest.ServerOptions{})
	newGrid(t, elsewhere).many(3, node.Idle, now)
	o2 := o
	o2.Source.URL = other.URL + "/r.git"
	if got := use(o2); len(got.Notes) != 0 {
		t.Errorf("another repository: %q", got.Notes)
	}
	use(o)

	// One process at a time: the second works without.
	holder := readerWith(t, o)
	read(t, holder, now)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	second := readerWith(t, o)
	if got := read(t, second, now); len(got.Nodes) != 3 || second.repo.dir == o.CacheDir {
		t.Errorf("%d nodes, in %s", len(got.Nodes), second.repo.dir)
	}
	scratch := second.repo.dir
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(scratch); !os.IsNotExist(err) {
		t.Errorf("%s is left behind", scratch)
	}
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the second wrote into the cache of the first: %v", err)
	}
	// A folder that cannot be made is no reason not to read.
	taken := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	use(Options{Source: o.Source, CacheDir: taken})
	use(Options{Source: o.Source})
}

func TestNewRefuses(t *testing.T) {
	for _, o := range []Options{
		{}, {Source: remote.Source{URL: "nonsense"}}, {Source: remote.Source{URL: "/x"}, Prefix: "refs/heads/"},
		{Source: remote.Source{URL: "/x"}, Prefix: "presence/"}, {Source: remote.Source{URL: "/x"}, Prefix: "refs/"},
		{Source: remote.Source{URL: "/x"}, Prefix: "refs/heads//x/"},
	} {
		if _, err := NewReader(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
		if _, err := NewAggregator(AggregatorOptions{Options: o}); err == nil {
			t.Errorf("%+v is taken to fold", o)
		}
	}
}
