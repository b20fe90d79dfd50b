package fold

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
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
