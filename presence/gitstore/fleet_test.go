package gitstore

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// All nodes of a fleet tell a transition at once to a server that runs 16 git processes at a time: one push each, none
// refused because of another, no record lost. Their configs are not all the same: each promises what its own says.
func TestGitFleet(t *testing.T) {
	t.Parallel()
	const fleet = 200
	var pushes gate
	processes := make(chan struct{}, 16)
	s := newSite(t, gittest.ServerOptions{Wrap: func(next http.Handler) http.Handler {
		return pushes.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			processes <- struct{}{}
			defer func() { <-processes }()
			next.ServeHTTP(w, r)
		}))
	}})
	id := func(i int) string { return fmt.Sprintf("i-%04d", i) }
	record := func(i int, state node.State, after time.Duration) presence.Record {
		r := said(state, after)
		r.InstanceID, r.Hardware = id(i), "ec2:"+id(i)
		return r
	}
	dir := t.TempDir()
	sinks := make([]*Sink, fleet)
	for i := range sinks {
		store, err := remote.New(remote.Source{URL: s.url})
		if err != nil {
			t.Fatal(err)
		}
		sinks[i] = New(Options{Remote: store, StateFile: filepath.Join(dir, id(i)+".json"), Refresh: 10 * time.Minute,
			Pushes: []int{6, 300, 6000}[i%3], Timeout: patient})
		t.Cleanup(func() {
			sinks[i].Close()
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	for round, state := range []node.State{node.Setup, node.Wedged} {
		began, up, down := time.Now(), s.server.Up.Load(), s.server.Down.Load()
		var all sync.WaitGroup
		for i, g := range sinks {
			all.Go(func() {
				if err := g.Tell(t.Context(), record(i, state, time.Duration(round)*time.Minute)); err != nil {
					t.Errorf("%s: %v", id(i), err)
				}
				if err := g.Flush(t.Context()); err != nil {
					t.Errorf("%s: %v", id(i), err)
				}
			})
		}
		all.Wait()
		t.Logf("%s: %d nodes in %s, %d bytes a node", state, fleet, time.Since(began).Round(time.Millisecond), (s.server.Up.Load()+s.server.Down.Load()-up-down)/fleet)
		if got := pushes.count(); got != fleet*(round+1) {
			t.Errorf("%s: %d pushes so far, of %d nodes", state, got, fleet)
		}
	}
	refs := strings.Fields(s.repo.Git("for-each-ref", "--format=%(refname)", RefPrefix))
	if len(refs) != fleet {
		t.Errorf("%d refs", len(refs))
	}
	var names strings.Builder
	for i := range fleet {
		fmt.Fprintf(&names, "%s:%s\n", RefName(RefPrefix, id(i)), PathOf(id(i)))
	}
	records, err := gittest.TryGit(s.repo.Dir, []byte(names.String()), "cat-file", "--batch")
	if err != nil {
		t.Fatal(err)
	}
	for i := range fleet {
		if !strings.Contains(records, `"instance-id": "`+id(i)+`"`) {
			t.Errorf("%s is lost", id(i))
		}
	}
	if n := strings.Count(records, `"state": "wedged"`); n != fleet {
		t.Errorf("%d say what is new", n)
	}
	for i, g := range sinks {
		g.mu.Lock()
		p, told := g.pace(), g.state.Told
		g.mu.Unlock()
		if ahead := told.Next.Sub(noon.Add(time.Minute)); ahead <= 0 || ahead > p.each()*3/2 || i%3 > 0 && ahead > 10*time.Minute {
			t.Errorf("%s, at %d pushes a minute in a fleet of %d, promises to speak within %s", id(i), p.pushes, p.fleet, ahead)
		}
	}
	if n := s.repo.Git("rev-list", "--count", "--all"); n != fmt.Sprint(2*fleet) {
		t.Errorf("%s commits", n)
	}
}
