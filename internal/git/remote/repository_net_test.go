package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/testkit"
)

// pushOne moves a node's ref on by a commit.
func pushOne(tb testing.TB, s *Repository, node string, n int, at string) string {
	tb.Helper()
	var o objects.Builder
	var parents []string
	if at != "" {
		parents = []string{at}
	}
	next := putRecord(&o, node, fmt.Sprint("state ", n), n, parents...)
	testkit.Must(tb, s.Push(tb.Context(), Update{Ref: presenceRefs + node, Old: at, New: next, Objects: &o}))
	return next
}

// TestStoreKeepsItsConnection and says what goes over it for one push.
func TestStoreKeepsItsConnection(t *testing.T) {
	src, server := gittest.Remote(t, gittest.ServerOptions{})
	fill(t, src, 300, 1)
	s := away{src, Source{URL: server.URL + "/r.git", Agent: "addagent/0.1.0"}}.store(t)
	at := pushOne(t, s, "i-0123456789abcdef0", 0, "")
	for n := range 3 {
		up, _, requests, _ := server.Traffic()
		at = pushOne(t, s, "i-0123456789abcdef0", n+1, at)
		if u, _, r, _ := server.Traffic(); u-up > 1300 || r-requests != 1 {
			t.Errorf("push: a record of %d bytes, %d bytes up, %d requests", len(someRecord("i-0123456789abcdef0", "state 1")), u-up, r-requests)
		} else {
			t.Logf("push: a record of %d bytes, %d bytes up", len(someRecord("i-0123456789abcdef0", "state 1")), u-up)
		}
		refs, err := s.Refs(t.Context(), presenceRefs+"i-0123456789abcdef0")
		if err != nil || len(refs) != 1 || refs[0].ID != at {
			t.Fatalf("%v %v", refs, err)
		}
		_, err = s.Read(t.Context(), []string{at}, ReadOptions{Depth: 1})
		testkit.Must(t, err)
	}
	if n := server.Conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	// The server closes what is idle: nothing is unclear, and each goes over a new one.
	closed := func() {
		before := gittest.OpenFiles(t)
		server.HTTP.CloseClientConnections()
		testkit.Eventually(t, "both ends are closed", func() bool { return gittest.OpenFiles(t) <= before-2 }) // both ends
	}
	for n := range 3 {
		closed()
		at = pushOne(t, s, "i-0123456789abcdef0", n+10, at)
		closed()
		_, err := s.Read(t.Context(), []string{at}, ReadOptions{Depth: 1})
		testkit.Must(t, err)
	}

	d := gittest.StartSSHD(t)
	relay := gittest.StartRelay(t, d.Addr)
	d.Knows(relay.Addr)
	s = away{src, Source{URL: d.URLAt(relay.Addr, src.Dir), Auth: Auth{SSHKeyFiles: []string{d.KeyFile}, KnownHostsFile: d.KnownHosts}}}.store(t)
	for n := range 3 {
		up := relay.Up.Load()
		at = pushOne(t, s, "i-0123456789abcdef0", n+20, at)
		t.Logf("ssh push: %d bytes up", relay.Up.Load()-up)
		_, err := s.Refs(t.Context())
		testkit.Must(t, err)
		_, err = s.Read(t.Context(), []string{at}, ReadOptions{Depth: 1})
		testkit.Must(t, err)
	}
	if n := relay.Conns.Load(); n != 1 {
		t.Errorf("ssh: %d connections", n)
	}
	// A connection that died is replaced: the server speaks first, so nothing was sent over the dead one.
	relay.Cut()
	at = pushOne(t, s, "i-0123456789abcdef0", 30, at)
	relay.Cut()
	_, err := s.Read(t.Context(), []string{at}, ReadOptions{Depth: 1})
	testkit.Must(t, err)
	relay.Freeze()
	s.at.(*streamRemote).patience = 300 * time.Millisecond
	if _, err := s.Refs(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestStoreHangs has servers that accept and say nothing: each call ends with its context.
func TestStoreHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	server := &httptest.Server{Listener: l}
	defer server.Listener.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
			}()
		}
	}()
	d := gittest.StartSSHD(t)
	var o objects.Builder
	update := Update{Ref: "refs/heads/a", New: putRecord(&o, "a", "idle", 1), Objects: &o}
	for _, scheme := range []string{"http", "https", "ssh", "git"} {
		s := away{nil, Source{URL: scheme + "://" + l.Addr().String() + "/x", Auth: Auth{SSHKeyFiles: []string{d.KeyFile}, KnownHostsFile: d.KnownHosts}}}.store(t)
		for what, call := range map[string]func(context.Context) error{
			"push": func(ctx context.Context) error { return s.Push(ctx, update) },
			"refs": func(ctx context.Context) error { _, err := s.Refs(ctx); return err },
			"read": func(ctx context.Context) error {
				_, err := s.Read(ctx, []string{update.New}, ReadOptions{})
				return err
			},
		} {
			// Over plain HTTP the push is sent, when there is time for it; elsewhere nothing is, for the server
			// speaks first.
			sent := scheme == "http" && what == "push"
			within := func(d time.Duration) error {
				ctx, cancel := context.WithTimeout(t.Context(), d)
				defer cancel()
				return call(ctx)
			}
			err := within(100 * time.Millisecond)
			for d := time.Second; sent && !errors.Is(err, ErrUnclear) && d < testkit.Patience; d *= 2 {
				err = within(d) // a busy machine did not get that far
			}
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnclear) != sent || errors.Is(err, ErrAccess) {
				t.Errorf("%s %s: %v", scheme, what, err)
			}
		}
	}
	s := away{nil, Source{URL: "http://" + gittest.Port(t, "127.0.0.1") + "/x"}}.store(t) // no server listens there
	if err := s.Push(t.Context(), update); err == nil || errors.Is(err, ErrUnclear) || errors.Is(err, ErrAccess) {
		t.Error(err)
	}
}

// TestStoreIncrement reads one that moved among many: what was read before does not come again.
func TestStoreIncrement(t *testing.T) {
	everywhere(t, func(t *testing.T, a away) {
		var o objects.Builder
		files := make([]objects.Entry, 0, 200)
		for i := range 200 {
			files = append(files, objects.Entry{Name: nodeName(i), ID: o.Blob(someRecord(nodeName(i), "idle"))})
		}
		who := objects.Person{Name: "fold", Email: "fold", When: time.Unix(1_800_000_000, 0)}
		first := o.Commit(objects.CommitInfo{Tree: o.Tree(files), Author: who, Message: "first"})
		files[7].ID = o.Blob(someRecord(nodeName(7), "working"))
		second := o.Commit(objects.CommitInfo{Tree: o.Tree(files), Parents: []string{first}, Author: who, Message: "second"})
		s := a.store(t)
		testkit.Must(t, s.Push(t.Context(), Update{Ref: "refs/heads/main", New: second, Objects: &o}))
		old, err := s.Read(t.Context(), []string{first}, ReadOptions{Depth: 1})
		testkit.Must(t, err)
		c, err := s.Read(t.Context(), []string{second}, ReadOptions{Have: []string{first}})
		testkit.Must(t, err)
		tree, err := c.Tree(second)
		testkit.Must(t, err)
		now, err := tree.List("")
		testkit.Must(t, err)
		came := 0
		for _, e := range now {
			if c.Has(e.ID) {
				came++
			} else if !old.Has(e.ID) {
				t.Errorf("%s is nowhere", e.Name)
			}
		}
		if !c.Has(files[7].ID) || came != 1 && a.source.URL != a.src.Dir {
			t.Errorf("%d of %d came again", came, len(now))
		}
	})
}

// TestStoreWorkTree pushes into a person's work tree, and into repositories of another kind.
func TestStoreWorkTree(t *testing.T) {
	dir := t.TempDir()
	gittest.Git(t, dir, "init", "-q", "--initial-branch=main", ".")
	s := away{nil, Source{URL: dir}}.store(t)
	var o objects.Builder
	id := putRecord(&o, "i-1", "idle", 1)
	var no *Rejected
	testkit.Must(t, s.Push(t.Context(), Update{Ref: "refs/heads/side", New: id, Objects: &o}))
	gittest.Git(t, dir, "reset", "-q", "--hard", "side")
	next := putRecord(&o, "i-1", "wedged", 2, id)
	if err := s.Push(t.Context(), Update{Ref: "refs/heads/main", Old: id, New: next, Objects: &o}); !errors.As(err, &no) || !strings.Contains(no.Why, "checked out") {
		t.Error(err)
	}
	refs, err := s.Refs(t.Context())
	if err != nil || len(refs) != 2 || refs[0] != (Ref{Name: "refs/heads/main", ID: id}) || refs[1] != (Ref{Name: "refs/heads/side", ID: id}) {
		t.Errorf("%v %v", refs, err)
	}
	// A lock that was left behind.
	testkit.Must(t, os.WriteFile(filepath.Join(dir, ".git/refs/heads/side.lock"), nil, 0o644))
	if err := s.Push(t.Context(), Update{Ref: "refs/heads/side", Old: id}); !errors.As(err, &no) || !strings.Contains(no.Why, "side.lock") {
		t.Error(err)
	}
	testkit.Must(t, os.Remove(filepath.Join(dir, ".git/refs/heads/side.lock")))
	gittest.Fsck(t, dir)
	other := t.TempDir()
	gittest.Git(t, other, "init", "-q", "--bare", "--object-format=sha256", ".")
	d := gittest.StartSSHD(t)
	for _, source := range []Source{{URL: other}, {URL: d.URL(other), Auth: Auth{SSHKeyFiles: []string{d.KeyFile}, KnownHostsFile: d.KnownHosts}}} {
		if err := (away{nil, source}).store(t).Push(t.Context(), Update{Ref: "refs/heads/side", New: id, Objects: &o}); err == nil {
			t.Errorf("%s: pushed", source.URL)
		} else {
			t.Log(err)
		}
	}
}

// TestStoreThousand lists and reads a thousand refs in two requests.
func TestStoreThousand(t *testing.T) {
	src, server := gittest.Remote(t, gittest.ServerOptions{})
	fill(t, src, 1000, 1)
	src.Git("pack-refs", "--all")
	s := away{src, Source{URL: server.URL + "/r.git"}}.store(t)
	refs, c := readFleet(t, s, ReadOptions{Depth: 1})
	for _, r := range refs {
		if _, err := c.File(r.ID, "it/presence/all/"+strings.TrimPrefix(r.Name, presenceRefs)+".json"); err != nil {
			t.Fatal(err)
		}
	}
	if n := server.Requests.Load(); len(refs) != 1000 || n != 2 {
		t.Errorf("%d refs, %d requests", len(refs), n)
	}
}

func TestStoreArguments(t *testing.T) {
	id := strings.Repeat("1", 40)
	for _, s := range []Source{{URL: "x"}, {URL: "/x", Mirrors: []string{"/y"}}} {
		if _, err := New(s); err == nil {
			t.Errorf("%+v is taken", s)
		}
	}
	s := away{nil, Source{URL: filepath.Join(t.TempDir(), "none")}}.store(t)
	var twice, name, parent objects.Builder
	blob := twice.Blob(nil)
	twice.Tree([]objects.Entry{{Name: "a", ID: blob}, {Name: "a", ID: blob, Dir: true}})
	name.Tree([]objects.Entry{{Name: "a/b", ID: blob}})
	parent.Commit(objects.CommitInfo{Tree: id, Parents: []string{"HEAD"}})
	for what, u := range map[string][]Update{
		"no update": nil,
		"full name": {{Ref: "main", New: id}}, "full name ": {{Ref: "refs/main", New: id}}, "git does not accept": {{Ref: "refs/heads/a..b", New: id}},
		".lock": {{Ref: "refs/heads/a.lock", New: id}}, "neither": {{Ref: "refs/heads/a"}}, "no id": {{Ref: "refs/heads/a", New: "1234"}},
		"no id of": {{Ref: "refs/heads/a", New: strings.Repeat("A", 40)}}, "no id of an": {{Ref: "refs/heads/a", New: strings.Repeat("0", 40)}},
		"two updates": {{Ref: "refs/heads/a", New: id}, {Ref: "refs/heads/a", New: id}},
		"twice":       {{Ref: "refs/heads/a", New: id, Objects: &twice}}, "cannot be": {{Ref: "refs/heads/a", New: id, Objects: &name}},
		"HEAD": {{Ref: "refs/heads/a", New: id, Objects: &parent}},
	} {
		if err := s.Push(t.Context(), u...); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(what)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := s.Refs(t.Context(), "refs/heads/a b"); err == nil || !strings.Contains(err.Error(), "begins no name") {
		t.Error(err)
	}
	if _, err := s.Read(t.Context(), []string{"main"}, ReadOptions{}); err == nil {
		t.Error("no error")
	}
	if c, err := s.Read(t.Context(), nil, ReadOptions{}); err != nil || c.Has(id) {
		t.Error(err)
	}
}
