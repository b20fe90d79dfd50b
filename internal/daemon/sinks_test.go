package daemon

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/sink"
	"github.com/addagent/addagent/presence"
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
	tell := &sinks{nodeinfo: filepath.Join(dir, "nodeinfo"), stateDir: filepath.Join(dir, "lib")}
	t.Cleanup(tell.Close)

	if got := names(tell.configure(cfg)); got != "files" {
		t.Errorf("by default: %s", got)
	}
	cfg.Presence.URL = filepath.Join(dir, "grid.git")
	cfg.Chat = []config.Room{{URL: url("a"), Only: "all", From: "node"}, {URL: url("b"), Only: "critical", From: "node"}, {URL: url("c"), Only: "all", From: "fleet"}}
	sinks := tell.configure(cfg)
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
	sinks = tell.configure(cfg)
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
	tell := &sinks{nodeinfo: filepath.Join(dir, "nodeinfo"), stateDir: dir}
	t.Cleanup(tell.Close)
	room := tell.configure(cfg)[1]
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
