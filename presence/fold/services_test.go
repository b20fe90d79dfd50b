package fold

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
	"github.com/addagent/addagent/presence/history"
)

// offers is what a node says that offers a service.
func offers(id string, at time.Time, services ...presence.Service) presence.Record {
	r := record(id, node.Idle, at)
	r.IP, r.Services = "10.0.0.7", services
	return r
}

// TestServicesInTheHistory: each change of a code or a role is a line, also those between two folds that leave the
// state of the node as it is, and those of an attacker are none.
func TestServicesInTheHistory(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	now := noon()
	db := presence.Service{Name: "db", Port: 3306, Role: "slave", Code: "ER0021", State: "installing"}
	say := func(change func(*presence.Service)) {
		now = now.Add(time.Second)
		change(&db)
		g.say(offers("a", now, db), now)
	}
	say(func(*presence.Service) {})
	say(func(s *presence.Service) { s.Code, s.State = "000000", "running" })
	say(func(s *presence.Service) { s.Role = "master" })
	say(func(s *presence.Service) { s.Code, s.State = "ER0003", "out of disk" })
	g.push()
	f := folder(t, server.URL+"/r.git")
	once(t, f, now)
	say(func(s *presence.Service) { s.Code, s.State = "000000", "running" })
	say(func(*presence.Service) {}) // a refresh
	say(func(s *presence.Service) { s.Code = "ER0023" })
	g.push()
	now = now.Add(time.Second)
	g.say(offers("a", now), now)
	g.push()
	once(t, f, now)
	want := []string{"  >idle", "code db >ER0021", "role db >slave", "code db ER0021>000000", "role db slave>master", "code db 000000>ER0003",
		"code db ER0003>000000", "code db 000000>ER0023", "code db ER0023>gone"}
	read := func() (got []string) {
		list, err := reader(t, server.URL+"/r.git").History(t.Context(), "a", noon())
		testkit.Must(t, err)
		for _, l := range list {
			got = append(got, strings.Join([]string{l.Kind, l.Service, l.From + ">" + l.To}, " "))
		}
		return got
	}
	if got := read(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	// What is not in a fold yet comes from the node's own ref.
	say(func(s *presence.Service) { s.Code = "000000" })
	g.push()
	if got := read(); len(got) != len(want)+2 {
		t.Errorf("%q", got)
	}
	hostile := history.Parse([]byte(`{"time":"2026-03-01T12:00:00Z","id":"a","kind":"code","service":"x\u001b[2J","from":"1","to":"2"}
{"time":"2026-03-01T12:00:00Z","id":"a","kind":"exec","service":"db","from":"1","to":"2"}
{"time":"2026-03-01T12:00:00Z","id":"a","service":"db","from":"1","to":"2"}
`))
	if len(hostile) > 0 {
		t.Errorf("%+v", hostile)
	}
}

// TestIndexOfServices: the index is written with the fold, moves only when an endpoint differs, costs its readers one
// request, and is not trusted when no fold is made any more.
func TestIndexOfServices(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	now := noon()
	db := presence.Service{Name: "db", Port: 3306, Role: "master", Code: "000000", State: "running", Time: now}
	url := server.URL + "/r.git"
	f := folder(t, url)
	g.tell("x", node.Idle, now)
	once(t, f, now)
	if tip := g.Git("for-each-ref", gitstore.ServicesRef); tip != "" {
		t.Errorf("nothing is offered, and there is %s", tip)
	}
	for _, id := range []string{"b", "a"} {
		g.say(offers(id, now, db), now)
	}
	g.push()
	once(t, f, now)
	tip := func() string { return g.Git("rev-parse", gitstore.ServicesRef) }
	first := tip()
	if s := g.Git("show", "services:service/db.json"); !strings.Contains(s, `"node":"a"`) || strings.Count(s, "\n") != 6 {
		t.Errorf("%s", s)
	}

	cache := filepath.Join(t.TempDir(), "cache")
	o := Options{Source: remote.Source{URL: url}, CacheDir: cache}
	r := readerWith(t, o)
	set := func(want string) {
		t.Helper()
		all, err := r.Endpoints(t.Context(), now)
		testkit.Must(t, err)
		var got []string
		for _, e := range all.Set(presence.ServiceFilter{Service: "db"}, "fed1") {
			got = append(got, e.Node)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("at %s: %q, not %q", now.Sub(noon()), s, want)
		}
	}
	set("a b")

	// Only the fold moves: a state, a time, a refresh.
	now = now.Add(3 * time.Minute)
	db.Time, db.State = now, "well"
	r2 := offers("a", now, db)
	r2.State = node.Working
	g.say(r2, now)
	g.push()
	once(t, f, now)
	if tip() != first {
		t.Error("the index moved without a difference")
	}
	before := server.Requests.Load()
	set("a b")
	if n := server.Requests.Load() - before; n != 1 {
		t.Errorf("%d requests", n)
	}

	// Another control node goes on, and both may write.
	other := folder(t, url)
	now = now.Add(time.Minute)
	db.Code = "ER0020"
	g.say(offers("a", now, db), now)
	g.push()
	once(t, other, now)
	second := tip()
	set("b")
	now = now.Add(time.Minute)
	once(t, f, now)
	if second == first || tip() != second {
		t.Error("two folds of the same make two indexes")
	}

	// The fold dies: while it may only be late the index counts, then the nodes' own refs.
	db.Code = "000000"
	g.say(offers("a", now.Add(time.Second), db), now.Add(time.Second))
	g.push()
	now = now.Add(2 * time.Minute)
	set("b")
	testkit.Must(t, r.Close())
	r = readerWith(t, o) // another process
	now = now.Add(5 * time.Minute)
	set("a b")
	// It is back.
	now = now.Add(time.Minute)
	once(t, f, now)
	set("a b")
	if tip() == second {
		t.Error("the index did not move")
	}

	// Garbage in the index hides nothing, and the next fold repairs it.
	g.Commit("services", gittest.File("index.json", "{"), gittest.File("service/db.json", "rubbish"), gittest.File("service/..json", "[]"))
	set("a b")
	now = now.Add(time.Minute)
	once(t, f, now)
	if s := g.Git("show", "services:service/db.json"); !strings.Contains(s, `"node":"a"`) {
		t.Errorf("%s", s)
	}
	set("a b")

	// Wiped: what nodes say themselves counts.
	g.Git("update-ref", "-d", gitstore.FoldRef)
	set("a b")
	g.Git("update-ref", "-d", gitstore.ServicesRef)
	set("a b")
	now = now.Add(time.Minute)
	once(t, f, now)
	set("a b")

	// A server that is away changes nothing.
	if err := os.Rename(repo.Dir, repo.Dir+".away"); err != nil {
		t.Fatal(err)
	}
	if all, err := r.Endpoints(t.Context(), now); err == nil || all != nil || len(r.endpoints["db"]) != 2 {
		t.Errorf("%v, %v, %v", all, err, r.endpoints)
	}
}
