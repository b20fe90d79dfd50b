package daemon

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/addagent/addagent/agent"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// endings are nodes of one part with one real presence repository, which is asked over HTTP: what is played is only the
// agent that beats.
type endings struct {
	t      *testing.T
	server *gittest.Server
	grid   *gittest.Repo
	dir    string
	nodes  []*doomed
}

// doomed is one of them.
type doomed struct {
	*selfKill
	id    string
	state node.State
	done  map[string]string
	mark  string // the file that its command leaves
	mu    sync.Mutex
	said  []string
}

func newEndings(t *testing.T, n int) *endings {
	t.Helper()
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := &endings{t: t, server: server, grid: repo, dir: t.TempDir()}
	for i := range n {
		id := fmt.Sprintf("i-%02d", i)
		home := filepath.Join(g.dir, id)
		if err := os.MkdirAll(filepath.Join(home, "nodeinfo"), 0o755); err != nil {
			t.Fatal(err)
		}
		for field, value := range map[string]string{"nodepart": "app1", "deployment": "fed1"} {
			if err := os.WriteFile(filepath.Join(home, "nodeinfo", field+".txt"), []byte(value+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		d := &doomed{id: id, state: node.Wedged, mark: filepath.Join(home, "ended")}
		cfg := config.Default(config.Options{Root: true})
		cfg.Home, cfg.StateDir = home, filepath.Join(home, "lib")
		cfg.Presence.URL = server.URL + "/r.git"
		cfg.Wedged = config.Wedged{Kill: "command", After: time.Minute, Command: []string{"/bin/sh", "-c", "echo >>" + d.mark}}
		tell := &sinks{nodeinfo: filepath.Join(home, "nodeinfo"), stateDir: cfg.StateDir}
		t.Cleanup(tell.Close)
		d.selfKill = newSelfKill(&selfKill{id: id, sinks: tell, wake: func() { d.tell(t) }, say: d.say}, cfg.StateDir)
		d.configure(cfg)
		tell.configure(cfg)
		g.nodes = append(g.nodes, d)
	}
	return g
}

func (d *doomed) say(n journal.News) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.said = append(d.said, n.Text)
}

// tell is what the agent of this node does at each beat.
func (d *doomed) tell(t *testing.T) {
	now := time.Now().UTC()
	r := presence.Record{InstanceID: d.id, Deployment: "fed1", Nodepart: "app1", State: d.state, Reason: "ops:root: exit 3", Hardware: "dmi:" + d.id + "/",
		BeatSeen: now, BeatNextBy: now.Add(time.Hour), Repos: []presence.Repo{{Name: "ops", Branch: "main", Version: strings.Repeat("a", 40), Done: d.done}}}
	if why, _ := d.attempt(); why != "" {
		r.State, r.Reason = node.Leaving, why
	}
	d.sinks.mu.Lock()
	all := slices.Clone(d.sinks.all)
	d.sinks.mu.Unlock()
	for _, one := range all {
		if err := one.Tell(t.Context(), r); err != nil {
			t.Errorf("%s: %v", d.id, err)
		}
	}
	if r.State == node.Leaving {
		_ = d.consider(now, 0, &agent.Wedge{Leaving: true, Reason: r.Reason})
	}
}

// everybodyTells brings all records into the repository.
func (g *endings) everybodyTells() {
	g.t.Helper()
	var all sync.WaitGroup
	limit := make(chan struct{}, 8)
	for _, d := range g.nodes {
		all.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			d.tell(g.t)
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
			defer cancel()
			if err := d.sinks.flush(ctx); err != nil {
				g.t.Errorf("%s: %v", d.id, err)
			}
		})
	}
	all.Wait()
}

// consider lets those that are wedged think of their end, two minutes later each time, and returns who has ended, how
// often.
func (g *endings) consider(times int) map[string]int {
	g.t.Helper()
	start := time.Now().UTC()
	for n := range times + 1 {
		var all sync.WaitGroup
		for _, d := range g.nodes {
			if d.state != node.Wedged {
				continue
			}
			all.Go(func() {
				w := &agent.Wedge{Items: map[string]string{"ops:root": "bad"}}
				// Presence is read by the wall clock: only the killer's own time is played.
				_ = d.consider(start.Add(time.Duration(n)*2*time.Minute), time.Duration(n)*2*time.Minute, w)
				d.killer.Wait()
			})
		}
		all.Wait()
	}
	ended := map[string]int{}
	for _, d := range g.nodes {
		if data, err := os.ReadFile(d.mark); err == nil {
			ended[d.id] = strings.Count(string(data), "\n")
		}
	}
	return ended
}

// TestFortyRealRecordsOnOneBadCommit: forty nodes are wedged by one commit, and nobody ends. One gets through: of the
// others one ends, once, and the rest wait for the lease.
func TestFortyRealRecordsOnOneBadCommit(t *testing.T) {
	t.Parallel()
	g := newEndings(t, 40)
	g.everybodyTells()
	if ended := g.consider(2); len(ended) != 0 {
		t.Fatalf("ended: %v", ended)
	}
	for _, d := range g.nodes {
		if len(d.said) != 1 || !strings.Contains(d.said[0], "no other node of fed1/app1 is present and healthy") {
			t.Fatalf("%s says %q", d.id, d.said)
		}
	}
	lucky := g.nodes[7]
	lucky.state, lucky.done = node.Idle, map[string]string{"root": "bad"}
	g.everybodyTells()
	g.nodes = g.nodes[:12] // those that follow would only wait as well
	ended := g.consider(6)
	if len(ended) != 1 {
		t.Fatalf("ended: %v", ended)
	}
	for id, times := range ended {
		if times != 1 {
			t.Errorf("%s ended %d times", id, times)
		}
		if got := g.grid.Git("log", "-1", "--format=%s", "presence/"+id); got != id+":fed1/app1 leaving" {
			t.Errorf("presence has of it: %q", got)
		}
	}
	if got := g.grid.Git("for-each-ref", "--format=%(refname)", "refs/heads/lease"); got != "refs/heads/lease/kill/fed1/app1" {
		t.Errorf("leases: %q", got)
	}
}

func TestNobodyEndsWhenPresenceIsAway(t *testing.T) {
	g := newEndings(t, 2)
	g.nodes[1].state, g.nodes[1].done = node.Idle, map[string]string{"root": "bad"}
	g.everybodyTells()
	g.server.HTTP.Close()
	if ended := g.consider(6); len(ended) != 0 {
		t.Fatalf("ended: %v", ended)
	}
	if err := g.nodes[0].consider(time.Now(), 0, &agent.Wedge{Items: map[string]string{"ops:root": "bad"}}); err == nil || !strings.Contains(err.Error(), "refusing to terminate: no fresh presence data") {
		t.Errorf("the trouble: %v", err)
	}
}

// TestACommandThatFails takes the node back among the living, and says why.
func TestACommandThatFails(t *testing.T) {
	g := newEndings(t, 2)
	g.nodes[1].state, g.nodes[1].done = node.Idle, map[string]string{"root": "bad"}
	g.everybodyTells()
	d := g.nodes[0]
	d.cfg.Wedged.Command = []string{"/bin/sh", "-c", "echo no rights >&2; exit 3"}
	if ended := g.consider(1); len(ended) != 0 {
		t.Fatalf("ended: %v", ended)
	}
	err := d.consider(time.Now(), 0, &agent.Wedge{Items: map[string]string{"ops:root": "bad"}})
	if why, _ := d.attempt(); err == nil || !strings.Contains(err.Error(), "kill: command: /bin/sh: exit status 3: no rights") || why != "" {
		t.Errorf("the trouble: %v, leaving %q", err, why)
	}
}
