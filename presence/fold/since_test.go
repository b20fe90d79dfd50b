package fold

import (
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/node"
)

// Who reads the fold knows since when a node is in its state, and how old that news is.
func TestSinceIsTold(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	f, r := folder(t, server.URL+"/r.git"), reader(t, server.URL+"/r.git")
	began := noon()
	g.tell("a", node.Idle, began)
	g.tell("a", node.Wedged, began.Add(time.Second))
	g.tell("a", node.Wedged, began.Add(time.Minute)) // a refresh
	if n, _ := read(t, r, began.Add(time.Minute)).Node("a"); !n.Since.IsZero() {
		t.Errorf("the refs tell since %s", n.Since)
	}
	folded := began.Add(2 * time.Minute)
	once(t, f, folded)
	g.tell("a", node.Idle, folded)
	once(t, f, folded.Add(time.Minute))
	got := read(t, r, folded.Add(2*time.Minute))
	if a, _ := got.Node("a"); !a.Since.Equal(folded) || !got.Folded.Equal(folded.Add(time.Minute)) {
		t.Errorf("since %s, folded %s", a.Since, got.Folded)
	}
}
