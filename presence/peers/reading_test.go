package peers

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
)

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
	p, err := New(cfg, remote.Source{URL: cfg.Presence.URL}, "i-1", false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
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
	p.Close()
	again, err := New(cfg, remote.Source{URL: cfg.Presence.URL}, "i-1", true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Close)
	if err := again.Tick(now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if set := again.Set(filter); !set.Known || set.ID != two {
		t.Errorf("another process: known %v, the same %v", set.Known, set.ID == two)
	}
}
