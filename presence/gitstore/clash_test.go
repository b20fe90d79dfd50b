package gitstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// killed is a Store under a sink whose process dies at its n-th push: what is on the disk then is kept.
type killed struct {
	Remote
	at    string // before or after the push
	file  string
	saved []byte
}

var errKilled = errors.New("killed")

func (k *killed) Push(ctx context.Context, updates ...remote.Update) error {
	if k.at == "after" {
		if err := k.Remote.Push(ctx, updates...); err != nil {
			return err
		}
	}
	var err error
	if k.saved == nil {
		k.saved, err = os.ReadFile(k.file)
	}
	return errors.Join(errKilled, err)
}

func TestGitKilled(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"before", "after"} {
		for name, next := range map[string]node.State{"same": node.Wedged, "back": node.Idle, "on": node.Leaving} {
			t.Run(at+" "+name, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, gittest.ServerOptions{})
				s.tell(s.open(), said(node.Idle, 0))
				var k *killed
				s.between = func(inner Remote) Remote {
					k = &killed{Remote: inner, at: at, file: s.memory}
					return k
				}
				g := s.open()
				if err := g.Tell(t.Context(), said(node.Wedged, time.Second)); err != nil {
					t.Fatal(err)
				}
				s.await(g.rested)
				g.Close()
				if err := os.WriteFile(s.memory, k.saved, 0o600); err != nil {
					t.Fatal(err)
				}
				s.between = nil
				s.tell(s.open(), said(next, 2*time.Second))
				want := map[string]string{
					"before same": "wedged idle", "before back": "idle", "before on": "leaving idle",
					"after same": "wedged idle", "after back": "idle wedged idle", "after on": "leaving wedged idle",
				}[at+" "+name]
				if got := s.log(); got != want {
					t.Errorf("%s, want %s", got, want)
				}
				if m := s.saved(); m.Told.Tip != s.repo.Git("rev-parse", ourRef) || (at == "after" || name != "back") && m.Pending != nil {
					t.Errorf("memory %+v", m)
				}
			})
		}
	}
}

func TestGitClash(t *testing.T) {
	t.Parallel()
	s := newSite(t, gittest.ServerOptions{})
	a := s.open()
	s.tell(a, said(node.Idle, 0))
	other := func(state node.State, after time.Duration) presence.Record {
		r := said(state, after)
		r.Hardware, r.Hostname, r.Addresses = "dmi:cccc/dddd", "web2", []string{"10.0.0.8"}
		return r
	}
	clashes := func(g *Sink, r presence.Record) *Clash {
		t.Helper()
		began := time.Now()
		_ = g.Tell(t.Context(), r) // what it says is compared below
		err := g.Flush(t.Context())
		var clash *Clash
		if !errors.As(err, &clash) {
			t.Fatalf("no clash: %v", err)
		}
		for range 2 {
			if again := g.Tell(t.Context(), r); again == nil || again.Error() != err.Error() {
				t.Errorf("it became %v, it was %v", again, err)
			}
		}
		for _, word := range []string{"web1", "10.0.0.7", "dmi:aaaa/bbbb", "web2", "10.0.0.8", "dmi:cccc/dddd", ourRef} {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s is not in %q", word, err)
			}
		}
		if wait := g.rests().Sub(began); wait < slowly {
			t.Errorf("it asks again in %s", wait)
		}
		return clash
	}

	// The second machine of the same name has no memory: it stops, and the first goes on.
	second := *s
	second.memory = filepath.Join(t.TempDir(), "presence.json")
	b := second.open()
	if c := clashes(b, other(node.Setup, time.Minute)); c.Here.Hostname != "web2" || c.There.Hostname != "web1" {
		t.Errorf("%+v", c)
	}
	s.tell(a, said(node.Wedged, 2*time.Minute))
	clashes(b, other(node.Idle, 3*time.Minute))
	if got := s.log(); got != "wedged idle" || s.read().Hostname != "web1" {
		t.Errorf("log %s", got)
	}

	// The first is gone and its ref is deleted: the second goes on.
	s.repo.Git("update-ref", "-d", ourRef)
	_ = b.Tell(t.Context(), other(node.Idle, 4*time.Minute)) // still the clash
	second.flush(b)
	second.tell(b, other(node.Idle, 4*time.Minute))
	if got := s.log(); got != "idle setup" || s.read().Hostname != "web2" {
		t.Errorf("log %s", got)
	}

	// One with the memory of the other moves its ref: that one stops, and the mover goes on.
	s.repo.Git("update-ref", "-d", ourRef)
	s.tell(a, said(node.Idle, 5*time.Minute))
	copied, err := os.ReadFile(s.memory)
	if err != nil {
		t.Fatal(err)
	}
	third := *s
	third.memory = filepath.Join(t.TempDir(), "presence.json")
	if err := os.WriteFile(third.memory, copied, 0o600); err != nil {
		t.Fatal(err)
	}
	c := third.open()
	third.tell(c, other(node.Wedged, 6*time.Minute))
	clashes(a, said(node.Working, 7*time.Minute))
	third.tell(c, other(node.Idle, 8*time.Minute))
	clashes(a, said(node.Idle, 9*time.Minute))
	if got := s.log(); got != "idle wedged idle" || s.read().Hostname != "web2" {
		t.Errorf("log %s", got)
	}
}

// Two clones of one image, whose hardware looks the same: the one whose ref was moved stops. A reboot is no clone.
func TestGitClashOfClones(t *testing.T) {
	t.Parallel()
	s := newSite(t, gittest.ServerOptions{})
	clone := *s
	clone.memory = filepath.Join(t.TempDir(), "presence.json")
	of := func(boot string, state node.State, after time.Duration) presence.Record {
		r := said(state, after)
		r.BootID = boot
		return r
	}
	a, b := s.open(), clone.open()
	s.tell(a, of("a", node.Setup, 0))
	clone.tell(b, of("b", node.Setup, time.Second))
	if err := a.Tell(t.Context(), of("a", node.InitDone, 2*time.Second)); err != nil {
		t.Fatal(err)
	}
	var clash *Clash
	if err := a.Flush(t.Context()); !errors.As(err, &clash) || clash.Here.BootID != "a" || clash.There.BootID != "b" {
		t.Errorf("%v", err)
	}
	clone.tell(b, of("b", node.InitDone, 3*time.Second))
	if got := s.log(); got != "initdone setup setup" || s.read().BootID != "b" {
		t.Errorf("log %s", got)
	}
	s.tell(s.open(), of("a2", node.Idle, 4*time.Second))
	if got := s.log(); got != "idle initdone setup setup" {
		t.Errorf("after a reboot: %s", got)
	}
}

func TestGitClashWithNoRecord(t *testing.T) {
	t.Parallel()
	s := newSite(t, gittest.ServerOptions{})
	s.repo.Commit("presence/n1", gittest.File("README", "mine"))
	tip := s.repo.Tip("presence/n1")
	g := s.open()
	if err := g.Tell(t.Context(), said(node.Idle, 0)); err != nil {
		t.Fatal(err)
	}
	var clash *Clash
	if err := g.Flush(t.Context()); !errors.As(err, &clash) || !strings.Contains(err.Error(), "unknown writer") {
		t.Errorf("%v", err)
	}
	if s.repo.Tip("presence/n1") != tip {
		t.Error("it was moved")
	}
}

// The same machine with a lost memory, or that of a copied state_dir, goes on where the ref is.
func TestGitLostMemory(t *testing.T) {
	t.Parallel()
	s := newSite(t, gittest.ServerOptions{})
	s.tell(s.open(), said(node.Setup, 0))
	old, err := os.ReadFile(s.memory)
	if err != nil {
		t.Fatal(err)
	}
	s.tell(s.open(), said(node.Idle, time.Minute))
	for name, content := range map[string][]byte{"an old one": old, "none": nil, "corrupt": []byte("{")} {
		if err := os.Remove(s.memory); err != nil {
			t.Fatal(err)
		}
		if content != nil {
			if err := os.WriteFile(s.memory, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		before := s.log()
		g := s.open()
		err := g.Tell(t.Context(), said(node.Wedged, 2*time.Minute))
		if (err != nil) != (name == "corrupt") || err != nil && !strings.Contains(err.Error(), ".corrupt") {
			t.Errorf("%s: %v", name, err)
		}
		s.flush(g)
		s.tell(g, said(node.Idle, 3*time.Minute)) // and what was wrong with the memory is not said again
		if got := s.log(); got != "idle wedged "+before {
			t.Errorf("%s: %s after %s", name, got, before)
		}
		if m := s.saved(); len(m.Steps) != len(strings.Fields(s.log())) {
			t.Errorf("%s: %d steps of %s", name, len(m.Steps), s.log())
		}
	}
}

// An old record in our place, without hardware, is an earlier life of this node.
func TestGitGoesOnFromAnOldRecord(t *testing.T) {
	t.Parallel()
	s := newSite(t, gittest.ServerOptions{})
	s.repo.Commit("presence/n1", gittest.File(PathOf("n1"), `{"filetype":"nodepresence","value":{"instance-id":"n1","state":"presetup"}}`))
	s.tell(s.open(), said(node.Setup, time.Minute))
	if n := s.repo.Git("rev-list", "--count", ourRef); n != "2" || s.read().State != node.Setup {
		t.Errorf("%s commits, %+v", n, s.read())
	}
}

// A node that has nothing new when it finds its own ref ahead of its memory pushes nothing.
func TestGitFindsItselfTold(t *testing.T) {
	t.Parallel()
	var pushes gate
	s := newSite(t, gittest.ServerOptions{Wrap: pushes.wrap})
	s.tell(s.open(), said(node.Idle, 0))
	if err := os.Remove(s.memory); err != nil {
		t.Fatal(err)
	}
	g := s.open()
	s.tell(g, said(node.Idle, 0))
	s.tell(g, said(node.Idle, time.Second))
	if got := s.log(); got != "idle" || pushes.count() != 2 {
		t.Errorf("%d pushes: %s", pushes.count(), got)
	}
}
