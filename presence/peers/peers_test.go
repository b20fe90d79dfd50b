package peers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
)

func TestMeets(t *testing.T) {
	old, fresh := presence.Settled{Set: "a"}, presence.Settled{New: true, Beats: 1}
	for _, c := range []struct {
		what                string
		settled             map[string]presence.Settled
		before, read, shown bool
		want                bool
	}{
		{"nothing was ever read", nil, false, false, false, true},
		{"read, and it does not show this node", nil, false, true, false, true},
		{"read by an earlier process, and it does not", nil, true, true, false, true},
		{"read by an earlier process, with unknown content", nil, true, false, false, false},
		{"this node has been there for long", nil, true, true, true, false},
		{"it waits", map[string]presence.Settled{"x": fresh}, true, true, true, true},
		{"it waits for another set", map[string]presence.Settled{"y": fresh}, true, true, false, true},
		{"it has stopped waiting", map[string]presence.Settled{"x": old}, true, true, false, false},
		{"it has met others", map[string]presence.Settled{"y": old, "z": fresh}, true, true, false, false},
		{"it has met others, and presence cannot be read", map[string]presence.Settled{"y": old}, false, false, false, false},
	} {
		if got := meets(c.settled, "x", c.before, c.read, c.shown); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}

// TestPeersOfANewNode: a first set waits until presence shows the node itself, as one daemon and as one beat a process;
// and not forever when presence cannot be read.
func TestPeersOfANewNode(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	filter := map[string]string{"part": "app1"}
	for _, c := range []struct {
		what   string
		once   bool
		grid   bool
		awaits int // beats that it waits
		last   int // beat that read presence last, or tried: a failure is not remembered
	}{
		{"daemon", false, true, 3, 3},
		{"one beat a process", true, true, 3, 3},
		{"daemon without presence", false, false, 4, 4},
		{"one beat a process without presence", true, false, 4, 6},
	} {
		t.Run(c.what, func(t *testing.T) {
			dir := t.TempDir()
			grid := gittest.New(t, filepath.Join(dir, "grid.git"))
			say := func(s node.State, log string) {
				data, err := presence.Encode(presence.Record{InstanceID: "i-1", Nodepart: "app1", State: s, StateLog: log, BeatSeen: now, BeatNextBy: now.Add(10 * time.Minute)})
				if err != nil {
					t.Fatal(err)
				}
				grid.Commit("presence/i-1", gittest.File(gitstore.PathOf("i-1"), string(data)))
			}
			say(node.Setup, "setup:20260301-080022;")
			cfg := config.Default(config.Options{Root: true})
			cfg.Home, cfg.StateDir = dir, filepath.Join(dir, "lib")
			cfg.Presence.URL, cfg.Presence.Read = filepath.Join(dir, "grid.git"), time.Hour // but for a first set
			if !c.grid {
				cfg.Presence.URL = filepath.Join(dir, "nothing.git")
			}
			for _, d := range []string{filepath.Join(dir, "nodeinfo"), cfg.StateDir} {
				if err := os.MkdirAll(d, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if set := PlannedSet(cfg)(filter); !strings.Contains(set.Await, "(beat 1 of at most 5)") {
				t.Errorf("plan says %+v", set)
			}
			var p *Peers
			open := func() {
				var err error
				if p, err = New(cfg, remote.Source{URL: cfg.Presence.URL}, "i-1", c.once); err != nil {
					t.Fatal(err)
				}
			}
			open()
			defer func() { p.Close() }()
			for beat := range 7 {
				if c.once && beat > 0 {
					p.Close()
					open()
				}
				if err := p.Tick(now.Add(time.Duration(beat) * time.Minute)); c.grid && err != nil {
					t.Fatal(err)
				}
				p.going.Wait()
				if beat == 6 && !p.next.Equal(now.Add(time.Duration(c.last)*time.Minute+time.Hour)) {
					t.Errorf("presence is read again at %s", p.next)
				}
				got := p.Set(filter)
				if waits := beat < c.awaits; (got.Await != "") != waits || got.Known != (c.grid && !waits) || p.Set(filter).ID != got.ID {
					t.Errorf("beat %d: %+v", beat, got)
				}
				if plan := PlannedSet(cfg)(filter); plan.Await != got.Await || plan.Known {
					t.Errorf("beat %d: plan says %+v", beat, plan)
				}
				if beat == 1 {
					say(node.Idle, "setup:20260301-080022;initdone:20260301-080025;")
				}
			}
		})
	}
}
