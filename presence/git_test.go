package presence

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/gitrepo"
	"github.com/addagent/addagent/internal/gitrepo/gittest"
	"github.com/addagent/addagent/node"
)

// site is a presence repository behind a server, and one node's state_dir.
type site struct {
	t       *testing.T
	repo    *gittest.Repo
	server  *gittest.Server
	url     string
	memory  string
	timeout time.Duration
	between func(Store) Store // nil = nothing is between the sink and the store
}

const ourRef = "refs/heads/presence/n1"

func newSite(t *testing.T, o gittest.ServerOptions) *site {
	t.Helper()
	repo, server := gittest.Remote(t, o)
	t.Cleanup(func() {
		if out, err := gittest.TryGit(repo.Dir, nil, "fsck", "--strict", "--full"); err != nil {
			t.Errorf("%s, %v", out, err)
		}
	})
	return &site{t: t, repo: repo, server: server, url: server.URL + "/r.git", memory: filepath.Join(t.TempDir(), "presence.json"), timeout: 20 * time.Second}
}

// open returns a sink as a started agent has it. It is closed with the test.
func (s *site) open() *Git {
	s.t.Helper()
	store, err := gitrepo.NewStore(gitrepo.Source{URL: s.url})
	if err != nil {
		s.t.Fatal(err)
	}
	o := GitOptions{Store: store, Memory: s.memory, Refresh: 10 * time.Minute, Timeout: s.timeout}
	if s.between != nil {
		o.Store = s.between(store)
	}
	g := NewGit(o)
	s.t.Cleanup(func() {
		g.Close()
		if err := store.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return g
}

// tell tells a record and waits until it has arrived.
func (s *site) tell(g *Git, r Record) {
	s.t.Helper()
	if err := g.Tell(s.t.Context(), r); err != nil {
		s.t.Fatalf("tell: %v", err)
	}
	s.flush(g)
}

func (s *site) flush(g *Git) {
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
func (s *site) read() Record {
	s.t.Helper()
	r, err := Decode([]byte(s.repo.Git("show", ourRef+":it/presence/all/n1.json")))
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *site) saved() *memory {
	s.t.Helper()
	m, err := loadMemory(s.memory, ourRef)
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

func TestGitHistory(t *testing.T) {
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
	s := newSite(t, gittest.ServerOptions{})
	s.repo.Commit("presence/n11", gittest.File("x", "the name of another node begins with ours"))
	s.repo.Commit("presence/not/a/node", gittest.File("x", "x"))
	g := s.open()
	s.tell(g, said(node.Idle, 0))
	if m := s.saved(); m.Fleet != 2 || s.log() != "idle" {
		t.Errorf("%d nodes, %s", m.Fleet, s.log())
	}
}

// A push and the counting after it are one connection, which does not stay.
func TestGitHangsUp(t *testing.T) {
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

func TestGitTransitionsThatWaitAreOnePush(t *testing.T) {
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

func TestGitWipedRepository(t *testing.T) {
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
	if err := g.Flush(t.Context()); !errors.Is(err, gitrepo.ErrAccess) {
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
	s := newSite(t, gittest.ServerOptions{})
	s.repo.Git("config", "http.receivepack", "false")
	g := s.open()
	if err := g.Tell(t.Context(), said(node.Idle, 0)); err != nil {
		t.Fatal(err)
	}
	err := g.Flush(t.Context())
	if !errors.Is(err, gitrepo.ErrAccess) {
		t.Fatalf("read-only: %v", err)
	}
	for i := range 3 {
		if again := g.Tell(t.Context(), said(node.Idle, time.Duration(i)*time.Second)); again == nil || again.Error() != err.Error() {
			t.Errorf("the trouble became %v, it was %v", again, err)
		}
		if err := g.Flush(t.Context()); !errors.Is(err, gitrepo.ErrAccess) {
			t.Errorf("read-only: %v", err)
		}
	}
	if wait := g.pause(); wait < slowly-time.Minute {
		t.Errorf("it is tried again in %s", wait)
	}
	s.repo.Git("config", "http.receivepack", "true")
	s.flush(g)
	if err := g.Tell(t.Context(), said(node.Idle, 3*time.Second)); err != nil || s.log() != "idle" {
		t.Errorf("mended: %v, %s", err, s.log())
	}
}

// pause is how long the sink rests from now.
func (g *Git) pause() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Until(g.notBefore)
}

func TestGitRetryAfter(t *testing.T) {
	for _, code := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		var pushes gate
		s := newSite(t, gittest.ServerOptions{Wrap: pushes.wrap})
		pushes.set(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(code)
		})
		g := s.open()
		if err := g.Tell(t.Context(), said(node.Idle, 0)); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithCancel(t.Context())
		go func() { s.await(func() bool { return g.rested() }); cancel() }()
		if err := g.Flush(short); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("%d: %v", code, err)
		}
		if wait := g.pause(); wait < 110*time.Second || wait > 122*time.Second {
			t.Errorf("%d: it rests %s", code, wait)
		}
		pushes.set(nil)
		s.flush(g)
		if s.log() != "idle" {
			t.Errorf("%d: %s", code, s.log())
		}
	}
}

// rested says that an attempt has failed.
func (g *Git) rested() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.tries > 0
}

// await waits for a condition.
func (s *site) await(what func() bool) {
	deadline, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !what() {
		select {
		case <-tick.C:
		case <-deadline.Done():
			s.t.Error("waited in vain")
			return
		}
	}
}

// An answer that does not come: the relay stands between the sink and the server.
func TestGitUnclearAnswers(t *testing.T) {
	for name, landed := range map[string]bool{"landed": true, "not landed": false} {
		t.Run(name, func(t *testing.T) {
			var pushes gate
			s := newSite(t, gittest.ServerOptions{Wrap: pushes.wrap})
			relay := gittest.StartRelay(t, strings.TrimPrefix(s.server.URL, "http://"))
			s.url, s.timeout = "http://"+relay.Addr+"/r.git", time.Minute
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
	s := newSite(t, gittest.ServerOptions{})
	relay := gittest.StartRelay(t, strings.TrimPrefix(s.server.URL, "http://"))
	s.url, s.timeout = "http://"+relay.Addr+"/r.git", time.Second
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

// killed is a Store under a sink whose process dies at its n-th push: what is on the disk then is kept.
type killed struct {
	Store
	at    string // before or after the push
	file  string
	saved []byte
}

var errKilled = errors.New("killed")

func (k *killed) Push(ctx context.Context, updates ...gitrepo.Update) error {
	if k.at == "after" {
		if err := k.Store.Push(ctx, updates...); err != nil {
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
	for _, at := range []string{"before", "after"} {
		for name, next := range map[string]node.State{"same": node.Wedged, "back": node.Idle, "on": node.Leaving} {
			t.Run(at+" "+name, func(t *testing.T) {
				s := newSite(t, gittest.ServerOptions{})
				s.tell(s.open(), said(node.Idle, 0))
				var k *killed
				s.between = func(inner Store) Store {
					k = &killed{Store: inner, at: at, file: s.memory}
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
	s := newSite(t, gittest.ServerOptions{})
	a := s.open()
	s.tell(a, said(node.Idle, 0))
	copied, err := os.ReadFile(s.memory)
	if err != nil {
		t.Fatal(err)
	}
	other := func(state node.State, after time.Duration) Record {
		r := said(state, after)
		r.Hardware, r.Hostname, r.Addresses = "dmi:cccc/dddd", "web2", []string{"10.0.0.8"}
		return r
	}
	clashes := func(g *Git, r Record) *Clash {
		t.Helper()
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
		if g.pause() < slowly-time.Minute {
			t.Errorf("it asks again in %s", g.pause())
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
	if copied, err = os.ReadFile(s.memory); err != nil {
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
	s := newSite(t, gittest.ServerOptions{})
	clone := *s
	clone.memory = filepath.Join(t.TempDir(), "presence.json")
	of := func(boot string, state node.State, after time.Duration) Record {
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
	s := newSite(t, gittest.ServerOptions{})
	s.repo.Commit("presence/n1", gittest.File("README", "mine"))
	tip := s.repo.Tip("presence/n1")
	g := s.open()
	if err := g.Tell(t.Context(), said(node.Idle, 0)); err != nil {
		t.Fatal(err)
	}
	var clash *Clash
	if err := g.Flush(t.Context()); !errors.As(err, &clash) || !strings.Contains(err.Error(), "no record") {
		t.Errorf("%v", err)
	}
	if s.repo.Tip("presence/n1") != tip {
		t.Error("it was moved")
	}
}

// The same machine with a lost memory, or that of a copied state_dir, goes on where the ref is.
func TestGitLostMemory(t *testing.T) {
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
	s := newSite(t, gittest.ServerOptions{})
	s.repo.Commit("presence/n1", gittest.File(PathOf("n1"), `{"filetype":"nodepresence","value":{"instance-id":"n1","state":"presetup"}}`))
	s.tell(s.open(), said(node.Setup, time.Minute))
	if n := s.repo.Git("rev-list", "--count", ourRef); n != "2" || s.read().State != node.Setup {
		t.Errorf("%s commits, %+v", n, s.read())
	}
}

// A node that has nothing new when it finds its own ref ahead of its memory pushes nothing.
func TestGitFindsItselfTold(t *testing.T) {
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

// states gives n records in changing states, a step apart, ending at a time after noon.
func states(n int, each, until time.Duration) []Record {
	all := make([]Record, n)
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
	for name, c := range map[string]struct {
		n, at int // so many transitions, pushed so many at once
		each  time.Duration
		want  string // commits in the end
	}{
		// At the 601st commit the newest 500 stay.
		"many": {620, 20, time.Minute, "500"},
		// A day between two: when the oldest is older than 99 days those go that are older than 90.
		"old": {120, 5, 24 * time.Hour, "96"},
	} {
		t.Run(name, func(t *testing.T) {
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
			if got := s.repo.Git("rev-list", "--count", ourRef); got != c.want || len(s.saved().Steps) != len(strings.Fields(s.log())) {
				t.Errorf("%s commits, %d steps", got, len(s.saved().Steps))
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
