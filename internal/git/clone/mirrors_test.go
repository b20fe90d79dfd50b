package clone

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
)

// mirrored is a repository with a mirror that is brought up to date by hand, each behind a server that can be spoilt.
type mirrored struct {
	*world
	copy          *gittest.Repo
	first, second *spoilt
}

// spoilt is a server that does not do what it should.
type spoilt struct {
	*gittest.Server
	how atomic.Value // "", "down", "hangs", "cut", "429", "500"
}

func serveSpoilt(tb testing.TB, root string) *spoilt {
	s := &spoilt{}
	s.how.Store("")
	s.Server = gittest.Serve(tb, root, gittest.ServerOptions{Wrap: func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch how := s.how.Load().(string); how {
			case "":
				h.ServeHTTP(w, r)
			case "down":
				panic(http.ErrAbortHandler)
			case "hangs":
				_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client has gone
				<-r.Context().Done()
			case "cut": // in the middle of a pack; a question is answered
				h.ServeHTTP(&cutting{ResponseWriter: w, left: 600}, r)
			default:
				w.Header().Set("Retry-After", "60")
				var code int
				fmt.Sscan(how, &code)
				w.WriteHeader(code)
			}
		})
	}})
	return s
}

type cutting struct {
	http.ResponseWriter
	left int
}

func (c *cutting) Write(b []byte) (int, error) {
	if c.left -= len(b); c.left < 0 {
		_, _ = c.ResponseWriter.Write(b[:len(b)+c.left])
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return c.ResponseWriter.Write(b)
}

func newMirrored(t *testing.T, l Limits) *mirrored {
	t.Helper()
	root, other := t.TempDir(), t.TempDir()
	m := &mirrored{
		world: &world{tb: t, src: gittest.New(t, filepath.Join(root, "r.git")), dir: filepath.Join(t.TempDir(), "clone")},
		copy:  gittest.New(t, filepath.Join(other, "m.git")),
	}
	m.first, m.second = serveSpoilt(t, root), serveSpoilt(t, other)
	m.src.Commit("main", someFiles(40, "x")...)
	m.sync()
	m.again(l)
	return m
}

// again is the node after a restart.
func (m *mirrored) again(l Limits) {
	m.open(remote.Source{URL: m.first.URL + "/r.git", Mirrors: []string{strings.Replace(m.second.URL, "://", "://u:S3CR3T@", 1) + "/m.git"}, Branch: "main"}, l)
}

// sync brings the mirror up to date.
func (m *mirrored) sync() { m.copy.Git("fetch", "-q", "--prune", m.src.Dir, "+refs/*:refs/*") }

// forgive ends the time for which the places are left alone.
func (m *mirrored) forgive() {
	for _, at := range m.repo.mirrors.list {
		at.wait.Until = time.Now()
	}
}

func (m *mirrored) expect(s Applied, notices ...string) {
	m.tb.Helper()
	if len(s.Notices) != len(notices) {
		m.tb.Fatalf("notices %q, want %q", s.Notices, notices)
	}
	for i, n := range notices {
		if !strings.Contains(s.Notices[i], n) || strings.Contains(s.Notices[i], "S3CR3T") {
			m.tb.Fatalf("notice %q, want %q", s.Notices[i], n)
		}
	}
}

func TestMirrorAnswersWhenTheFirstCannot(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"down", "hangs", "429", "500"} {
		l := Limits{}
		if how == "hangs" {
			l.Look = 30 * time.Second // the first takes half of it, and the mirror may be slow, too
		}
		m := newMirrored(t, l)
		m.expect(m.check())
		asked := m.second.Requests.Load()
		m.expect(m.check())
		if n := m.second.Requests.Load() - asked; n != 0 {
			t.Fatalf("the mirror was asked %d times, and the first answers", n)
		}
		m.first.how.Store(how)
		m.src.Commit("main", gittest.File("n", how))
		m.sync()
		m.expect(m.check(), "the mirror "+m.second.URL+"/m.git is asked: "+m.first.URL+"/r.git cannot be")
		asked = m.first.Requests.Load()
		m.src.Commit("main", gittest.File("n", how+" 2"))
		m.sync()
		m.expect(m.check())
		if n := m.first.Requests.Load() - asked; n != 0 {
			t.Fatalf("%s: the first was asked %d times, and is to be left alone", how, n)
		}
		m.first.how.Store("")
		m.expect(m.look())
		m.forgive()
		m.expect(m.look(), m.first.URL+"/r.git answers again")
		m.expect(m.look())
	}
}

func TestMirrorGivesWhatTheFirstCannot(t *testing.T) {
	t.Parallel()
	m := newMirrored(t, Limits{})
	m.first.how.Store("cut") // also the first clone
	s := m.check()
	m.expect(s)
	if m.second.Requests.Load() == 0 {
		t.Fatal("nothing was cut")
	}
	m.first.how.Store("")
	m.forgive()
	m.check()
	// The first says where the branch is and then sends half a pack, or nothing.
	for i, how := range []string{"cut", "hangs", "down"} {
		m.forgive()
		tip := m.src.Commit("main", gittest.File("big", fmt.Sprint(i, randomText(4000))))
		m.sync()
		m.repo.limits.Stall, m.repo.mirrors.stall = time.Minute, time.Second
		asked, err := m.repo.Ask(t.Context())
		if err != nil || asked.ID != tip {
			t.Fatal(asked, err)
		}
		m.first.how.Store(how)
		before := m.second.Requests.Load()
		s, err := m.repo.Apply(t.Context(), asked, nil)
		if err != nil {
			t.Fatal(how, err)
		}
		m.same(s)
		if m.second.Requests.Load() == before {
			t.Errorf("%s: the mirror gave nothing", how)
		}
		m.first.how.Store("")
	}
}

// randomText cannot be compressed much; a test needs no luck for that.
func randomText(n int) string {
	var b strings.Builder
	x := uint64(time.Now().UnixNano())
	for b.Len() < n {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		fmt.Fprintf(&b, "%x", x)
	}
	return b.String()
}

func TestMirrorMovesNobodyBack(t *testing.T) {
	t.Parallel()
	m := newMirrored(t, Limits{})
	m.src.History("main", 3, func(i int) []gittest.Change { return []gittest.Change{gittest.File("n", fmt.Sprint(i))} })
	m.check()
	here := m.src.Tip("main")
	m.first.how.Store("down")
	stays := func(notices ...string) {
		t.Helper()
		s := m.look()
		if s.Version != here || s.Moved || s.Branch != "main" {
			t.Fatalf("%+v", s)
		}
		m.expect(s, notices...)
		if behind := m.repo.Behind(); !strings.Contains(behind, "/r.git cannot be asked, and what the mirror ") ||
			!strings.Contains(behind, "/m.git has ("+m.copy.Tip("main")[:7]+") does not follow "+here[:7]) {
			t.Errorf("it says %q", behind)
		}
		requests, bytes := m.second.Requests.Load(), m.second.Bytes()
		s = m.look()
		if s.Version != here || s.Moved || len(s.Notices) != 0 {
			t.Fatalf("%+v", s)
		}
		if n := m.second.Requests.Load() - requests; n != 1 {
			t.Errorf("%d requests of a mirror that is known to lag", n)
		}
		if n := m.second.Bytes() - bytes; n > 1500 {
			t.Errorf("%d bytes", n)
		}
		if at := gittest.Git(t, m.dir, "rev-parse", "HEAD"); at != here {
			t.Fatal(at)
		}
	}
	bytes := m.second.Bytes()
	stays("is asked")
	if n := m.second.Bytes() - bytes; n > 6000 {
		t.Errorf("finding out that it lags took %d bytes", n)
	}
	m.again(Limits{})
	stays("is asked")
	// Its history diverged: by a foreign commit, and by a branch that was rewritten.
	m.copy.Commit("main", gittest.File("evil", "x"))
	stays()
	m.copy.CommitOn("main", nil, gittest.File("evil", "root"))
	stays()
	// It comes to where we are, and goes on from there.
	m.sync()
	m.expect(m.check())
	if behind := m.repo.Behind(); behind != "" {
		t.Errorf("it follows again, and says %q", behind)
	}
	m.src.History("main", 300, func(i int) []gittest.Change { return []gittest.Change{gittest.File("m", fmt.Sprint(i))} })
	m.sync()
	if s := m.check(); !s.Moved || len(s.Notices) != 0 {
		t.Fatalf("%+v", s)
	}
	// And moves back when it is the first that does: that is a person's wish.
	m.first.how.Store("")
	m.forgive()
	m.src.Move("main", "main~1")
	s := m.check()
	m.expect(s, "answers again", "moved back")
}

// TestMirrorChoosesNoBranch when it is for the remote's HEAD to say which one.
func TestMirrorChoosesNoBranch(t *testing.T) {
	t.Parallel()
	m := newMirrored(t, Limits{})
	s := m.repo.source
	s.Branch = ""
	m.open(s, Limits{})
	m.check()
	here := m.src.Tip("main")
	m.copy.Git("branch", "other", "main")
	m.copy.Git("symbolic-ref", "HEAD", "refs/heads/other")
	m.first.how.Store("down")
	for _, notices := range [][]string{{"is asked"}, nil} {
		s := m.look()
		if s.Branch != "main" || s.Version != here || s.Moved {
			t.Fatalf("%+v", s)
		}
		m.expect(s, notices...)
	}
}

// TestMirrorOfAnotherRemote: a person gave the clone another URL, whose mirror alone answers.
func TestMirrorOfAnotherRemote(t *testing.T) {
	t.Parallel()
	m := newMirrored(t, Limits{})
	other := newWorld(t, gittest.ServerOptions{})
	other.src.Commit("main", gittest.File("other", "x"))
	m.open(remote.Source{URL: other.repo.source.URL, Branch: "main"}, Limits{})
	m.look()
	m.first.how.Store("down")
	m.again(Limits{})
	m.expect(m.check(), "is asked", "its remote was")
}

// TestPreviewOfALaggingMirror shows what a beat would do: nothing.
func TestPreviewOfALaggingMirror(t *testing.T) {
	t.Parallel()
	m := newMirrored(t, Limits{})
	m.src.Commit("main", gittest.File("n", "new"))
	m.check()
	m.first.how.Store("down")
	m.again(Limits{})
	tip, err := m.repo.Ask(t.Context())
	if err != nil || tip.ID != m.src.Tip("main") {
		t.Fatal(tip, err)
	}
}

func TestMirrorAndBranchesThatAreNotThere(t *testing.T) {
	t.Parallel()
	m := newMirrored(t, Limits{})
	m.check()
	fails := func(want string) {
		t.Helper()
		_, err := m.repo.Ask(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "S3CR3T") {
			t.Fatal(err)
		}
	}
	m.src.Git("branch", "-m", "main", "trunk")
	asked := m.second.Requests.Load()
	fails(`branch "main" is not there; the remote has trunk`)
	if n := m.second.Requests.Load() - asked; n != 0 {
		t.Error("the first answered, and a mirror was asked")
	}
	m.first.how.Store("down")
	m.copy.Git("branch", "-m", "main", "old")
	fails("; mirror " + m.second.URL + `/m.git: branch "main" is not there; the remote has old`)
	// While neither is available, each look asks both, except for one that wants to be left alone.
	m.first.how.Store("429")
	m.forgive()
	fails("429")
	one, two := m.first.Requests.Load(), m.second.Requests.Load()
	fails("asked again in")
	if m.first.Requests.Load() != one || m.second.Requests.Load() == two {
		t.Error(m.first.Requests.Load()-one, m.second.Requests.Load()-two)
	}
	if _, err := newMirrors(remote.Source{URL: "https://h/x", Mirrors: []string{"nonsense"}}, Limits{}); err == nil {
		t.Error("no error")
	}
}
