package fold

import (
	"fmt"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
)

// TestSincePosition: a reader that keeps its position gets each line of the history once, over the end of a day, beside
// a second folding node, and goes on from a position that is gone.
func TestSincePosition(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	url := server.URL + "/r.git"
	first, second, r := folder(t, url), folder(t, url), reader(t, url)
	at := ""
	since := func(what, want string) {
		t.Helper()
		list, end, err := r.Since(t.Context(), at)
		testkit.Must(t, err)
		got := ""
		for _, l := range list {
			got += l.ID + ">" + l.To + " "
		}
		if got != want {
			t.Errorf("%s: %q, not %q", what, got, want)
		}
		at = end
	}
	since("without a fold", "")
	g.tell("a", node.Setup, noon())
	once(t, first, noon())
	since("a new reader begins at the end", "")
	if at != "2026/03/01.jsonl:1" {
		t.Errorf("position %q", at)
	}
	g.tell("a", node.Idle, noon().Add(time.Minute))
	once(t, second, noon().Add(time.Minute))
	g.tell("a", node.Working, noon().Add(2*time.Minute))
	once(t, first, noon().Add(2*time.Minute))
	since("two folding nodes", "a>idle a>working ")
	since("nothing new", "")
	tomorrow := noon().Add(24 * time.Hour)
	g.tell("a", node.Idle, tomorrow)
	once(t, second, tomorrow)
	list, end, err := r.Since(t.Context(), at)
	testkit.Must(t, err)
	if fmt.Sprint(end) != "2026/03/02.jsonl:1" || len(list) != 1 || list[0].To != "idle" {
		t.Errorf("the next day: %v, up to %s", list, end)
	}
	for _, gone := range []string{"2025/01/01.jsonl:7", "2026/03/02.jsonl:99", "x", "2026/03/02.jsonl:-1"} {
		if _, end, err := r.Since(t.Context(), gone); err != nil || end != "2026/03/02.jsonl:1" {
			t.Errorf("from %s: up to %s, %v", gone, end, err)
		}
	}
}
