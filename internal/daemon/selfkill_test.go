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
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
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

// TestFortyRealRecordsOnOneBadCommit: one commit wedges forty nodes, and none ends itself. Once one node succeeds,
// one of the others ends itself, once, and the rest wait for the lease.
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

// TestKillByOneProcessABeat: each beat is a process of its own, as under cron. The one that has failed for long ends
// itself, though another node holds the lease and is dead; not sooner than in one process, not when the beats paused or
// the machine was booted again, and not twice. A machine that ends says so until it is gone.
func TestKillByOneProcessABeat(t *testing.T) {
	g := newEndings(t, 2)
	g.nodes[1].state, g.nodes[1].done = node.Idle, map[string]string{"root": "bad"}
	g.everybodyTells()
	d := g.nodes[0]
	dead := gitstore.LeaseWatch{}
	store, err := remote.New(PresenceSource(d.cfg))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if won, _, err := gitstore.TakeLease(t.Context(), store, &dead, gitstore.RefPrefix, "kill/fed1/app1", "i-dead", "x", time.Now().Add(20*time.Minute), time.Now(), 0); !won || err != nil {
		t.Fatal(won, err)
	}
	boot, last := "b1", time.Duration(0)
	beat := func(up time.Duration) *doomed {
		t.Helper()
		one := &doomed{id: d.id, state: d.state, mark: d.mark}
		one.selfKill = newSelfKill(&selfKill{id: d.id, bootID: boot, once: true, sinks: d.sinks, woken: make(chan struct{}, 1), say: one.say}, d.sinks.stateDir)
		one.wake = func() { signalBeat(one.woken) }
		one.configure(d.cfg)
		before := journal.Beat{Clock: journal.Reading{BootID: boot, Seconds: last.Seconds()}}
		before.Next = before.Clock.At.Add(time.Minute)
		if err := one.recall(&before, up); err != nil {
			t.Error(err)
		}
		last = up
		if err := one.consider(time.Now(), up, &agent.Wedge{Items: map[string]string{"ops:root": "bad"}}); err != nil {
			t.Error(err)
		}
		for one.pending(t.Context()) {
			one.tell(t)
		}
		return one
	}
	ended := func() int { data, _ := os.ReadFile(d.mark); return strings.Count(string(data), "\n") }
	beat(time.Minute)
	beat(59 * time.Minute) // too long after: what lasted is not known
	if one := beat(60*time.Minute - time.Second); len(one.said) != 0 {
		t.Errorf("considered before wedged.after: %q", one.said)
	}
	if one := beat(60 * time.Minute); len(one.said) != 1 || !strings.Contains(one.said[0], "lease of the part held by i-dead") {
		t.Errorf("said %q", one.said)
	}
	said := 0
	for at := 61 * time.Minute; at <= 80*time.Minute; at += time.Minute {
		said += len(beat(at).said)
	}
	if n := ended(); n != 0 || said != 0 {
		t.Errorf("ended %d times while the lease lasts, and said %d lines more", n, said)
	}
	boot = "b2"
	for at := 0 * time.Minute; at <= 21*time.Minute; at += time.Minute {
		beat(at)
	}
	if n := ended(); n != 0 {
		t.Errorf("ended %d times: what was seen before the boot does not count", n)
	}
	for at := 22 * time.Minute; at <= 30*time.Minute; at += time.Minute {
		one := beat(at)
		if why, _ := one.attempt(); (why != "") != (ended() == 1) {
			t.Errorf("after %s it leaves: %q, ended %d times", at, why, ended())
		}
	}
	if n := ended(); n != 1 {
		t.Errorf("ended %d times", n)
	}
	if got := g.grid.Git("log", "-1", "--format=%s", "presence/"+d.id); got != d.id+":fed1/app1 leaving" {
		t.Errorf("presence has of it: %q", got)
	}
	for at := 31 * time.Minute; at <= 95*time.Minute; at += time.Minute {
		beat(at)
	}
	if one := beat(96 * time.Minute); ended() != 1 || one.why != "" {
		t.Errorf("ended %d times, leaves: %q, an hour after it did not go", ended(), one.why)
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
