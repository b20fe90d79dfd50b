package peers

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
	"github.com/addagent/addagent/service"
	"github.com/addagent/addagent/work"
)

// TestServices: a set is read at each beat while something asks for it, settles, keeps what it has below min and while
// presence is away, and is never an empty one for not having been read.
func TestServices(t *testing.T) {
	for _, once := range []bool{false, true} {
		dir := t.TempDir()
		at := filepath.Join(dir, "grid.git")
		grid := gittest.New(t, at)
		now := time.Now().UTC().Truncate(time.Second)
		say := func(id, code string) {
			data, err := presence.Encode(presence.Record{InstanceID: id, Deployment: "fed1", State: node.Idle, BeatSeen: now, BeatNextBy: now.Add(10 * time.Hour),
				IP: "10.0.0.1", Services: []presence.Service{{Name: "db", Port: 3306, Code: code}}})
			testkit.Must(t, err)
			grid.Commit("presence/"+id, gittest.File(gitstore.PathOf(id), string(data)))
		}
		say("i-1", "000000")
		cfg := config.Default(config.Options{Root: true})
		cfg.Home, cfg.StateDir, cfg.Presence.URL = dir, filepath.Join(dir, "lib"), at
		testkit.Must(t, os.MkdirAll(filepath.Join(dir, "nodeinfo"), 0o755))
		testkit.Must(t, os.MkdirAll(cfg.StateDir, 0o755))
		away := func() { testkit.Must(t, os.Rename(at, at+".away")) }
		back := func() { testkit.Must(t, os.Rename(at+".away", at)) }
		watch := service.Watch{Service: "db", Deployment: "fed1", Min: 1}
		var p *Peers
		open := func() {
			var err error
			p, err = New(cfg, remote.Source{URL: at}, "i-9", once)
			testkit.Must(t, err)
		}
		open()
		beat := func() work.NodeSet {
			if once {
				p.Close()
				open()
			}
			now = now.Add(time.Minute)
			_ = p.Tick(now)
			p.going.Wait()
			set := p.Services(watch)
			p.going.Wait()
			return set
		}
		nodes := func(set work.NodeSet) int { return strings.Count(string(set.Endpoints), `"node"`) }

		away()
		for range 3 {
			if set := beat(); set.Known || set.Await == "" || set.Endpoints != nil || set.Overdue {
				t.Errorf("presence was never read: %+v", set)
			}
		}
		now = now.Add(2 * time.Hour)
		if set := beat(); !set.Overdue || set.Known {
			t.Errorf("after hours: %+v", set)
		}
		back()
		beat()
		one := beat()
		if !one.Known || one.Await != "" || nodes(one) != 1 {
			t.Errorf("%+v", one)
		}
		if data, err := os.ReadFile(filepath.Join(dir, "nodeinfo", "services.json")); err != nil || !strings.Contains(string(data), one.ID) {
			t.Errorf("%s, %v", data, err)
		}
		say("i-2", "000000")
		if set := beat(); set.ID != one.ID {
			t.Error("a set that has not settled was let through")
		}
		two := beat()
		if two.ID == one.ID || nodes(two) != 2 {
			t.Errorf("it has settled: %+v", two)
		}
		// Undone within a beat, it is no change.
		say("i-2", "ER0023")
		beat()
		say("i-2", "000000")
		for range 3 {
			if set := beat(); set.ID != two.ID {
				t.Errorf("%+v", set)
			}
		}
		away()
		for range 3 {
			if set := beat(); set.ID != two.ID || nodes(set) != 2 {
				t.Errorf("presence is away: %+v", set)
			}
		}
		back()
		// Below min it keeps what it has.
		say("i-1", "ER0023")
		say("i-2", "ER0023")
		for range 4 {
			if set := beat(); set.ID != two.ID {
				t.Errorf("below min: %+v", set)
			}
		}
		watch.Min = 0
		for range 3 {
			beat()
		}
		watch.Required = true
		if set := beat(); nodes(set) != 0 || set.Await == "" || set.ID == two.ID {
			t.Errorf("it is empty on purpose: %+v", set)
		}
		watch.Min = 2
		if set := beat(); set.Await != "waiting for endpoints of db: 0 of 2 so far" {
			t.Errorf("a first run below min: %+v", set)
		}
		p.Close()
		if plan := PlannedServices(cfg)(watch); plan.Await == "" || !plan.Known {
			t.Errorf("plan says %+v", plan)
		}
	}
}

// TestServicesForgotten: a set that no item watches any more is not read and not shown; a beat in which not all items
// were judged says nothing about that.
func TestServicesForgotten(t *testing.T) {
	for _, once := range []bool{false, true} {
		dir := t.TempDir()
		at := filepath.Join(dir, "grid.git")
		gittest.New(t, at)
		cfg := config.Default(config.Options{Root: true})
		cfg.Home, cfg.StateDir, cfg.Presence.URL = dir, filepath.Join(dir, "lib"), at
		shown := filepath.Join(dir, "nodeinfo", "services.json")
		testkit.Must(t, os.MkdirAll(filepath.Dir(shown), 0o755))
		testkit.Must(t, os.MkdirAll(cfg.StateDir, 0o755))
		now := time.Now().UTC().Truncate(time.Second)
		var p *Peers
		open := func() {
			var err error
			p, err = New(cfg, remote.Source{URL: at}, "i-9", once)
			testkit.Must(t, err)
		}
		open()
		beat := func(judged bool, watched ...string) {
			t.Helper()
			if once {
				p.Close()
				open()
			}
			now = now.Add(time.Minute)
			testkit.Must(t, p.Tick(now))
			p.going.Wait()
			for _, name := range watched {
				p.Services(service.Watch{Service: name})
				p.going.Wait()
			}
			if judged {
				p.Judged()
			}
		}
		known := func(want ...string) {
			t.Helper()
			data, _ := os.ReadFile(shown)
			for _, name := range []string{"db", "api"} {
				if want := slices.Contains(want, name); strings.Contains(string(data), `"`+name+`"`) != want {
					t.Errorf("once %v: %s", once, data)
				}
			}
			if len(p.services.known) != len(want) {
				t.Errorf("once %v: %v", once, p.services.known)
			}
		}
		for range 2 {
			beat(true, "db", "api")
		}
		beat(false)
		beat(false, "db")
		beat(true, "db", "api")
		known("db", "api")
		for range 3 {
			beat(true, "db")
		}
		known("db")
		for range 3 {
			beat(true)
		}
		known()
		if p.services.wanted || p.services.begin(now) {
			t.Error("it is still read")
		}
		p.Close()
	}
}
