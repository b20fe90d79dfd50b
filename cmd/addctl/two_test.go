package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/gitrepo/gittest"
	"github.com/addagent/addagent/node"
)

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
func (g *grids) control(dir string) *folding {
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
	var words bytes.Buffer
	p := testProcess(io.Discard, &words)
	p.Env = func(name string) string { return map[string]string{"XDG_CACHE_HOME": dir, "HOME": dir}[name] }
	l := &folding{p: p, g: &global{config: path}, every: time.Minute}
	cfg, err := p.settings(l.g)
	if err == nil {
		err = l.begin(cfg)
	}
	if err != nil || l.mute != nil {
		g.t.Fatal(err, l.mute, words.String())
	}
	g.t.Cleanup(l.end)
	return l
}

// tells lets a node say something.
func (g *grids) tells(id string, s node.State, version, reason string) {
	g.t.Helper()
	if err := tellGit(g.repo.Dir, one(id, s, version, reason, g.now).Record, g.now); err != nil {
		g.t.Fatal(err)
	}
}

// folds lets a control node fold, without telling anybody.
func (g *grids) folds(l *folding) []byte {
	g.t.Helper()
	r, err := l.fold(g.t.Context(), g.now)
	if err != nil {
		g.t.Fatal(err)
	}
	return r.Said
}

// turn is what a service does in an interval: it folds, tells, and folds again when the
// rooms know.
func (g *grids) turn(l *folding) {
	g.t.Helper()
	for {
		if err := l.speaker.hear(g.t.Context(), g.folds(l)); err != nil {
			g.t.Fatal(err)
		}
		l.speaker.wait(g.t.Context())
		if !l.speaker.news() {
			return
		}
	}
}

// dies is the end of a control node by kill -9: its locks are free, and what is on its
// disk stays there.
func (g *grids) dies(l *folding) {
	g.t.Helper()
	l.end()
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

// owes fails unless so many lines are owed in the fold by a control node.
func (g *grids) owes(l *folding, n int) {
	g.t.Helper()
	all := parseSaid([]byte(g.repo.Git("show", "main:said.json")))
	if got := len(all.mine(l.speaker.Me)); got != n {
		g.t.Errorf("%s owes %d lines, not %d: %+v", l.speaker.Me, got, n, all.Owed)
	}
}

// TestTwoTakeTurns: whoever's fold lands speaks, the other knows, and nothing is owed
// when the room knows.
func TestTwoTakeTurns(t *testing.T) {
	g := newGrids(t, 1)
	a, b := g.control(t.TempDir()), g.control(t.TempDir())
	g.tells("i-1", node.Idle, "a", "")
	g.tells("i-2", node.Wedged, "a", "exit 1")
	g.turn(a)
	g.heard("1 of 2 fed1/app1 wedged at aaaaaaa (i-2): exit 1")
	g.owes(a, 0)
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
		g.owes(first, 0)
		first, second = second, first
	}
	// At the same time: one is faster, the other folds what that one left.
	g.now = g.now.Add(2 * time.Minute)
	g.tells("i-1", node.Idle, "a", "")
	var all sync.WaitGroup
	for _, l := range []*folding{a, b} {
		all.Go(func() {
			r, err := l.fold(t.Context(), g.now)
			if err == nil {
				err = l.speaker.hear(t.Context(), r.Said)
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
	g.now = g.now.Add(time.Hour)
	g.tells("i-1", node.Idle, "a", "")
	g.tells("i-2", node.Wedged, "a", "exit 1")
	g.turn(b)
	g.turn(a)
	g.heard("still 1 of 2 fed1/app1 wedged at aaaaaaa (i-2): exit 1")
	gittest.Fsck(t, g.repo.Dir)
}

// TestOneIsKilledBeforeItSpeaks: its push landed, and nobody heard. The other one waits for
// it, then says the line; and when it comes back it knows.
func TestOneIsKilledBeforeItSpeaks(t *testing.T) {
	g := newGrids(t, 1)
	dir := t.TempDir()
	a, b := g.control(dir), g.control(t.TempDir())
	g.tells("i-1", node.Wedged, "a", "exit 1")
	g.folds(a)
	g.owes(a, 1)
	g.dies(a)
	for range 7 { // what a fold promises, and how far clocks may be apart
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
	g.owes(a, 0)
	g.owes(b, 0)
}

// TestOneIsKilledAndComesBack: before another one takes its line, it says it itself.
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
	if err := a.speaker.hear(t.Context(), g.folds(a)); err != nil {
		t.Fatal(err)
	}
	a.speaker.wait(t.Context())
	g.owes(a, 2)
	g.dies(a)
	a = g.control(dir)
	g.turn(a)
	g.owes(a, 0)
	g.heard("1 of 1 fed1/app1 idle at bbbbbbb (i-1)", "no fed1/app1 is wedged at aaaaaaa any more (1 was, for 2 min)")
}

// TestRoomIsClosed: what one could not say stays its own as long as it lives, and is said
// from its spool; when it dies another one says it, and the spool is thrown away.
func TestRoomIsClosed(t *testing.T) {
	g := newGrids(t, 2)
	closed := g.room[1]
	dir := t.TempDir()
	a, b := g.control(dir), g.control(t.TempDir())
	closed.closed.Store(true)
	g.tells("i-1", node.Wedged, "a", "exit 1")
	g.turn(a)
	g.owes(a, 1)
	for range 20 {
		g.now = g.now.Add(time.Minute)
		g.tells("i-1", node.Wedged, "a", "exit 1")
		g.turn(a)
		g.turn(b)
	}
	g.owes(a, 1)
	if closed.knocks.Load() == 0 || len(closed.lines()) > 0 {
		t.Errorf("%d tries, heard %q", closed.knocks.Load(), closed.lines())
	}
	// A new process goes on where the spool is.
	g.dies(a)
	closed.closed.Store(false)
	a = g.control(dir)
	g.turn(a)
	g.heard("1 of 1 fed1/app1 wedged at aaaaaaa (i-1): exit 1")
	g.owes(a, 0)

	closed.closed.Store(true)
	g.now = g.now.Add(2 * time.Minute)
	g.tells("i-1", node.Idle, "b", "")
	g.turn(a)
	g.dies(a)
	if spools, _ := filepath.Glob(filepath.Join(dir, "addctl", "chat-*", "*")); len(spools) == 0 {
		t.Error("nothing is in its spool")
	}
	closed.closed.Store(false)
	g.now = g.now.Add(8 * time.Minute)
	g.tells("i-1", node.Idle, "b", "")
	g.turn(b)
	g.heard("1 of 1 fed1/app1 idle at bbbbbbb (i-1)", "no fed1/app1 is wedged at aaaaaaa any more (1 was, for 22 min)")
	a = g.control(dir)
	g.turn(a)
	g.heard()
	if spools, _ := filepath.Glob(filepath.Join(dir, "addctl", "chat-*", "*")); len(spools) > 0 {
		t.Errorf("its spool still holds %q", spools)
	}
}

// TestAddressIsMended: what waits for a room goes to its new address, too, and nothing is
// said again in another room, nor what waits at the old one when that is back.
func TestAddressIsMended(t *testing.T) {
	g := newGrids(t, 2)
	wrong, dir := g.room[1], t.TempDir()
	a := g.control(dir)
	wrong.closed.Store(true)
	g.tells("i-1", node.Wedged, "a", "exit 1")
	g.turn(a)
	g.owes(a, 1)
	g.dies(a)
	g.room[1] = newPub(t)
	a = g.control(dir)
	g.turn(a)
	g.turn(a)
	g.heard("1 of 1 fed1/app1 wedged at aaaaaaa (i-1): exit 1")
	g.owes(a, 0)
	g.dies(a)
	if spools, _ := filepath.Glob(filepath.Join(dir, "addctl", "chat-*")); len(spools) != 2 {
		t.Errorf("spools of rooms that are no more: %q", spools)
	}
	wrong.closed.Store(false)
	g.room[1] = wrong
	a = g.control(dir)
	g.turn(a)
	if got := wrong.lines(); len(got) > 0 {
		t.Errorf("what was said elsewhere is said again: %q", got)
	}
}

// TestAwayFromTheFold: who cannot ask whether a line is still its own is silent about it
// from the time on at which it is not.
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
		if err := a.speaker.away(g.now.Add(c.after)); err != nil {
			t.Fatal(err)
		}
		if open := a.speaker.rooms[0].box != nil; open != c.open {
			t.Errorf("after %s it may speak: %v", c.after, open)
		}
	}
	g.room[0].closed.Store(false)
	g.turn(a)
	g.heard("1 of 1 fed1/app1 wedged at aaaaaaa (i-1): exit 1")
}

// TestOneSpeakerAMachine: a second process, as when a person folds by hand beside the
// service, tells nobody and takes nothing away.
func TestOneSpeakerAMachine(t *testing.T) {
	g := newGrids(t, 1)
	dir := t.TempDir()
	a := g.control(dir)
	b := &folding{p: a.p, g: a.g}
	cfg, err := b.p.settings(b.g)
	if err == nil {
		err = b.begin(cfg)
	}
	if err != nil || b.mute == nil || !strings.Contains(b.mute.Error(), "another process") {
		t.Fatalf("%v, %v", err, b.mute)
	}
	defer b.end()
	g.tells("i-1", node.Wedged, "a", "exit 1")
	g.folds(a)
	g.folds(b)
	g.owes(a, 1)
	g.turn(a)
	g.heard("1 of 1 fed1/app1 wedged at aaaaaaa (i-1): exit 1")
}
