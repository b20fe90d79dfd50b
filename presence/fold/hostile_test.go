package fold

import (
	"bytes"
	"fmt"
	"io"
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
	"github.com/addagent/addagent/presence/gitstore"
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

// TestBrokenRecords: each kind of record that cannot be read is named, and hides no other node; from the refs as from a
// fold.
func TestBrokenRecords(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	url := server.URL + "/r.git"
	now := noon()
	g.tell("good", node.Idle, now)
	g.tell("worse", node.Idle, now)
	g.push()
	broken := map[string]string{ // what the note says
		"another": "names good", "cut": "unexpected end", "event": "filetype", "huge": "longer|bytes|too big", "empty": "unexpected end",
		"none": "holds no", "link": "symbolic link", "folder": "no file", "later": "cannot be|year|Time", "worse": "invalid character",
	}
	g.write("another", encoded(t, record("good", node.Wedged, now)), "x", now)
	g.write("cut", encoded(t, record("cut", node.Idle, now))[:100], "x", now)
	g.write("event", `{"filetype":"nodeevent","value":{"instance-id":"event"}}`, "x", now)
	g.write("huge", strings.Repeat(" ", presence.MaxRecordSize)+encoded(t, record("huge", node.Idle, now)), "x", now)
	g.write("empty", "", "x", now)
	g.write("later", strings.Replace(encoded(t, record("later", node.Idle, now)), now.Format(time.RFC3339), "9999-12-31T23:59:59-23:59", 1), "x", now)
	g.write("worse", "not json", "x", now)
	g.push()
	g.CommitOn("presence/none", nil, gittest.File("README", "nothing here"))
	g.CommitOn("presence/link", nil, gittest.Change{Path: gitstore.PathOf("link"), Content: "/etc/passwd", Mode: "120000"})
	g.CommitOn("presence/folder", nil, gittest.File(gitstore.PathOf("folder")+"/x", "y"))
	// Refs that are no node's.
	for _, name := range []string{"presence/x/y", "presence/-x", "other/a", "lease/kill/fed1/app1"} {
		g.CommitOn(name, nil, gittest.File(gitstore.PathOf("x"), encoded(t, record("x", node.Idle, now))))
	}
	check := func(what string, f presence.Fleet) {
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
	requests := server.Requests.Load()
	if got := once(t, f, now); got.Pushed || len(got.Notes) != len(first.Notes) || server.Requests.Load() != requests+1 {
		t.Errorf("a fold of the same: %+v", got)
	}
	// A repaired one is present, a broken one keeps its last record.
	g.tell("cut", node.Idle, now)
	g.write("good", "broken now", "x", now)
	g.push()
	once(t, f, now)
	got := read(t, r, now)
	if s := say(got, now); !strings.Contains(s, "cut idle present, good idle present") || len(got.Notes) != len(broken) {
		t.Errorf("%s, %q", s, got.Notes)
	}
	// What is broken is read once, by this folding node and, where the node was known, by any other.
	requests = server.Requests.Load()
	if got := once(t, f, now); got.Pushed || got.Moved != 0 || server.Requests.Load() != requests+1 {
		t.Errorf("broken, folded again: %+v", got)
	}
	if got := once(t, folder(t, url), now); got.Pushed && len(got.Transitions) > 1 {
		t.Errorf("another folding node: %+v", got)
	}
	g.tell("good", node.Working, now.Add(time.Second))
	once(t, f, now)
	if s := say(read(t, r, now), now); !strings.Contains(s, "good working present") {
		t.Errorf("repaired: %s", s)
	}
	gittest.Fsck(t, repo.Dir)
}

// TestHostileRefs: refs that point at what is no commit, or at something huge, hide no node.
func TestHostileRefs(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	g.prefix = "refs/presence/"
	now := noon()
	g.many(40, node.Idle, now)
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
	r := readerWith(t, Options{Source: remote.Source{URL: server.URL + "/r.git"}, Prefix: "refs/presence/", CacheDir: t.TempDir()})
	for range 2 {
		got := read(t, r, now)
		if len(got.Nodes) != 40 || len(got.Notes) != 3 {
			t.Errorf("%d nodes, %q", len(got.Nodes), got.Notes)
		}
	}
}

// TestUnreadRef: a ref that the server cannot give stops no reader, and once it can, nothing that was said is lost.
func TestUnreadRef(t *testing.T) {
	var refuse atomic.Pointer[string]
	repo, server := gittest.Remote(t, gittest.ServerOptions{Wrap: func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if id := refuse.Load(); err != nil || id != nil && bytes.Contains(body, []byte("want "+*id)) {
				http.Error(w, "no", http.StatusInternalServerError)
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			h.ServeHTTP(w, r)
		})
	}})
	g := newGrid(t, repo)
	f := folder(t, server.URL+"/r.git")
	now := noon()
	g.many(8, node.Idle, now)
	once(t, f, now)
	tell := func(states ...node.State) {
		for _, s := range states {
			now = now.Add(time.Second)
			for i := range 8 {
				g.say(record(name(i), s, now), now)
			}
		}
		g.push()
	}
	tell(node.Working, node.Failing)
	id := g.Tip("presence/" + name(3))
	refuse.Store(&id)
	got := once(t, f, now)
	if !got.Pushed || len(got.Transitions) != 14 || len(got.Notes) != 1 || !strings.HasPrefix(got.Notes[0], name(3)+": not read: ") {
		t.Errorf("%d transitions, %q", len(got.Transitions), got.Notes)
	}
	requests := server.Requests.Load()
	if got := once(t, f, now); got.Pushed || len(got.Notes) != 1 || server.Requests.Load() != requests+1 {
		t.Errorf("again: %+v", got)
	}
	refuse.Store(nil)
	tell(node.Idle)
	if got := once(t, f, now); len(got.Transitions) != 8+2 || len(got.Notes) != 0 {
		t.Errorf("after it %d transitions, %q", len(got.Transitions), got.Notes)
	}
}

// TestHostileFold: a fold that cannot be read, or lies about itself, is passed over for the refs.
func TestHostileFold(t *testing.T) {
	now := noon()
	fresh, err := presence.EncodeDocument(infoType, foldInfo{Commits: 1, Folded: now, NextBy: now.Add(5 * time.Minute), Prefix: gitstore.RefPrefix})
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Replace(fresh, []byte("heads/presence"), []byte("other"), 1)
	ahead, err := presence.EncodeDocument(infoType, foldInfo{Folded: now.Add(time.Hour), NextBy: now.Add(2 * time.Hour), Prefix: gitstore.RefPrefix})
	if err != nil {
		t.Fatal(err)
	}
	forever, err := presence.EncodeDocument(infoType, foldInfo{Folded: now, NextBy: now.AddDate(10, 0, 0), Prefix: gitstore.RefPrefix})
	if err != nil {
		t.Fatal(err)
	}
	for what, changes := range map[string][]gittest.Change{
		"a branch of people":  {gittest.File("README.md", "# presence")},
		"another prefix":      {gittest.File(infoFile, string(other))},
		"from the future":     {gittest.File(infoFile, string(ahead))},
		"valid forever":       {gittest.File(infoFile, string(forever))},
		"nonsense":            {gittest.File(infoFile, "\x00{"), gittest.File(refsFile, "[]")},
		"unsafe tree":         {gittest.File(infoFile, string(fresh)), {Path: ".git/config", Content: "x"}},
		"note is a folder":    {gittest.File(infoFile+"/x", "x")},
		"note is a link":      {{Path: infoFile, Content: "/etc/passwd", Mode: "120000"}},
		"records are a file":  {gittest.File(gitstore.Folder, "x")},
		"history is a folder": {gittest.File("history/2026/03/01.jsonl/x", "x")},
	} {
		t.Run(what, func(t *testing.T) {
			repo, server := gittest.Remote(t, gittest.ServerOptions{})
			g := newGrid(t, repo)
			g.tell("a", node.Idle, now)
			fastImport(t, g, changes)
			r := reader(t, server.URL+"/r.git")
			for range 2 {
				if got := read(t, r, now); got.From != presence.FromRefs || say(got, now) != "a idle present" {
					t.Errorf("%s from %s, %q", say(got, now), got.From, got.Notes)
				}
			}
			if what == "unsafe tree" || strings.HasPrefix(what, "note is") {
				return // a person's work: it is not written over
			}
			// Folding makes a sound fold of it, and leaves alone what is not its own.
			once(t, folder(t, server.URL+"/r.git"), now)
			if got := read(t, r, now); got.From != presence.FromFold || say(got, now) != "a idle present" {
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
		root := rawTree(t, g, "40000 .git", inner, "100644 "+infoFile, blob)
		g.Git("update-ref", gitstore.FoldRef, g.Git("commit-tree", "-m", "x", root))
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

// TestHostileNumbers: times that no format holds, and a list of refs that is not one, stop no reader.
func TestHostileNumbers(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	now := noon()
	g.tell("a", node.Idle, now)
	g.tell("b", node.Idle, now)
	ref := gitstore.RefName(g.prefix, "b")
	at := func(seconds string) {
		t.Helper()
		id, err := gittest.TryGit(g.Dir, []byte(fmt.Sprintf("tree %s\nparent %s\nauthor x <x@example.org> %s +0000\ncommitter x <x@example.org> %s +0000\n\nx\n",
			g.Git("rev-parse", ref+"^{tree}"), g.Git("rev-parse", ref), seconds, seconds)), "hash-object", "-w", "-t", "commit", "--stdin", "--literally")
		if err != nil {
			t.Fatal(err)
		}
		g.Git("update-ref", ref, id)
	}
	f, r := folder(t, server.URL+"/r.git"), reader(t, server.URL+"/r.git")
	for _, seconds := range []string{"9223372036854775807", "-5", "253402300800", "99999999999999999999999"} {
		at(seconds)
		if got := read(t, reader(t, server.URL+"/r.git"), now); say(got, now) != "a idle present, b idle present" {
			t.Errorf("%s: refs: %s, %q", seconds, say(got, now), got.Notes)
		}
		g.tell("a", node.Working, now)
		g.tell("a", node.Idle, now)
		once(t, f, now)
		if got := read(t, r, now); say(got, now) != "a idle present, b idle present" || got.From != presence.FromFold {
			t.Errorf("%s: %s from %s, %q", seconds, say(got, now), got.From, got.Notes)
		}
		if _, err := r.History(t.Context(), "", noon()); err != nil {
			t.Errorf("%s: %v", seconds, err)
		}
	}
	for what, seats := range map[string]string{
		"ids":   `{"a":{"commit":"../../x"},"b":{"commit":"` + strings.Repeat("Z", 40) + `","age":"x"}}`,
		"times": `{"a":{"since":"9999-12-31T23:59:59-23:59","told":"9999-12-31T23:59:59-23:59"}}`,
		"gone":  `{"a":{"commit":"` + strings.Repeat("1", 40) + `"},"c":{}}`,
		"types": `{"a":7}`,
		"list":  `[]`,
	} {
		g.Commit("main", gittest.File(refsFile, `{"filetype":"nodefoldrefs","value":`+seats+`}`))
		g.tell("a", node.Working, now)
		g.tell("a", node.Idle, now)
		if report, err := f.Once(t.Context(), now); err != nil || report.Nodes != 2 {
			t.Errorf("%s: %+v, %v", what, report, err)
		}
		if got := read(t, r, now); say(got, now) != "a idle present, b idle present" || got.From != presence.FromFold {
			t.Errorf("%s: %s from %s, %q", what, say(got, now), got.From, got.Notes)
		}
	}
}

// TestTooManyRefs: a hundred thousand refs are refused, and hide no node from a reader of the fold.
func TestTooManyRefs(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	now := noon()
	g.many(3, node.Idle, now)
	f := folder(t, server.URL+"/r.git")
	once(t, f, now)
	refs, folds := reader(t, server.URL+"/r.git"), reader(t, server.URL+"/r.git")
	read(t, folds, now)
	read(t, refs, now.Add(time.Hour)) // of an old fold
	more := func(n int) {
		t.Helper()
		var packed bytes.Buffer
		id := g.Tip("presence/" + name(0))
		packed.WriteString("# pack-refs with: peeled fully-peeled sorted \n" + g.Tip("main") + " refs/heads/main\n")
		for i := range n {
			fmt.Fprintf(&packed, "%s refs/heads/presence/x%06d\n", id, i)
		}
		if err := os.WriteFile(filepath.Join(g.Dir, "packed-refs"), packed.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(g.Dir, "refs", "heads", "presence")); err != nil {
			t.Fatal(err)
		}
	}
	id := g.Tip("presence/" + name(0))
	more(100_000)
	if got, err := refs.Read(t.Context(), now.Add(time.Hour)); err == nil || len(refs.Last().Nodes) != 3 {
		t.Errorf("%d nodes, %v", len(got.Nodes), err)
	}
	if _, err := f.Once(t.Context(), now); err == nil {
		t.Error("it was folded")
	}
	if got := read(t, folds, now); len(got.Nodes) != 3 || got.From != presence.FromFold {
		t.Errorf("%d nodes from %s", len(got.Nodes), got.From)
	}
	g.Git("update-ref", gitstore.RefName(g.prefix, name(0)), id)
	more(nodeLimit + 500)
	got := read(t, refs, now.Add(time.Hour))
	if len(got.Nodes) != 0 || !strings.Contains(strings.Join(got.Notes, "\n"), "500 refs more than 20000") {
		t.Errorf("%d nodes, %q", len(got.Nodes), got.Notes[:min(3, len(got.Notes))])
	}
}
