package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/gitrepo"
	"github.com/addagent/addagent/internal/gitrepo/gittest"
	"github.com/addagent/addagent/node"
	"github.com/addagent/addagent/presence"
)

// encoded is a record as it is told.
func encoded(t *testing.T, r presence.Record) string {
	t.Helper()
	data, err := presence.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestBrokenRecords: each kind of record that cannot be read is named, and hides nobody else; from the refs as from a fold.
func TestBrokenRecords(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	url := server.URL + "/r.git"
	now := noon()
	g.tell("good", node.Idle, now)
	g.tell("worse", node.Idle, now)
	g.push()
	broken := map[string]string{ // what the note says
		"another": "says that it is of good", "cut": "unexpected end", "event": "filetype", "huge": "longer|bytes|too big", "empty": "unexpected end",
		"none": "holds no", "link": "no file", "folder": "no file", "later": "cannot be|year|Time", "worse": "invalid character",
	}
	g.write("another", encoded(t, record("good", node.Wedged, now)), "x", now)
	g.write("cut", encoded(t, record("cut", node.Idle, now))[:100], "x", now)
	g.write("event", `{"filetype":"nodeevent","value":{"instance-id":"event"}}`, "x", now)
	g.write("huge", strings.Repeat(" ", recordLimit)+encoded(t, record("huge", node.Idle, now)), "x", now)
	g.write("empty", "", "x", now)
	g.write("later", strings.Replace(encoded(t, record("later", node.Idle, now)), now.Format(time.RFC3339), "9999-12-31T23:59:59-23:59", 1), "x", now)
	g.write("worse", "not json", "x", now)
	g.push()
	g.CommitOn("presence/none", nil, gittest.File("README", "nothing here"))
	g.CommitOn("presence/link", nil, gittest.Change{Path: presence.PathOf("link"), Content: "/etc/passwd", Mode: "120000"})
	g.CommitOn("presence/folder", nil, gittest.File(presence.PathOf("folder")+"/x", "y"))
	// Refs that are no node's.
	for _, name := range []string{"presence/x/y", "presence/-x", "other/a", "lease/kill/fed1/app1"} {
		g.CommitOn(name, nil, gittest.File(presence.PathOf("x"), encoded(t, record("x", node.Idle, now))))
	}
	check := func(what string, f Fleet) {
		t.Helper()
		if got := say(f, now); got != "good idle present" && got != "good idle present, worse idle present" {
			t.Errorf("%s: %s", what, got)
		}
		notes := strings.Join(f.Notes, "\n") + "\n"
		if len(f.Notes) != len(broken) {
			t.Errorf("%s: %d notes", what, len(f.Notes))
		}
		for id, words := range broken {
			found := false
			for _, n := range f.Notes {
				for word := range strings.SplitSeq(words, "|") {
					found = found || strings.HasPrefix(n, id+": ") && strings.Contains(n, word)
				}
			}
			if !found {
				t.Errorf("%s: no note says of %s %q:\n%s", what, id, words, notes)
			}
		}
	}
	r := reader(t, url)
	check("refs", read(t, r, now))
	check("refs again", read(t, r, now))
	f := folder(t, url)
	first := once(t, f, now)
	check("fold", read(t, r, now))
	if got := once(t, f, now); got.Pushed || len(got.Notes) != len(first.Notes) {
		t.Errorf("a fold of the same: %+v", got)
	}
	// One that is mended is there, one that breaks keeps its last record.
	g.tell("cut", node.Idle, now)
	g.write("good", "broken now", "x", now)
	g.push()
	once(t, f, now)
	got := read(t, r, now)
	if s := say(got, now); !strings.Contains(s, "cut idle present, good idle present") || len(got.Notes) != len(broken) {
		t.Errorf("%s, %q", s, got.Notes)
	}
	g.tell("good", node.Working, now.Add(time.Second))
	once(t, f, now)
	if s := say(read(t, r, now), now); !strings.Contains(s, "good working present") {
		t.Errorf("mended: %s", s)
	}
	gittest.Fsck(t, repo.Dir)
}

// TestHostileRefs: refs that point at what is no commit, or at something huge, hide nobody.
func TestHostileRefs(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	g.prefix = "refs/presence/"
	now := noon()
	g.many(200, node.Idle, now)
	blob, err := gittest.TryGit(repo.Dir, []byte("a blob"), "hash-object", "-w", "--stdin")
	if err != nil {
		t.Fatal(err)
	}
	big, err := gittest.TryGit(repo.Dir, bytes.Repeat([]byte("0123456789abcdef"), 5<<20), "hash-object", "-w", "--stdin")
	if err != nil {
		t.Fatal(err)
	}
	g.Git("update-ref", "refs/presence/blob", blob)
	g.Git("update-ref", "refs/presence/tree", g.Git("rev-parse", "refs/presence/"+name(0)+"^{tree}"))
	tree, err := gittest.TryGit(repo.Dir, []byte("100644 blob "+big+"\tbig\n"), "mktree")
	if err != nil {
		t.Fatal(err)
	}
	g.Git("update-ref", "refs/presence/big", g.Git("commit-tree", "-m", "big", tree))
	r := readerWith(t, Options{Source: gitrepo.Source{URL: server.URL + "/r.git"}, Prefix: "refs/presence/", CacheDir: t.TempDir()})
	for range 2 {
		got := read(t, r, now)
		if len(got.Nodes) != 200 || len(got.Notes) != 3 {
			t.Errorf("%d nodes, %q", len(got.Nodes), got.Notes)
		}
	}
}

// TestHostileFold: a fold that cannot be read, or lies about itself, is passed over for the refs.
func TestHostileFold(t *testing.T) {
	now := noon()
	fresh, err := encodeNote(note{Commits: 1, Folded: now, NextBy: now.Add(5 * time.Minute), Prefix: presence.RefPrefix})
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Replace(fresh, []byte("heads/presence"), []byte("other"), 1)
	ahead, err := encodeNote(note{Folded: now.Add(time.Hour), NextBy: now.Add(2 * time.Hour), Prefix: presence.RefPrefix})
	if err != nil {
		t.Fatal(err)
	}
	forever, err := encodeNote(note{Folded: now, NextBy: now.AddDate(10, 0, 0), Prefix: presence.RefPrefix})
	if err != nil {
		t.Fatal(err)
	}
	for what, changes := range map[string][]gittest.Change{
		"a branch of people":  {gittest.File("README.md", "# presence")},
		"another prefix":      {gittest.File(noteFile, string(other))},
		"from the future":     {gittest.File(noteFile, string(ahead))},
		"good for ever":       {gittest.File(noteFile, string(forever))},
		"nonsense":            {gittest.File(noteFile, "\x00{"), gittest.File(seatsFile, "[]")},
		"unsafe tree":         {gittest.File(noteFile, string(fresh)), {Path: ".git/config", Content: "x"}},
		"note is a folder":    {gittest.File(noteFile+"/x", "x")},
		"note is a link":      {{Path: noteFile, Content: "/etc/passwd", Mode: "120000"}},
		"records are a file":  {gittest.File(presence.Folder, "x")},
		"history is a folder": {gittest.File("history/2026/03/01.jsonl/x", "x")},
	} {
		t.Run(what, func(t *testing.T) {
			repo, server := gittest.Remote(t, gittest.ServerOptions{})
			g := newGrid(t, repo)
			g.tell("a", node.Idle, now)
			fastImport(t, g, changes)
			r := reader(t, server.URL+"/r.git")
			for range 2 {
				if got := read(t, r, now); got.From != FromRefs || say(got, now) != "a idle present" {
					t.Errorf("%s from %s, %q", say(got, now), got.From, got.Notes)
				}
			}
			if what == "unsafe tree" || strings.HasPrefix(what, "note is") {
				return // a person's work: it is not written over
			}
			// Whoever folds makes a sound fold of it, and leaves alone what is not its own.
			once(t, folder(t, server.URL+"/r.git"), now)
			if got := read(t, r, now); got.From != FromFold || say(got, now) != "a idle present" {
				t.Errorf("%s from %s, %q", say(got, now), got.From, got.Notes)
			}
			gittest.Fsck(t, repo.Dir)
		})
	}
}

// fastImport writes a commit of main with any path, also one that git would not take from a work tree.
func fastImport(t *testing.T, g *grid, changes []gittest.Change) {
	t.Helper()
	if len(changes) == 2 && changes[1].Path == ".git/config" {
		blob, err := gittest.TryGit(g.Dir, []byte(changes[0].Content), "hash-object", "-w", "--stdin")
		if err != nil {
			t.Fatal(err)
		}
		// A tree with a .git in it only a program makes that writes the bytes itself.
		inner := rawTree(t, g, "100644 config", blob)
		root := rawTree(t, g, "40000 .git", inner, "100644 "+noteFile, blob)
		g.Git("update-ref", presence.FoldRef, g.Git("commit-tree", "-m", "x", root))
		return
	}
	g.CommitOn("main", nil, changes...)
}

// rawTree writes a tree of "mode name", id pairs.
func rawTree(t *testing.T, g *grid, pairs ...string) string {
	t.Helper()
	var b []byte
	for i := 0; i < len(pairs); i += 2 {
		b = append(append(b, pairs[i]...), 0)
		var id [20]byte
		if _, err := fmt.Sscanf(pairs[i+1], "%x", sliceOf(&id)); err != nil {
			t.Fatal(err)
		}
		b = append(b, id[:]...)
	}
	id, err := gittest.TryGit(g.Dir, b, "hash-object", "-w", "--stdin", "-t", "tree", "--literally")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func sliceOf(id *[20]byte) *[]byte {
	s := id[:]
	return &s
}

func TestPeoplesFilesStay(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	now := noon()
	g.tell("a", node.Idle, now)
	g.Commit("main", gittest.File("LICENSE", "MIT"), gittest.File("docs/x", "y"), gittest.Change{Path: "run", Content: "#!", Mode: "100755"},
		gittest.File("README.md", "ours"))
	f := folder(t, server.URL+"/r.git")
	once(t, f, now)
	g.Commit("main", gittest.File("docs/z", "later"))
	g.tell("a", node.Working, now.Add(time.Second))
	once(t, f, now.Add(time.Minute))
	want := "100644 LICENSE, 100644 README.md, 100644 docs/x, 100644 docs/z, 100644 fold.json, 100644 history/2026/03/01.jsonl, " +
		"100644 it/presence/all/a.json, 100644 refs.json, 100755 run"
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
		if got := read(t, r, now); len(got.Nodes) != 40 || len(got.Notes) != 0 || got.From != FromFold {
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
		o := Options{Source: gitrepo.Source{URL: server.URL + "/r.git"}, CacheDir: filepath.Join(t.TempDir(), "cache")}
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
	o := Options{Source: gitrepo.Source{URL: server.URL + "/r.git"}, CacheDir: filepath.Join(t.TempDir(), "a", "cache")}
	file := filepath.Join(o.CacheDir, "refs.json")
	use := func(o Options) Fleet {
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
	if got := read(t, second, now); len(got.Nodes) != 3 || second.place.dir == o.CacheDir {
		t.Errorf("%d nodes, in %s", len(got.Nodes), second.place.dir)
	}
	scratch := second.place.dir
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
		{}, {Source: gitrepo.Source{URL: "nonsense"}}, {Source: gitrepo.Source{URL: "/x"}, Prefix: "refs/heads/"},
		{Source: gitrepo.Source{URL: "/x"}, Prefix: "presence/"}, {Source: gitrepo.Source{URL: "/x"}, Prefix: "refs/"},
		{Source: gitrepo.Source{URL: "/x"}, Prefix: "refs/heads//x/"},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
		if _, err := NewFolder(FolderOptions{Options: o}); err == nil {
			t.Errorf("%+v is taken to fold", o)
		}
	}
}
