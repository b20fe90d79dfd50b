package gitstore

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

func TestGitHistory(t *testing.T) {
	t.Parallel()
	s := newSite(t, gittest.ServerOptions{})
	g := s.open()
	s.tell(g, said(node.Setup, 0))
	s.tell(g, said(node.InitDone, time.Minute))
	s.tell(g, said(node.Idle, 2*time.Minute))
	want := "n1 n1@addagent 1772366520 n1 n1@addagent 1772366520 n1:fed1/app1 idle"
	if got := s.repo.Git("log", "-1", "--format=%an %ae %at %cn %ce %ct %s", ourRef); got != want {
		t.Errorf("commit %q", got)
	}
	for i := range 5 {
		s.tell(g, said(node.Idle, 2*time.Minute+time.Duration(i)*10*time.Minute))
	}
	if got := s.log(); got != "idle idle initdone setup" {
		t.Errorf("with refreshes: %s", got)
	}
	if r := s.read(); !r.BeatSeen.Equal(noon.Add(42*time.Minute)) || !r.BeatNextBy.Equal(nextSlot(r.BeatSeen, 10*time.Minute, "n1").Add(3*time.Minute)) {
		t.Errorf("read %+v", r)
	}
	s.tell(g, said(node.Working, 43*time.Minute))
	if got := s.log(); got != "working idle initdone setup" {
		t.Errorf("a transition stands in the place of the refresh: %s", got)
	}
	g = s.open() // a restart
	s.tell(g, said(node.Working, 44*time.Minute))
	s.tell(g, said(node.Idle, 45*time.Minute))
	if got := s.log(); got != "idle working idle initdone setup" {
		t.Errorf("after a restart: %s", got)
	}
	if m := s.saved(); m.Fleet != 1 || m.Pending != nil || m.Told.Tip != s.repo.Git("rev-parse", ourRef) {
		t.Errorf("memory %+v", m)
	}
}

func TestGitTellsAFleetOfTheSamePrefix(t *testing.T) {
	t.Parallel()
	s := newSite(t, gittest.ServerOptions{})
	s.repo.Commit("presence/n11", gittest.File("x", "the name of another node begins with ours"))
	s.repo.Commit("presence/not/a/node", gittest.File("x", "x"))
	g := s.open()
	s.tell(g, said(node.Idle, 0))
	if m := s.saved(); m.Fleet != 2 || s.log() != "idle" {
		t.Errorf("%d nodes, %s", m.Fleet, s.log())
	}
}

func TestGitTransitionsThatWaitAreOnePush(t *testing.T) {
	t.Parallel()
	var pushes gate
	s := newSite(t, gittest.ServerOptions{Wrap: pushes.wrap})
	arrived, open := make(chan struct{}), make(chan struct{})
	pushes.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		arrived <- struct{}{}
		<-open
		next.ServeHTTP(w, r)
	})
	g := s.open()
	if err := g.Tell(t.Context(), said(node.Setup, 0)); err != nil {
		t.Fatal(err)
	}
	<-arrived
	for i, state := range []node.State{node.InitDone, node.Idle, node.Working, node.Failing, node.Wedged} {
		if err := g.Tell(t.Context(), said(state, time.Duration(i+1)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	pushes.set(nil)
	close(open)
	s.flush(g)
	if got := s.log(); got != "wedged failing working idle initdone setup" || pushes.count() != 2 {
		t.Errorf("%d pushes: %s", pushes.count(), got)
	}
	if got := s.repo.Git("log", "-1", "--format=%at", ourRef+"~2"); got != "1772366403" {
		t.Errorf("working began at %s", got)
	}
}

func TestGitWhereAHistoryMayOnlyGrow(t *testing.T) {
	t.Parallel()
	s := newSite(t, gittest.ServerOptions{})
	s.repo.Git("config", "receive.denyNonFastForwards", "true")
	g := s.open()
	s.tell(g, said(node.Idle, 0))
	for i := range 3 {
		s.tell(g, said(node.Idle, time.Duration(i+1)*10*time.Minute))
	}
	s.tell(g, said(node.Working, 31*time.Minute))
	if got := s.log(); got != "working idle idle idle idle" {
		t.Errorf("log %s", got)
	}
	// From there a day without a question, and then history is cut where that has become possible.
	s.repo.Git("config", "receive.denyNonFastForwards", "false")
	s.tell(g, said(node.Working, 26*time.Hour))
	s.tell(g, said(node.Working, 27*time.Hour))
	s.tell(g, said(node.Idle, 28*time.Hour))
	if got := s.log(); got != "idle working idle idle idle idle" || len(s.saved().Steps) != 3 {
		t.Errorf("a day later: %s", got)
	}
}

// states gives n records in changing states, a step apart, ending at a time after noon.
func states(n int, each, until time.Duration) []presence.Record {
	all := make([]presence.Record, n)
	for i := range all {
		state := node.Idle
		if i%2 == 1 {
			state = node.Working
		}
		all[i] = said(state, until-time.Duration(n-1-i)*each)
	}
	return all
}

func TestGitHistoryIsBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		n, at       int // so many transitions, pushed so many at once, or fewer
		each        time.Duration
		least, most int // commits in the end; where the pushes are parted is not ours to say
	}{
		// At the 601st commit the newest 500 stay.
		"many": {620, 20, time.Minute, 500, 519},
		// A day between two: when the oldest is older than 99 days those go that are older than 90.
		"old": {120, 5, 24 * time.Hour, 91, 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, gittest.ServerOptions{})
			s.url = s.repo.Dir // without a process a push
			g := s.open()
			for i, r := range states(c.n, c.each, 0) {
				if err := g.Tell(t.Context(), r); err != nil {
					t.Fatal(err)
				}
				if (i+1)%c.at == 0 {
					s.flush(g)
				}
			}
			s.flush(g)
			if got := len(strings.Fields(s.log())); got < c.least || got > c.most || len(s.saved().Steps) != got {
				t.Errorf("%d commits, %d steps", got, len(s.saved().Steps))
			}
			if got := s.log(); strings.Contains(got, "idle idle") || strings.Contains(got, "working working") {
				t.Errorf("log %s", got)
			}
			// The newest are those that were told, with their own times.
			last := s.repo.Git("log", "-1", "--format=%at %s", ourRef+"~60")
			if got := fmt.Sprint(noon.Add(-60*c.each).Unix(), " n1:fed1/app1 working"); last != got {
				t.Errorf("sixty before the newest: %s, want %s", last, got)
			}
			s.tell(g, said(node.Wedged, time.Minute))
			if !strings.HasPrefix(s.log(), "wedged working idle") {
				t.Errorf("log %s", s.log())
			}
		})
	}
}
