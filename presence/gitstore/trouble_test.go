package gitstore

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
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

// A push and the counting after it are one connection, which does not stay.
func TestGitHangsUp(t *testing.T) {
	t.Parallel()
	s := newSite(t, gittest.ServerOptions{})
	relay := gittest.StartRelay(t, strings.TrimPrefix(s.server.URL, "http://"))
	s.url = "http://" + relay.Addr + "/r.git"
	g := s.open()
	for i, state := range []node.State{node.Setup, node.InitDone} {
		s.tell(g, said(state, time.Duration(i)*time.Second))
		s.await(func() bool { return relay.Live() == 0 })
		if n := relay.Conns.Load(); n != int64(i+1) {
			t.Errorf("%s: %d connections so far", state, n)
		}
	}
}

// TestFlushDoesNotWaitForAPerson: a single beat does not wait for a token that is not there.
func TestFlushDoesNotWaitForAPerson(t *testing.T) {
	t.Parallel()
	s := newSite(t, gittest.ServerOptions{})
	store, err := remote.New(remote.Source{URL: s.url, Auth: remote.Auth{TokenFile: filepath.Join(t.TempDir(), "token")}})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	g := New(Options{Remote: store, StateFile: s.memory, Refresh: 10 * time.Minute})
	defer g.Close()
	if err := g.Tell(t.Context(), said(node.Idle, 0)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := g.Flush(ctx); !errors.Is(err, fs.ErrNotExist) || ctx.Err() != nil {
		t.Errorf("%v, after %v", err, ctx.Err())
	}
}

func TestGitWipedRepository(t *testing.T) {
	t.Parallel()
	s := newSite(t, gittest.ServerOptions{})
	g := s.open()
	s.tell(g, said(node.Idle, 0))
	s.tell(g, said(node.Working, time.Minute))
	s.repo.Git("update-ref", "-d", ourRef)
	s.tell(g, said(node.Idle, 2*time.Minute))
	if got := s.log(); got != "idle" {
		t.Errorf("a reaped ref: %s", got)
	}
	if err := os.RemoveAll(s.repo.Dir); err != nil {
		t.Fatal(err)
	}
	if err := g.Tell(t.Context(), said(node.Wedged, 3*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := g.Flush(t.Context()); !errors.Is(err, remote.ErrAccess) {
		t.Errorf("no repository: %v", err)
	}
	gittest.New(t, s.repo.Dir)
	s.flush(g)
	if got := s.log(); got != "wedged" || s.read().State != node.Wedged {
		t.Errorf("a new repository: %s", got)
	}
	s.repo.Git("update-ref", "-d", ourRef)
	s.tell(g, said(node.Wedged, 13*time.Minute))
	if got := s.log(); got != "wedged" || !s.read().BeatSeen.Equal(noon.Add(13*time.Minute)) {
		t.Errorf("a refresh finds the ref gone: %s", got)
	}
}

func TestGitWithoutAccess(t *testing.T) {
	t.Parallel()
	s := newSite(t, gittest.ServerOptions{})
	s.repo.Git("config", "http.receivepack", "false")
	g := s.open()
	began := time.Now()
	if err := g.Tell(t.Context(), said(node.Idle, 0)); err != nil {
		t.Fatal(err)
	}
	err := g.Flush(t.Context())
	if !errors.Is(err, remote.ErrAccess) {
		t.Fatalf("read-only: %v", err)
	}
	for i := range 3 {
		if again := g.Tell(t.Context(), said(node.Idle, time.Duration(i)*time.Second)); again == nil || again.Error() != err.Error() {
			t.Errorf("the trouble became %v, it was %v", again, err)
		}
		if err := g.Flush(t.Context()); !errors.Is(err, remote.ErrAccess) {
			t.Errorf("read-only: %v", err)
		}
	}
	if wait := g.rests().Sub(began); wait < soon {
		t.Errorf("it is tried again in %s", wait)
	}
	s.repo.Git("config", "http.receivepack", "true")
	s.flush(g)
	if err := g.Tell(t.Context(), said(node.Idle, 3*time.Second)); err != nil || s.log() != "idle" {
		t.Errorf("repaired: %v, %s", err, s.log())
	}
}

func TestGitRetryAfter(t *testing.T) {
	t.Parallel()
	for _, code := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		var pushes gate
		s := newSite(t, gittest.ServerOptions{Wrap: pushes.wrap})
		pushes.set(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(code)
		})
		g := s.open()
		began := time.Now()
		if err := g.Tell(t.Context(), said(node.Idle, 0)); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithCancel(t.Context())
		go func() { s.await(func() bool { return g.rested() }); cancel() }()
		if err := g.Flush(short); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("%d: %v", code, err)
		}
		if until := g.rests(); until.Sub(began) < 120*time.Second || time.Until(until) > 122*time.Second {
			t.Errorf("%d: it waits until %s, and began at %s", code, until, began)
		}
		pushes.set(nil)
		if err := g.Flush(t.Context()); err == nil {
			t.Errorf("%d: a flush within that time: %v", code, err)
		}
		g.mu.Lock()
		g.state.Asked.Until = time.Now()
		g.mu.Unlock()
		s.flush(g)
		if s.log() != "idle" {
			t.Errorf("%d: %s", code, s.log())
		}
	}
}

// An answer that does not come: the relay stands between the sink and the server.
func TestGitUnclearAnswers(t *testing.T) {
	t.Parallel()
	for name, landed := range map[string]bool{"landed": true, "not landed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var pushes gate
			s := newSite(t, gittest.ServerOptions{Wrap: pushes.wrap})
			relay := gittest.StartRelay(t, strings.TrimPrefix(s.server.URL, "http://"))
			s.url, s.timeout = "http://"+relay.Addr+"/r.git", patient
			g := s.open()
			s.tell(g, said(node.Idle, 0))
			pushes.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if landed {
					next.ServeHTTP(httptest.NewRecorder(), r)
				}
				pushes.set(nil)
				relay.Cut()
			})
			s.tell(g, said(node.Wedged, time.Minute))
			if got := s.log(); got != "wedged idle" {
				t.Errorf("log %s", got)
			}
			if want := map[bool]int{true: 2, false: 3}[landed]; pushes.count() != want {
				t.Errorf("%d pushes, want %d", pushes.count(), want)
			}
			s.tell(g, said(node.Idle, 2*time.Minute))
			if got := s.log(); got != "idle wedged idle" {
				t.Errorf("then %s", got)
			}
		})
	}
}

func TestGitSilentServer(t *testing.T) {
	t.Parallel()
	s := newSite(t, gittest.ServerOptions{})
	relay := gittest.StartRelay(t, strings.TrimPrefix(s.server.URL, "http://"))
	s.url, s.timeout = "http://"+relay.Addr+"/r.git", 10*time.Second // also for a busy machine, later
	relay.Dead.Store(true)
	g := s.open()
	if err := g.Tell(t.Context(), said(node.Idle, 0)); err != nil {
		t.Fatal(err)
	}
	s.await(g.rested)
	err := g.Tell(t.Context(), said(node.Idle, time.Second))
	if err == nil || !strings.Contains(err.Error(), errSlow.Error()) {
		t.Errorf("trouble %v", err)
	}
	relay.Dead.Store(false)
	relay.Cut()
	s.flush(g)
	if err := g.Tell(t.Context(), said(node.Idle, 2*time.Second)); err != nil || s.log() != "idle" {
		t.Errorf("%v, %s", err, s.log())
	}
}

// A repository that was restored from a backup shows what an earlier boot told.
func TestGitRestoredRepository(t *testing.T) {
	t.Parallel()
	s := newSite(t, gittest.ServerOptions{})
	s.tell(s.open(), said(node.Setup, 0))
	backup := s.repo.Tip("presence/n1")
	rebooted := func(state node.State, after time.Duration) presence.Record {
		r := said(state, after)
		r.BootID = "the next"
		return r
	}
	g := s.open()
	s.tell(g, rebooted(node.InitDone, time.Hour))
	s.repo.Move("presence/n1", backup)
	s.repo.Git("reflog", "expire", "--expire=now", "--all")
	s.repo.Git("gc", "-q", "--prune=now")
	s.tell(g, rebooted(node.Wedged, 2*time.Hour))
	if got := s.log(); got != "wedged setup" {
		t.Errorf("log %s", got)
	}
}
