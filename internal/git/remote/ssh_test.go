package remote

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/protocol"
	"github.com/addagent/addagent/internal/testkit"
)

// sshWorld is a repository behind sshd, with a relay in between.
type sshWorld struct {
	tb    testing.TB
	src   *gittest.Repo
	repo  *Repository
	sshd  *gittest.SSHD
	relay *gittest.Relay
}

func newSSHWorld(tb testing.TB, o gittest.SSHDOptions) *sshWorld {
	tb.Helper()
	w := &sshWorld{tb: tb, src: gittest.New(tb, filepath.Join(tb.TempDir(), "r.git")), sshd: gittest.StartSSHDWith(tb, o)}
	w.relay = gittest.StartRelay(tb, w.sshd.Addr)
	w.sshd.Knows(w.sshd.Addr, w.relay.Addr)
	w.reach(w.sshd.KeyFile)
	w.src.Commit("main", gittest.File("a", "x"))
	return w
}

// reach begins anew, with these keys.
func (w *sshWorld) reach(keys ...string) {
	w.tb.Helper()
	var err error
	w.repo, err = New(Source{URL: w.sshd.URLAt(w.relay.Addr, w.src.Dir), Agent: "addagent/test",
		Auth: Auth{SSHKeyFiles: keys, KnownHostsFile: w.sshd.KnownHosts}})
	testkit.Must(w.tb, err)
	w.line().patience = testkit.Patience // a busy machine answers when it can
	w.tb.Cleanup(func() { _ = w.repo.Close() })
}

func (w *sshWorld) line() *streamRemote { return w.repo.at.(*streamRemote) }

// cut closes the connection that stands on this side, behind the back of who keeps it.
func (w *sshWorld) cut(t *testing.T) {
	t.Helper()
	s, err := w.line().line.Open(t.Context(), protocol.UploadPack, true)
	testkit.Must(t, err)
	s.Cut()
}

func (w *sshWorld) conns(want int64, when string) {
	w.tb.Helper()
	if n := w.relay.Conns.Load(); n != want {
		w.tb.Fatalf("%s: %d connections, want %d", when, n, want)
	}
}

// look asks where the branch is.
func (w *sshWorld) look() {
	w.tb.Helper()
	tip, err := w.repo.Tip(w.tb.Context(), "main")
	if err != nil || tip.ID != w.src.Tip("main") {
		w.tb.Fatal(tip, err)
	}
}

// check looks, and fetches what is there.
func (w *sshWorld) check() {
	w.tb.Helper()
	w.look()
	pack, err := w.repo.Fetch(w.tb.Context(), protocol.FetchRequest{Want: w.src.Tip("main"), Depth: 1})
	testkit.Must(w.tb, err)
	_, err = io.Copy(io.Discard, pack)
	testkit.Must(w.tb, err)
	testkit.Must(w.tb, pack.Close())
}

func (w *sshWorld) refused(want ...string) { w.refusedFor("main", want...) }

func (w *sshWorld) refusedFor(branch string, want ...string) {
	w.tb.Helper()
	_, err := w.repo.Tip(w.tb.Context(), branch)
	for _, text := range want {
		if err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "\n") {
			w.tb.Fatalf("%q is not in: %v", text, err)
		}
	}
}

// TestSSHIsKept holds what a look over SSH costs, and that a push is seen on a connection that stands: also where the
// server speaks v0 only.
func TestSSHIsKept(t *testing.T) {
	for _, noV2 := range []bool{false, true} {
		w := newSSHWorld(t, gittest.SSHDOptions{NoV2: noV2})
		w.check()
		w.src.PackRefs("other/", 500)
		w.look()
		open := gittest.OpenFiles(t)
		before := w.relay.Up.Load() + w.relay.Down.Load()
		looks := int64(testkit.Rounds(5, 20))
		for range looks {
			w.look()
		}
		each := (w.relay.Up.Load() + w.relay.Down.Load() - before) / looks
		t.Logf("v2 %v: %d bytes a look", !noV2, each)
		if w.line().proven == noV2 || (each > 3000) != noV2 {
			t.Errorf("v2 %v: proven %v, %d bytes a look", !noV2, w.line().proven, each)
		}
		for i := range 4 {
			w.src.Commit("main", gittest.File("n", fmt.Sprint(i)))
			w.check()
		}
		w.src.Move("main", "main~3")
		w.check()
		w.conns(1, "all of that")
		testkit.Eventually(t, fmt.Sprintf("no more files are open than the %d before, and one", open), func() bool { return gittest.OpenFiles(t) <= open+1 })
		if old := w.line().old; old.IsZero() == noV2 {
			t.Errorf("v2 %v: not asked for it until %s", !noV2, old)
		}
		w.line().old = time.Now().Add(-time.Second)
		w.look()
		if noV2 && !w.line().old.After(time.Now()) {
			t.Error("v2 is not tried again after an hour")
		}
	}
}

func TestSSHConnectionDies(t *testing.T) {
	w := newSSHWorld(t, gittest.SSHDOptions{})
	w.look()
	w.look()
	for i, die := range []func(){w.relay.Cut, w.relay.Freeze, func() { w.cut(t) }} {
		w.src.Commit("main", gittest.File("n", fmt.Sprint(i)))
		for n := range int64(2) {
			die()
			w.line().patience = time.Second // what is dead is given up soon, and what lives may be slow
			tip, err := w.repo.Tip(t.Context(), "main")
			w.line().patience = testkit.Patience
			if err != nil || tip.ID != w.src.Tip("main") {
				t.Fatal(tip, err)
			}
			w.conns(2*int64(i)+2+n, "after a death")
		}
		w.check()
		w.conns(2*int64(i)+3, "on a connection that stands")
	}
	w.sshd.Stop()
	w.relay.Cut()
	w.refused("ssh: ")
	w.refused("ssh: ")
	w.sshd.Start()
	w.check()
	// The same while the server does not answer.
	w.relay.Dead.Store(true)
	w.relay.Freeze()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if tip, err := w.repo.Tip(ctx, "main"); err == nil || ctx.Err() == nil {
		t.Fatal(tip, err)
	}
	w.relay.Dead.Store(false)
	w.check()
}

func TestSSHKeys(t *testing.T) {
	w := newSSHWorld(t, gittest.SSHDOptions{})
	first, second, missing := w.sshd.KeyFile, w.sshd.NewKey("second"), filepath.Join(t.TempDir(), "missing")
	w.reach(second, missing, first)
	w.check()
	w.conns(1, "three keys")
	// The server changes its mind: a connection that stands is none of its business, a new one is.
	w.sshd.Allow(second)
	w.look()
	w.conns(1, "still standing")
	w.relay.Cut()
	w.check()
	w.reach(first, missing)
	w.refused("not let", "in with "+first+", "+missing, "no such file")
	// The same file, another key in it: the next look makes a new connection.
	w.sshd.Allow(first, second)
	w.reach(first)
	w.look()
	before := w.relay.Conns.Load()
	gittest.ReplaceFile(t, first, gittest.ReadFile(t, second))
	w.sshd.Allow(second)
	w.check()
	w.conns(before+1, "a key was replaced")
	gittest.ReplaceFile(t, w.sshd.KnownHosts, gittest.ReadFile(t, w.sshd.KnownHosts)+"# looked at\n")
	w.look()
	w.look()
	w.conns(before+2, "known_hosts was written")
	gittest.ReplaceFile(t, w.sshd.KnownHosts, "")
	w.refused("unknown host key", w.sshd.HostKey, "known: none")
	w.sshd.Knows(w.relay.Addr)
	w.check()

	was := w.sshd.HostKey
	w.sshd.Stop()
	w.relay.Cut()
	w.sshd.NewHostKey()
	w.sshd.Start()
	w.refused("host key changed", was, w.sshd.HostKey, w.sshd.KnownHosts+":1")
	w.sshd.Knows(w.relay.Addr)
	w.check()
}

// TestSSHSaysWhy keeps the connection when it is the repository that is the matter.
func TestSSHSaysWhy(t *testing.T) {
	w := newSSHWorld(t, gittest.SSHDOptions{})
	w.look()
	away := w.src.Dir + ".away"
	if err := os.Rename(w.src.Dir, away); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.refused("does not appear to be a git repository")
	}
	if err := os.Rename(away, w.src.Dir); err != nil {
		t.Fatal(err)
	}
	w.look()
	w.conns(1, "after its complaints")
	w.refusedFor("mian", `branch "mian" is not there; `)
	w.conns(1, "without that branch")
}

func TestSSHLeavesNothingRunning(t *testing.T) {
	before := runtime.NumGoroutine()
	w := newSSHWorld(t, gittest.SSHDOptions{})
	for range 20 {
		w.look()
	}
	if err := w.repo.Close(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "our goroutines end", func() bool { return runtime.NumGoroutine() <= before+4 }) // of the relay
}

// TestV2IsTriedAgain: a server without it is asked in v0 for an hour.
func TestV2IsTriedAgain(t *testing.T) {
	src, server := gittest.Remote(t, gittest.ServerOptions{NoV2: true})
	src.Commit("main", gittest.File("a", "x"))
	s, err := New(Source{URL: server.URL + "/r.git"})
	testkit.Must(t, err)
	defer s.Close()
	for i, want := range []int64{2, 1, 1, 2} {
		if i == 3 {
			s.at.(*httpRemote).old = time.Now().Add(-time.Second)
		}
		before := server.Requests.Load()
		_, err := s.Tip(t.Context(), "main")
		testkit.Must(t, err)
		if n := server.Requests.Load() - before; n != want {
			t.Errorf("look %d: %d requests, want %d", i, n, want)
		}
	}
}

// TestKnownHosts reads them as openssh does.
func TestKnownHosts(t *testing.T) {
	d := gittest.StartSSHDWith(t, gittest.SSHDOptions{AllKeys: true})
	src := gittest.New(t, filepath.Join(t.TempDir(), "r.git"))
	src.Commit("main", gittest.File("a", "x"))
	d.NewKey("other")
	host, rsa, ca, other := d.Public("host"), d.Public("rsa"), d.Public("ca"), d.Public("other")
	at, _, _ := strings.Cut(gittest.ReadFile(t, d.KnownHosts), " ")
	_, port, _ := strings.Cut(at, ":")
	keygen := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ssh-keygen", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	stale := filepath.Join(t.TempDir(), "rsa")
	keygen("-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", stale)
	staleRSA := gittest.ReadFile(t, stale+".pub")
	hashed := filepath.Join(t.TempDir(), "hashed")
	gittest.WriteFile(t, hashed, at+" "+host+"\n")
	keygen("-H", "-f", hashed)
	for name, c := range map[string]struct{ lines, wrong string }{
		"lines that cannot be read": {"h ssh-new AAAA\n@odd h ssh-rsa AAAA\nh ssh-ed25519 !!!\n|1|x|y ssh-rsa\n" + at + " ssh-new AAAAB3Nz\n\x00\xff\n" + at + " " + host, ""},
		"stale RSA first":           {at + " " + staleRSA + "\n" + at + " " + host, ""},
		"stale RSA last":            {at + " " + host + "\n" + at + " " + staleRSA, ""},
		"RSA alone":                 {at + " " + rsa, ""},
		"an old key beside it":      {at + " " + other + "\n" + at + " " + host, ""},
		"hashed":                    {gittest.ReadFile(t, hashed), ""},
		"a pattern":                 {"h,[127.0.0.*]:?* " + host, ""},
		"not that one":              {"!" + at + ",[127.0.0.*]:* " + host, "unknown host key"},
		"another port":              {"[127.0.0.1]:1" + port + " " + host, "unknown host key"},
		"an authority":              {"@cert-authority [127.*]:* " + ca, ""},
		"an authority and a key":    {"@cert-authority * " + ca + "\n" + at + " " + other, ""},
		"another authority":         {"@cert-authority * " + other, "unknown host key"},
		"another, and the key":      {"@cert-authority * " + other + "\n" + at + " " + host, ""},
		"the authority's as a key":  {at + " " + ca, "host key changed"},
		"revoked":                   {"@revoked * " + host + "\n" + at + " " + host, "revoked"},
		"authority revoked":         {"@revoked * " + ca + "\n@cert-authority * " + ca, "revoked"},
		"nothing":                   {"", "unknown host key"},
	} {
		known := filepath.Join(t.TempDir(), "known_hosts")
		gittest.WriteFile(t, known, c.lines+"\n")
		r, err := New(Source{URL: d.URL(src.Dir), Auth: Auth{SSHKeyFiles: []string{d.KeyFile}, KnownHostsFile: known}})
		testkit.Must(t, err)
		_, err = r.Tip(t.Context(), "main")
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %v, want %q", name, err, c.wrong)
		}
		_ = r.Close()
	}
}
