package control

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

	"github.com/addagent/addagent/fleet/fleettest"
	"github.com/addagent/addagent/internal/chat"
	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence/fold"
)

// silent is an output that is not read.
type silent struct{}

func (silent) Folded(fold.Report, time.Time) error { return nil }
func (silent) Say(string)                          {}

// grids are control nodes of one presence repository on a real server.
type grids struct {
	t    *testing.T
	repo *gittest.Repo
	url  string
	room []*pub
	now  time.Time
	want []string // what every room has heard
}

func newGrids(t *testing.T, rooms int) *grids {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := &grids{t: t, repo: repo, url: server.URL + "/r.git", now: time.Now().Truncate(time.Second)}
	for range rooms {
		g.room = append(g.room, newPub(t))
	}
	return g
}

// control starts a control node, whose state is in a folder of its own.
func (g *grids) control(dir string) *Service {
	g.t.Helper()
	var rooms []string
	for _, p := range g.room {
		rooms = append(rooms, fmt.Sprintf("{ url: %q, from: fleet }", p.url))
	}
	text := fmt.Sprintf("home: %s\nrun_dir: %s\nstate_dir: %s\npresence: { url: %q }\nchat: [ %s ]\n", dir, dir, dir, g.url, strings.Join(rooms, ", "))
	path := filepath.Join(dir, "addagent.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
	env := func(name string) string { return map[string]string{"XDG_CACHE_HOME": dir, "HOME": dir}[name] }
	l, err := NewService(&Setup{UserAgent: "addctl/test", Env: env, Config: path}, time.Minute, silent{})
	if err != nil || l.muted != nil {
		g.t.Fatal(err, l.muted)
	}
	g.t.Cleanup(l.Close)
	return l
}

// tells lets a node say something.
func (g *grids) tells(id string, s node.State, version, reason string) {
	g.t.Helper()
	if err := fleettest.Report(g.repo.Dir, fleettest.One(id, s, version, reason, g.now).Record, g.now); err != nil {
		g.t.Fatal(err)
	}
}

// folds lets a control node fold, without telling anybody.
func (g *grids) folds(l *Service) []byte {
	g.t.Helper()
	r, err := l.fold(g.t.Context(), g.now)
	if err != nil {
		g.t.Fatal(err)
	}
	return r.Said
}

// turn is what a service does in an interval: it folds, tells, and folds again when the rooms have heard.
func (g *grids) turn(l *Service) {
	g.t.Helper()
	for {
		if err := l.announcer.announce(g.t.Context(), g.folds(l)); err != nil {
			g.t.Fatal(err)
		}
		l.announcer.wait(g.t.Context())
		if !l.announcer.unpublished() {
			return
		}
	}
}

// arrives waits for rooms that are open again: also a new process does not knock before it is time.
func (g *grids) arrives(l *Service) {
	g.t.Helper()
	g.turn(l)
	ctx, cancel := context.WithTimeout(g.t.Context(), 2*time.Minute)
	defer cancel()
	for _, r := range l.announcer.rooms {
		if err := r.box.Flush(ctx); err != nil {
			g.t.Error(err)
		}
	}
	g.turn(l)
}

// dies is the end of a control node by kill -9: its locks are free, and what is on its disk stays there.
func (g *grids) dies(l *Service) {
	g.t.Helper()
	l.Close()
}

// heard compares what every room has heard; more is what is new since the last time.
func (g *grids) heard(more ...string) {
	g.t.Helper()
	g.want = append(g.want, more...)
	for i, p := range g.room {
		if got := p.lines(); !slices.Equal(got, g.want) {
			g.t.Errorf("room %d heard %q, not %q", i+1, got, g.want)
		}
	}
}

// holds fails unless a control node has the lease, and there is as much as is given that rooms heard and the fold
// does not have yet.
func (g *grids) holds(l *Service, news bool) {
	g.t.Helper()
	s := parseSaid([]byte(g.repo.Git("show", "main:said.json")))
	if s.Lease.Holder != l.announcer.Me || l.announcer.unpublished() != news {
		g.t.Errorf("%s holds the lease, not %s; news %v: %+v", s.Lease.Holder, l.announcer.Me, l.announcer.unpublished(), s.Rooms)
	}
}

// spools are the messages that wait on the disk of a control node.
func spools(dir string) int {
	all, _ := filepath.Glob(filepath.Join(dir, "addctl", "chat-*")) // the pattern is well-formed
	n := 0
	for _, spool := range all {
		waiting, _ := chat.Waiting(spool)
		n += waiting
	}
	return n
}

// TestTwoControlNodes: the one that has the lease tells the room, whichever folds first; the other one knows what was
// told.
func TestTwoControlNodes(t *testing.T) {
	g := newGrids(t, 1)
	a, b := g.control(t.TempDir()), g.control(t.TempDir())
	g.tells("i-1", node.Idle, "a", "")
	g.tells("i-2", node.Wedged, "a", "exit 1")
	g.turn(a)
	g.heard("1 of 2 fed1/app1 wedged at aaaaaaa (i-2): exit 1")
	g.holds(a, false)
	g.turn(b)
	g.heard()
	first, second := a, b
	for i := range 6 {
		g.now = g.now.Add(2 * time.Minute)
		version := string("bcdef0"[i])
		g.tells("i-1", node.Working, version, "")
		g.turn(first)
		g.turn(second)
		g.heard(fmt.Sprintf("1 of 2 fed1/app1 working at %s (i-1)", strings.Repeat(version, 7)))
		g.holds(a, false)
		first, second = second, first
	}
	// At the same time: one is faster, the other folds what that one left.
	g.now = g.now.Add(2 * time.Minute)
	g.tells("i-1", node.Idle, "a", "")
	var all sync.WaitGroup
	for _, l := range []*Service{a, b} {
		all.Go(func() {
			r, err := l.fold(t.Context(), g.now)
			if err == nil {
				err = l.announcer.announce(t.Context(), r.Said)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	g.turn(a)
	g.turn(b)
	g.heard("1 of 2 fed1/app1 idle at aaaaaaa (i-1)")
	// What one says that dies, the other one says again when it is time.
	g.dies(a)
	for range 60 {
		g.now = g.now.Add(time.Minute)
		g.tells("i-1", node.Idle, "a", "")
		g.tells("i-2", node.Wedged, "a", "exit 1")
		g.turn(b)
	}
	g.heard("still 1 of 2 fed1/app1 wedged at aaaaaaa (i-2): exit 1")
	g.holds(b, false)
	gittest.Fsck(t, g.repo.Dir)
}

// TestOneIsKilledBeforeItSpeaks: it took the lease and posted nothing. The other one waits for the end of the lease,
// then says the line; and when the first one comes back it knows.
func TestOneIsKilledBeforeItSpeaks(t *testing.T) {
	g := newGrids(t, 1)
	dir := t.TempDir()
	a, b := g.control(dir), g.control(t.TempDir())
	g.tells("i-1", node.Wedged, "a", "exit 1")
	g.folds(a)
	g.holds(a, false)
	g.dies(a)
	for range 6 { // what a fold promises, and how far clocks may be apart
		g.turn(b)
		g.heard()
		g.now = g.now.Add(time.Minute)
	}
	g.tells("i-1", node.Wedged, "a", "exit 1")
	g.now = g.now.Add(time.Second)
	g.turn(b)
	g.heard("1 of 1 fed1/app1 wedged at aaaaaaa (i-1): exit 1")
	a = g.control(dir)
	g.turn(a)
	g.heard()
	g.holds(b, false)
}

// TestOneIsKilledAndComesBack: before another one takes the lease, it says its line itself.
func TestOneIsKilledAndComesBack(t *testing.T) {
	g := newGrids(t, 1)
	dir := t.TempDir()
	a, b := g.control(dir), g.control(t.TempDir())
	g.tells("i-1", node.Wedged, "a", "exit 1")
	g.folds(a)
	g.dies(a)
	g.turn(b)
	a = g.control(dir)
	g.turn(a)
	g.turn(b)
	g.heard("1 of 1 fed1/app1 wedged at aaaaaaa (i-1): exit 1")
	// Killed when the room knows, and the fold does not: the spool is empty, so it was said.
	g.now = g.now.Add(2 * time.Minute)
	g.tells("i-1", node.Idle, "b", "")
	if err := a.announcer.announce(t.Context(), g.folds(a)); err != nil {
		t.Fatal(err)
	}
	a.announcer.wait(t.Context())
	g.holds(a, true)
	g.dies(a)
	a = g.control(dir)
	g.turn(a)
	g.holds(a, false)
	g.heard("0 of 1 fed1/app1 wedged at aaaaaaa (was 1, for 2 min)", "1 of 1 fed1/app1 idle at bbbbbbb (i-1)")
	// Killed between the spool and its memory: the spool is said once more, and nothing is lost.
	g.now = g.now.Add(2 * time.Minute)
	g.tells("i-1", node.Working, "c", "")
	before, err := os.ReadFile(a.announcer.file.Path)
	if err != nil {
		t.Fatal(err)
	}
	g.turn(a)
	g.dies(a)
	if err := os.WriteFile(a.announcer.file.Path, before, 0o600); err != nil {
		t.Fatal(err)
	}
	a = g.control(dir)
	g.turn(a)
	g.heard("1 of 1 fed1/app1 working at ccccccc (i-1)", "1 of 1 fed1/app1 working at ccccccc (i-1)")
}

// TestRoomIsClosed: what one could not say is said from its spool as long as it holds the lease; when it dies another
// one says it to that room alone, and the spool is discarded.
func TestRoomIsClosed(t *testing.T) {
	g := newGrids(t, 2)
	closed := g.room[1]
	dir := t.TempDir()
	a, b := g.control(dir), g.control(t.TempDir())
	closed.closed.Store(true)
	g.tells("i-1", node.Wedged, "a", "exit 1")
	g.turn(a)
	for range 20 {
		g.now = g.now.Add(time.Minute)
		g.tells("i-1", node.Wedged, "a", "exit 1")
		g.turn(a)
		g.turn(b)
	}
	g.holds(a, false)
	if closed.knocks.Load() == 0 || len(closed.lines()) > 0 || spools(dir) != 1 {
		t.Errorf("%d tries, heard %q, %d wait", closed.knocks.Load(), closed.lines(), spools(dir))
	}
	// A new process goes on where the spool is.
	g.dies(a)
	closed.closed.Store(false)
	a = g.control(dir)
	g.arrives(a)
	g.heard("1 of 1 fed1/app1 wedged at aaaaaaa (i-1): exit 1")

	closed.closed.Store(true)
	g.now = g.now.Add(2 * time.Minute)
	g.tells("i-1", node.Idle, "b", "")
	g.turn(a)
	g.dies(a)
	if spools(dir) == 0 {
		t.Error("nothing is in its spool")
	}
	closed.closed.Store(false)
	for range 8 {
		g.now = g.now.Add(time.Minute)
		g.tells("i-1", node.Idle, "b", "")
		g.turn(b)
	}
	if got := g.room[0].lines(); len(got) != 3 {
		t.Errorf("a room that knew heard %q", got)
	}
	got := closed.lines()
	if len(got) != 3 || !slices.Contains(got, "1 of 1 fed1/app1 idle at bbbbbbb (i-1)") || !strings.HasPrefix(got[1], "0 of 1 fed1/app1 wedged at aaaaaaa (was 1, for ") {
		t.Errorf("the other one heard %q", got)
	}
	a = g.control(dir)
	g.turn(a)
	if n := spools(dir); n > 0 || len(closed.lines()) != 3 {
		t.Errorf("its spool still holds %d, heard %q", n, closed.lines())
	}
}

// TestAddressIsMended: what waits for a room goes to its new address, too, and nothing is said again in another room,
// nor what waits at the old one when that is back.
func TestAddressIsMended(t *testing.T) {
	g := newGrids(t, 2)
	wrong, dir := g.room[1], t.TempDir()
	a := g.control(dir)
	wrong.closed.Store(true)
	g.tells("i-1", node.Wedged, "a", "exit 1")
	g.turn(a)
	g.dies(a)
	g.room[1] = newPub(t)
	a = g.control(dir)
	g.turn(a)
	g.turn(a)
	g.heard("1 of 1 fed1/app1 wedged at aaaaaaa (i-1): exit 1")
	g.dies(a)
	if spools, _ := filepath.Glob(filepath.Join(dir, "addctl", "chat-*")); len(spools) != 2 {
		t.Errorf("spools of removed rooms: %q", spools)
	}
	wrong.closed.Store(false)
	g.room[1] = wrong
	a = g.control(dir)
	g.turn(a)
	if got := wrong.lines(); len(got) > 0 {
		t.Errorf("what was said elsewhere is said again: %q", got)
	}
}

// TestAwayFromTheFold: a control node that cannot ask whether it still has the lease is silent from the end of the
// lease on.
func TestAwayFromTheFold(t *testing.T) {
	g := newGrids(t, 1)
	a := g.control(t.TempDir())
	g.room[0].closed.Store(true)
	g.tells("i-1", node.Wedged, "a", "exit 1")
	g.turn(a)
	for _, c := range []struct {
		after time.Duration
		open  bool
	}{{0, true}, {5 * time.Minute, true}, {5*time.Minute + time.Second, false}} {
		if err := a.announcer.unreachable(g.now.Add(c.after)); err != nil {
			t.Fatal(err)
		}
		if open := a.announcer.rooms[0].box != nil; open != c.open {
			t.Errorf("after %s it may speak: %v", c.after, open)
		}
	}
	g.room[0].closed.Store(false)
	g.arrives(a)
	g.heard("1 of 1 fed1/app1 wedged at aaaaaaa (i-1): exit 1")
}

// TestOneSpeakerAMachine: a second process, as when a person folds by hand beside the service, reports nothing and
// takes nothing away.
func TestOneSpeakerAMachine(t *testing.T) {
	g := newGrids(t, 1)
	dir := t.TempDir()
	a := g.control(dir)
	b, err := NewService(a.setup, 0, silent{})
	if err != nil || b.muted == nil || !strings.Contains(b.muted.Error(), "another process") {
		t.Fatalf("%v, %v", err, b.muted)
	}
	defer b.Close()
	g.tells("i-1", node.Wedged, "a", "exit 1")
	g.folds(a)
	g.folds(b)
	g.turn(a)
	g.heard("1 of 1 fed1/app1 wedged at aaaaaaa (i-1): exit 1")
}
