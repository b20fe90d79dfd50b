package fold

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
)

// TestAgesInTheHistory: what a node cannot say itself the fold says, once.
func TestAgesInTheHistory(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	f := folder(t, server.URL+"/r.git")
	now := noon()
	var want []string
	fold := func(after time.Duration, lines ...string) {
		t.Helper()
		now = now.Add(after)
		once(t, f, now)
		want = append(want, lines...)
		sameSet(t, fmt.Sprintf("after %s", now.Sub(noon())), g.lines(), want)
	}
	g.tell("a", node.Idle, now)
	g.tell("b", node.Leaving, now)
	fold(0, "a >idle", "b >leaving")
	fold(14 * time.Minute)
	fold(time.Minute, "a present>late")
	fold(time.Minute)
	if s := g.Git("show", "main:README.md"); !strings.Contains(s, "| a | fed1/app1 | late (idle) |") {
		t.Errorf("README: %s", s)
	}
	// Another folding node says nothing twice.
	f = folder(t, server.URL+"/r.git")
	fold(time.Minute)
	fold(10*time.Minute, "a late>missing")
	fold(time.Hour)
	g.tell("a", node.Idle, now)
	fold(0, "a missing>present")
	g.tell("a", node.Wedged, now.Add(30*time.Minute))
	fold(30*time.Minute, "a idle>wedged")
	g.tell("a", node.Leaving, now)
	g.tell("b", node.Setup, now)
	fold(time.Minute, "a wedged>leaving", "b leaving>setup")
	g.Git("update-ref", "-d", gitstore.RefName(g.prefix, "a"))
	g.Git("update-ref", "-d", gitstore.RefName(g.prefix, "b"))
	fold(time.Minute, "a leaving>gone", "b setup>gone")
	fold(time.Minute)
	all, err := reader(t, server.URL+"/r.git").History(t.Context(), "", noon().Add(-time.Hour))
	if err != nil || len(all) != len(want) {
		t.Errorf("%d lines, %v", len(all), err)
	}
	reasons := map[string]string{}
	for _, tr := range all {
		reasons[tr.ID+" "+tr.To] = tr.Reason
	}
	for _, key := range slices.Sorted(maps.Keys(reasons)) {
		want := map[string]string{"a late": "last beat 2026-03-01T12:00:00Z", "a missing": "last beat 2026-03-01T12:00:00Z", "a gone": "reaped", "b gone": "its ref was deleted"}[key]
		if reasons[key] != want {
			t.Errorf("%s: reason %q, not %q", key, reasons[key], want)
		}
	}
}

// TestQuietFold: nothing is pushed when nothing changed, but for a sign of life, and readers take the fold for fresh
// all the while.
func TestQuietFold(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	f, r := folder(t, server.URL+"/r.git"), reader(t, server.URL+"/r.git")
	now := noon()
	g.tell("a", node.Idle, now)
	pushed := ""
	for range 10 {
		if once(t, f, now).Pushed {
			pushed += "x"
		} else {
			pushed += "-"
		}
		if got := read(t, r, now); got.From != presence.FromFold || len(got.Nodes) != 1 {
			t.Errorf("%s after %s", got.From, now.Sub(noon()))
		}
		now = now.Add(time.Minute)
	}
	if pushed != "x--x--x--x" {
		t.Errorf("pushed %s", pushed)
	}
	if got := g.Git("log", "--format=%s", "main"); got != "fold: nothing new\nfold: nothing new\nfold: nothing new\nfold: a idle" {
		t.Errorf("log %q", got)
	}
	if got := g.Git("diff", "--name-only", "main~1", "main"); got != "fold.json" {
		t.Errorf("a sign of life changes %q", got)
	}
	// The folding node is gone, and it comes back; its clock was set back meanwhile.
	now = now.Add(20 * time.Minute)
	if got := read(t, r, now); got.From != presence.FromRefs || len(got.Nodes) != 1 {
		t.Errorf("of an old fold: %s", got.From)
	}
	for _, at := range []time.Time{now, now.Add(-time.Hour)} {
		if got := once(t, f, at); !got.Pushed {
			t.Errorf("at %s nothing was pushed", at)
		}
		if got := read(t, r, at); got.From != presence.FromFold {
			t.Errorf("at %s read from %s", at, got.From)
		}
	}
}

// TestRecordsAreAsTold: byte for byte, also those of other agents.
func TestRecordsAreAsTold(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	now := noon()
	old := `{"value":{"a":"a","instance-id":"old","state":"done","nodepart":"app1"},  "filetype":"nodepresence"}`
	g.write("old", old, "x", now)
	g.say(record("new", node.Idle, now), now)
	g.push()
	once(t, folder(t, server.URL+"/r.git"), now)
	for _, id := range []string{"old", "new"} {
		mine, folded := g.Git("rev-parse", gitstore.RefName(g.prefix, id)+":"+gitstore.PathOf(id)), g.Git("rev-parse", "main:"+gitstore.PathOf(id))
		if mine != folded {
			t.Errorf("%s: %s is folded as %s", id, mine, folded)
		}
	}
	if got := say(read(t, reader(t, server.URL+"/r.git"), now), now); got != "new idle present, old done present" {
		t.Errorf("read %s", got)
	}
	if got := say(read(t, reader(t, server.URL+"/r.git"), now.Add(3*time.Minute)), now.Add(time.Hour)); got != "new idle missing, old done missing" {
		t.Errorf("read later %s", got)
	}
}

// TestRewrittenRef: a node that cuts or rewrites the history of its ref loses nothing and doubles nothing.
func TestRewrittenRef(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	f := folder(t, server.URL+"/r.git")
	now := noon()
	tell := func(id string, states ...node.State) {
		t.Helper()
		for _, s := range states {
			now = now.Add(time.Second)
			g.tell(id, s, now)
		}
	}
	tell("a", node.Setup, node.InitDone)
	once(t, f, now)
	tell("a", node.Idle, node.Working)
	// Only the last two commits are kept, as new ones.
	ref := gitstore.RefName(g.prefix, "a")
	squash := func() {
		t.Helper()
		parent, last := "", ""
		for _, rev := range []string{ref + "~1", ref} {
			stamp := g.Git("log", "-1", "--format=%ct", rev) + " +0000"
			tree := g.Git("rev-parse", rev+"^{tree}")
			out, err := gittest.TryGit(g.Dir, []byte(fmt.Sprintf("tree %s\n%sauthor x <x@example.org> %s\ncommitter x <x@example.org> %s\n\nkept\n",
				tree, parent, stamp, stamp)), "hash-object", "-w", "-t", "commit", "--stdin")
			if err != nil {
				t.Fatal(err)
			}
			parent, last = "parent "+out+"\n", out
		}
		g.Git("update-ref", ref, last)
	}
	squash()
	once(t, f, now)
	want := []string{"a >setup", "a setup>initdone", "a initdone>idle", "a idle>working"}
	sameSet(t, "squashed", g.lines(), want)
	// And again, where all that is kept is folded already; also with a folding node that knows only the fold.
	tell("a", node.Failing)
	once(t, f, now)
	squash()
	want = append(want, "a working>failing")
	once(t, f, now)
	sameSet(t, "squashed again", g.lines(), want)
	once(t, folder(t, server.URL+"/r.git"), now)
	sameSet(t, "another folding node", g.lines(), want)
	// The fold's own list is lost: the records tell where to go on.
	g.Commit("main", gittest.Remove(refsFile))
	tell("a", node.Idle)
	once(t, f, now)
	sameSet(t, "without refs.json", g.lines(), append(want, "a failing>idle"))
}

// TestTheSameRecordAgain: records of the first agents have no times, so the same bytes come again; each transition
// counts.
func TestTheSameRecordAgain(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	f, r := folder(t, server.URL+"/r.git"), reader(t, server.URL+"/r.git")
	now := noon()
	say := func(states ...string) {
		for _, s := range states {
			now = now.Add(10 * time.Minute)
			g.write("old", `{"filetype":"nodepresence","value":{"instance-id":"old","state":"`+s+`"}}`, s, now)
		}
		g.push()
		once(t, f, now)
		if got := read(t, r, now); len(got.Nodes) != 1 || got.Nodes[0].Age(now) != presence.Present || !got.Nodes[0].Told.Equal(now) {
			t.Errorf("%q: %+v", states, got)
		}
	}
	say("done")
	say("done")
	say("working", "done")
	say("done", "working", "idle", "done", "done")
	sameSet(t, "history", g.lines(), []string{"old >done", "old done>working", "old working>done", "old done>working", "old working>idle", "old idle>done"})
}

func TestOldHistoryGoes(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	g.Commit("main", gittest.File("history/2025/01/20.jsonl", ""), gittest.File("history/2025/01/26.jsonl", ""), gittest.File("history/2025/02/01.jsonl", ""),
		gittest.File("history/2024/12/31.jsonl", ""), gittest.File("history/2026/02/28.jsonl", ""))
	g.tell("a", node.Idle, noon())
	once(t, folder(t, server.URL+"/r.git"), noon())
	want := "history/2025/01/26.jsonl history/2025/02/01.jsonl history/2026/02/28.jsonl history/2026/03/01.jsonl"
	if got := strings.ReplaceAll(g.Git("ls-tree", "-r", "--name-only", "main", "history/"), "\n", " "); got != want {
		t.Errorf("there are %s", got)
	}
	gittest.Fsck(t, repo.Dir)
}

// TestReap: only those that are gone or missing for long, and none that moves meanwhile.
func TestReap(t *testing.T) {
	var before func()
	repo, server := gittest.Remote(t, gittest.ServerOptions{Wrap: func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if call := before; call != nil && strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
				before = nil
				call()
			}
			h.ServeHTTP(w, r)
		})
	}})
	g := newGrid(t, repo)
	now := noon()
	ago := func(id string, s node.State, d time.Duration) { g.tell(id, s, now.Add(-d)) }
	ago("present", node.Idle, 0)
	ago("late", node.Idle, 20*time.Minute)
	ago("young", node.Idle, 24*time.Hour)
	ago("missing", node.Idle, 25*time.Hour)
	ago("left", node.Leaving, 30*time.Hour)
	ago("leaves", node.Leaving, time.Hour)
	ago("back", node.Wedged, 30*time.Hour)
	ago("ahead", node.Idle, -1000*time.Hour)
	g.write("broken", "x", "x", now.Add(-1000*time.Hour))
	g.write("turned", encoded(t, record("turned", node.Idle, now.Add(-90*time.Hour))), "x", now.Add(-90*time.Hour))
	g.push()
	r, f := reader(t, server.URL+"/r.git"), folder(t, server.URL+"/r.git")
	once(t, f, now)
	read(t, r, now)
	g.write("turned", "and now it is broken", "x", now)
	g.push()
	names := func(list []Reaped) string {
		var all []string
		for _, one := range list {
			all = append(all, one.Node.InstanceID+" "+string(one.Age))
		}
		return strings.Join(all, ", ")
	}
	there := g.Git("for-each-ref")
	list, err := r.Reap(t.Context(), 0, now, true)
	if err != nil || names(list) != "back missing, left gone, missing missing" {
		t.Errorf("would reap %s, %v", names(list), err)
	}
	if want := now.Add(12*time.Minute - 25*time.Hour); !list[2].Since.Equal(want) {
		t.Errorf("missing since %s, not %s", list[2].Since, want)
	}
	if g.Git("for-each-ref") != there {
		t.Error("a dry run changed something")
	}
	before = func() { g.tell("back", node.Idle, now) }
	if list, err = r.Reap(t.Context(), 0, now, false); err != nil || names(list) != "left gone, missing missing" {
		t.Errorf("reaped %s, %v", names(list), err)
	}
	left := strings.ReplaceAll(g.Git("for-each-ref", "--format=%(refname:lstrip=3)", "refs/heads/presence/"), "\n", " ")
	if left != "ahead back broken late leaves present turned young" {
		t.Errorf("left are %s", left)
	}
	once(t, f, now)
	lines := strings.Join(g.lines(), ", ")
	for _, want := range []string{"left leaving>gone", "missing missing>gone", "back missing>present", "back wedged>idle"} {
		if !strings.Contains(lines, want) {
			t.Errorf("no %q in %s", want, lines)
		}
	}
	if history, err := r.History(t.Context(), "missing", noon().Add(-100*time.Hour)); err != nil || len(history) != 2 || history[1].Reason != "reaped" {
		t.Errorf("history of a reaped node %+v, %v", history, err)
	}
	if list, err := r.Reap(t.Context(), time.Minute, now, false); err != nil || names(list) != "leaves gone, young missing" {
		t.Errorf("reaped %s, %v", names(list), err)
	}
	// A server that allows no deletion says so.
	ago("left", node.Leaving, 30*time.Hour)
	repo.Git("config", "receive.denyDeletes", "true")
	if list, err := r.Reap(t.Context(), 0, now, false); err == nil || len(list) != 0 || !strings.Contains(err.Error(), "left: its ref is kept") {
		t.Errorf("reaped %s, %v", names(list), err)
	}
}

// TestHistory: with a fold, without one, and of what is not folded yet.
func TestHistory(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	now := noon()
	tell := func(id string, after time.Duration, s node.State) {
		t.Helper()
		now = now.Add(after)
		g.tell(id, s, now)
	}
	tell("a", 0, node.Setup)
	tell("a", time.Minute, node.InitDone)
	tell("a", time.Minute, node.Idle)
	tell("a", 10*time.Minute, node.Idle)
	tell("b", 0, node.Wedged)
	tell("a", 30*time.Hour, node.Idle)
	tell("a", 10*time.Minute, node.Working)
	tell("a", time.Second, node.Failing)
	ask := func(id string, since time.Time, want string) {
		t.Helper()
		list, err := reader(t, server.URL+"/r.git").History(t.Context(), id, since)
		var got []string
		for _, tr := range list {
			got = append(got, fmt.Sprintf("%s %s>%s", tr.ID, tr.From, tr.To))
		}
		if err != nil || strings.Join(got, ", ") != want {
			t.Errorf("history of %q since %s: %s, %v\nnot %s", id, since, strings.Join(got, ", "), err, want)
		}
	}
	whole := "a >setup, a setup>initdone, a initdone>idle, a idle>working, a working>failing"
	ask("a", time.Unix(0, 0), whole)
	ask("a", noon(), whole)
	ask("a", noon().Add(90*time.Second), "a initdone>idle, a idle>working, a working>failing")
	ask("a", now.Add(-time.Minute), "a idle>working, a working>failing")
	ask("a", now.Add(time.Hour), "")
	ask("b", noon(), "b >wedged")
	ask("nobody", noon(), "")
	ask("", now.Add(-time.Minute), "a idle>working, a working>failing")
	f := folder(t, server.URL+"/r.git")
	once(t, f, now)
	tell("a", time.Minute, node.Idle)
	once(t, f, now)
	ask("a", now.Add(-time.Second), "a failing>idle")
	tell("a", time.Minute, node.Working)
	tell("c", 0, node.Setup)
	ask("", now.Add(-time.Minute), "a failing>idle, a idle>working, c >setup")
	once(t, f, now)
	ask("", now.Add(-time.Minute), "a failing>idle, a idle>working, c >setup")
}
