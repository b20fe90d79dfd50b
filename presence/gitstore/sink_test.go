package gitstore

import (
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
)

// site is a presence repository behind a server, and one node's state_dir.
type site struct {
	t       *testing.T
	repo    *gittest.Repo
	server  *gittest.Server
	url     string
	memory  string
	timeout time.Duration
	between func(Remote) Remote // nil = nothing is between the sink and the store
}

// patient is a deadline for what takes a moment, and longer on a busy machine.
const patient = 3 * time.Minute

const ourRef = "refs/heads/presence/n1"

func newSite(t *testing.T, o gittest.ServerOptions) *site {
	t.Helper()
	repo, server := gittest.Remote(t, o)
	t.Cleanup(func() {
		if out, err := gittest.TryGit(repo.Dir, nil, "fsck", "--strict", "--full"); err != nil {
			t.Errorf("%s, %v", out, err)
		}
	})
	return &site{t: t, repo: repo, server: server, url: server.URL + "/r.git", memory: filepath.Join(t.TempDir(), "presence.json"), timeout: patient}
}

// open returns a sink as a started agent has it. It is closed with the test.
func (s *site) open() *Sink {
	s.t.Helper()
	store, err := remote.New(remote.Source{URL: s.url})
	if err != nil {
		s.t.Fatal(err)
	}
	o := Options{Remote: store, StateFile: s.memory, Refresh: 10 * time.Minute, Timeout: s.timeout}
	if s.between != nil {
		o.Remote = s.between(store)
	}
	g := New(o)
	s.t.Cleanup(func() {
		g.Close()
		if err := store.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return g
}

// tell tells a record and waits until it has arrived.
func (s *site) tell(g *Sink, r presence.Record) {
	s.t.Helper()
	if err := g.Tell(s.t.Context(), r); err != nil {
		s.t.Fatalf("tell: %v", err)
	}
	s.flush(g)
}

func (s *site) flush(g *Sink) {
	s.t.Helper()
	if err := g.Flush(s.t.Context()); err != nil {
		s.t.Fatalf("flush: %v", err)
	}
}

// log is the history of the node's ref, newest first, a state a commit.
func (s *site) log() string {
	s.t.Helper()
	var words []string
	for line := range strings.Lines(s.repo.Git("log", "--format=%s", ourRef)) {
		words = append(words, strings.TrimPrefix(strings.TrimSpace(line), "n1:fed1/app1 "))
	}
	return strings.Join(words, " ")
}

// read is the record at the node's ref.
func (s *site) read() presence.Record {
	s.t.Helper()
	r, err := presence.Decode([]byte(s.repo.Git("show", ourRef+":it/presence/all/n1.json")))
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *site) saved() *publishState {
	s.t.Helper()
	m, err := loadState(s.memory, ourRef, "")
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

// gate lets a test hold back what is pushed.
type gate struct {
	mu     sync.Mutex
	onPush func(w http.ResponseWriter, r *http.Request, next http.Handler)
	pushes int
}

func (g *gate) set(f func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.onPush = f
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pushes
}

func (g *gate) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
			g.mu.Lock()
			g.pushes++
			f := g.onPush
			g.mu.Unlock()
			if f != nil {
				f(w, r, next)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// rests returns the time until which the sink pauses.
func (g *Sink) rests() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.notBefore
}

// rested says that an attempt has failed.
func (g *Sink) rested() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.tries > 0
}

// await waits for a condition.
func (s *site) await(what func() bool) {
	s.t.Helper()
	testkit.Eventually(s.t, "the condition", what)
}

// TestAskedToWait: with one process a beat, a server that asked to be left alone gets no request at each.
func TestAskedToWait(t *testing.T) {
	t.Parallel()
	var busy atomic.Bool
	var asked atomic.Int64
	s := newSite(t, gittest.ServerOptions{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1); busy.Load() {
				w.Header().Set("Retry-After", "600")
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	busy.Store(true)
	for i := range 3 {
		g := s.open()
		_ = g.Tell(t.Context(), said(node.Idle, time.Duration(i)*time.Minute))
		if err := g.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), "429") {
			t.Errorf("beat %d: %v", i, err)
		}
		g.Close()
		if n := asked.Load(); n != 1 {
			t.Errorf("%d requests after beat %d", n, i)
		}
	}
	busy.Store(false)
	m := s.saved()
	m.Asked.Until = time.Now()
	if err := stateFile(s.memory).Save(m); err != nil {
		t.Fatal(err)
	}
	s.tell(s.open(), said(node.Idle, 3*time.Minute))
	if m := s.saved(); m.Asked.Failures != 0 {
		t.Errorf("still %+v", m.Asked)
	}
}
