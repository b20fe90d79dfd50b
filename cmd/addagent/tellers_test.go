package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/sink"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
)

// names are the sinks' names, in order.
func names(sinks []sink.Named) string {
	var all []string
	for _, s := range sinks {
		all = append(all, s.Name)
	}
	return strings.Join(all, ", ")
}

// rooms is a HipChat server that counts what is said in each room.
func rooms(t *testing.T) (url func(room string) string, heard func(room string) int) {
	t.Helper()
	said := make(chan string, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		said <- strings.Split(r.URL.Path, "/")[3]
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(server.Close)
	counts := map[string]int{}
	return func(room string) string {
			return "hipchat://token@" + strings.TrimPrefix(server.URL, "http://") + "/" + room + "?scheme=http"
		}, func(room string) int {
			for len(said) > 0 {
				counts[<-said]++
			}
			return counts[room]
		}
}

func TestTellersFollowTheConfig(t *testing.T) {
	dir := t.TempDir()
	grid := gittest.New(t, filepath.Join(dir, "grid.git"))
	url, heard := rooms(t)
	cfg := config.Default(config.Options{Root: true})
	tell := &tellers{nodeinfo: filepath.Join(dir, "nodeinfo"), stateDir: filepath.Join(dir, "lib")}
	t.Cleanup(tell.close)

	if got := names(tell.renew(cfg)); got != "files" {
		t.Errorf("by default: %s", got)
	}
	cfg.Presence.URL = filepath.Join(dir, "grid.git")
	cfg.Chat = []config.Room{{URL: url("a"), Only: "all", From: "node"}, {URL: url("b"), Only: "critical", From: "node"}, {URL: url("c"), Only: "all", From: "fleet"}}
	sinks := tell.renew(cfg)
	if got := names(sinks); got != "files, presence, chat 1, chat 2" {
		t.Fatalf("told: %s", got)
	}
	r := presence.Record{InstanceID: "i-1", Deployment: "fed1", Nodepart: "app1", State: node.Failing, Reason: "ops:root: exit 3", BeatSeen: time.Now()}
	everywhere := func(sinks []sink.Named) {
		t.Helper()
		for _, s := range sinks {
			if err := s.Tell(t.Context(), r); err != nil {
				t.Errorf("%s: %v", s.Name, err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		if err := tell.flush(ctx); err != nil {
			t.Error(err)
		}
	}
	everywhere(sinks)
	if heard("a") != 1 || heard("b") != 0 || heard("c") != 0 {
		t.Errorf("heard %d %d %d", heard("a"), heard("b"), heard("c"))
	}
	if got := grid.Git("log", "--all", "--format=%s"); got != "i-1:fed1/app1 failing" {
		t.Errorf("presence: %q", got)
	}

	// One room goes, another comes before it: the one that stays goes on with what it remembers.
	cfg.Chat = []config.Room{{URL: url("d"), Only: "all", From: "node"}, {URL: url("a"), Only: "all", From: "node"}}
	sinks = tell.renew(cfg)
	tell.sweep(cfg)
	r.State, r.Reason = node.Wedged, "ops:root: exit 3"
	everywhere(sinks)
	if heard("d") != 1 || heard("a") != 2 || heard("b") != 0 {
		t.Errorf("heard d %d, a %d, b %d", heard("d"), heard("a"), heard("b"))
	}
	left, err := os.ReadDir(roomsDir(tell.stateDir))
	if err != nil || len(left) != 2 {
		t.Errorf("what is left of rooms: %v %v", left, err)
	}
}

func TestATellerThatCannotBeOpenedIsATroubleUntilItCan(t *testing.T) {
	dir := t.TempDir()
	url, heard := rooms(t)
	cfg := config.Default(config.Options{Root: true})
	cfg.Chat = []config.Room{{URL: url("a"), Only: "all", From: "node"}}
	// A file stands where the folder of the spool belongs.
	if err := os.WriteFile(filepath.Join(dir, "chat"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tell := &tellers{nodeinfo: filepath.Join(dir, "nodeinfo"), stateDir: dir}
	t.Cleanup(tell.close)
	room := tell.renew(cfg)[1]
	r := presence.Record{InstanceID: "i-1", State: node.Wedged, Reason: "disk", BeatSeen: time.Now()}
	for range 2 {
		if err := room.Tell(t.Context(), r); err == nil {
			t.Fatal("told without a spool")
		}
	}
	if err := os.Remove(filepath.Join(dir, "chat")); err != nil {
		t.Fatal(err)
	}
	if err := room.Tell(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := tell.flush(t.Context()); err != nil || heard("a") != 1 {
		t.Errorf("heard %d, %v", heard("a"), err)
	}
}

// TestPeers reads what others say, keeps it when they cannot be asked any more, and lets a set settle.
func TestPeers(t *testing.T) {
	dir := t.TempDir()
	grid := gittest.New(t, filepath.Join(dir, "grid.git"))
	now := time.Now().UTC().Truncate(time.Second)
	say := func(id string) {
		data, err := presence.Encode(presence.Record{InstanceID: id, Nodepart: "app1", State: node.Idle, StateLog: "initdone:20260301-080022;", BeatSeen: now, BeatNextBy: now.Add(10 * time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		grid.Commit("presence/"+id, gittest.File(gitstore.PathOf(id), string(data)))
	}
	say("i-1")
	cfg := config.Default(config.Options{Root: true})
	cfg.Home, cfg.StateDir = dir, filepath.Join(dir, "lib")
	cfg.Presence.URL, cfg.Presence.Read = filepath.Join(dir, "grid.git"), time.Minute
	if err := os.MkdirAll(filepath.Join(dir, "nodeinfo"), 0o755); err != nil {
		t.Fatal(err)
	}
	p, err := newPeers(cfg, remote.Source{URL: cfg.Presence.URL}, "i-1", false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	filter := map[string]string{"part": "app1"}
	beat := 0
	tick := func() (set string, err error) {
		t.Helper()
		beat++
		err = p.Tick(now.Add(time.Duration(beat) * time.Minute))
		p.going.Wait()
		got := p.Set(filter)
		if got.Known == (got.Await != "") {
			t.Fatalf("%+v", got)
		}
		return got.ID, err
	}
	one, err := tick()
	if one == "" || err != nil {
		t.Fatalf("%q, %v", one, err)
	}
	nodes := func() int {
		t.Helper()
		data, err := os.ReadFile(nodesFile(dir))
		var all []map[string]any
		if err == nil {
			err = json.Unmarshal(data, &all)
		}
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	if nodes() != 1 {
		t.Errorf("%d nodes", nodes())
	}
	say("i-2")
	if set, _ := tick(); set != one {
		t.Error("a set that has not settled was let through")
	}
	two, _ := tick()
	if two == one || nodes() != 2 {
		t.Errorf("it has settled, and is the same; %d nodes", nodes())
	}
	if err := os.Rename(filepath.Join(dir, "grid.git"), filepath.Join(dir, "away.git")); err != nil {
		t.Fatal(err)
	}
	_, _ = tick()
	set, err := tick()
	if err == nil || set != two || nodes() != 2 {
		t.Errorf("the repository is away: %v, the same set %v, %d nodes", err, set == two, nodes())
	}
	if err := os.Rename(filepath.Join(dir, "away.git"), filepath.Join(dir, "grid.git")); err != nil {
		t.Fatal(err)
	}
	_, _ = tick()
	if _, err := tick(); err != nil {
		t.Errorf("it is back: %v", err)
	}
	// One beat a process: the sets that were let through are remembered.
	p.close()
	again, err := newPeers(cfg, remote.Source{URL: cfg.Presence.URL}, "i-1", true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.close)
	if err := again.Tick(now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if set := again.Set(filter); !set.Known || set.ID != two {
		t.Errorf("another process: known %v, the same %v", set.Known, set.ID == two)
	}
}

func TestRefPart(t *testing.T) {
	for word, want := range map[string]string{"app1": "app1", "": "_", "a b/c..d": "a_b_c__d", "-x": "_-x", "grün": "gr_n", "x.lock": "x_lock"} {
		if got := refPart(word); got != want {
			t.Errorf("%q becomes %q, not %q", word, got, want)
		}
	}
}
