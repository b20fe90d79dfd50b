package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/testkit"
)

// TestStoreRace lets two push to one ref at once: exactly one wins each round.
func TestStoreRace(t *testing.T) {
	everywhere(t, func(t *testing.T, a away) {
		stores := []*Repository{a.store(t), a.store(t)}
		at := ""
		rounds := 50
		if strings.HasPrefix(a.source.URL, "ssh://") {
			rounds = 15 // each push starts two processes more
		}
		for round := range rounds {
			var all sync.WaitGroup
			errs, ids := make([]error, 2), make([]string, 2)
			for i, s := range stores {
				all.Go(func() {
					var o objects.Builder
					ids[i] = putRecord(&o, fmt.Sprint("racer", i), "idle", round)
					errs[i] = s.Push(t.Context(), Update{Ref: "refs/heads/presence/i-1", Old: at, New: ids[i], Objects: &o})
				})
			}
			all.Wait()
			won := 0
			for i, err := range errs {
				var no *Rejected
				switch {
				case err == nil:
					won, at = won+1, ids[i]
				case !errors.As(err, &no):
					t.Fatal(err)
				}
			}
			if won != 1 || a.src.Git("rev-parse", "refs/heads/presence/i-1") != at {
				t.Fatalf("round %d: %d won: %v", round, won, errs)
			}
		}
	})
}

// TestStoreCrowd lets 20 push to a ref of their own at once, while the refs are packed behind them: all land.
func TestStoreCrowd(t *testing.T) {
	everywhere(t, func(t *testing.T, a away) {
		fill(t, a.src, 3, 2)
		// Else git gives up early on a busy machine, and says no.
		a.src.Git("config", "core.filesRefLockTimeout", "120000")
		a.src.Git("config", "core.packedRefsTimeout", "120000")
		var all, packing sync.WaitGroup
		done := make(chan struct{})
		packing.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-done:
					return
				case <-tick.C:
				}
				if _, err := gittest.TryGit(a.src.Dir, nil, "pack-refs", "--all"); err != nil {
					t.Error(err)
				}
			}
		})
		for i := range 20 {
			s := a.store(t)
			all.Go(func() {
				ref, at := fmt.Sprint("refs/presence/n", i), ""
				for n := range 3 {
					var o objects.Builder
					next := putRecord(&o, fmt.Sprint("n", i), "idle", n)
					if err := insist(t.Context(), s, Update{Ref: ref, Old: at, New: next, Objects: &o}); err != nil {
						t.Error(err)
						return
					}
					at = next
				}
				if i%2 == 0 {
					if err := insist(t.Context(), s, Update{Ref: ref, Old: at}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		close(done)
		packing.Wait()
		refs, err := a.store(t).Refs(t.Context(), "refs/presence/")
		if err != nil || len(refs) != 10 {
			t.Fatalf("%d refs: %v", len(refs), err)
		}
	})
}

// insist pushes again when it was rejected: git, too, meets the locks of a git that packs refs, and gives up.
func insist(ctx context.Context, s *Repository, u Update) error {
	for again := 0; ; again++ {
		err := s.Push(ctx, u)
		var no *Rejected
		if !errors.As(err, &no) || again == 50 {
			return err
		}
	}
}

// TestStoreHook has a hook that says no, to one of two refs.
func TestStoreHook(t *testing.T) {
	everywhere(t, func(t *testing.T, a away) {
		hook(t, a.src, "update", `case "$1" in refs/heads/no) echo "not today" >&2; exit 1;; esac`)
		var o objects.Builder
		id := putRecord(&o, "i-1", "idle", 1)
		err := a.store(t).Push(t.Context(), Update{Ref: "refs/heads/no", New: id, Objects: &o}, Update{Ref: "refs/heads/yes", New: id, Objects: &o})
		var no *Rejected
		if !errors.As(err, &no) || no.Ref != "refs/heads/no" || !strings.HasPrefix(no.Why, "hook declined") {
			t.Error(err)
		}
		if got := a.src.Tip("yes"); got != id {
			t.Error(got)
		}
	})
}

func hook(tb testing.TB, src *gittest.Repo, name, script string) {
	tb.Helper()
	testkit.Must(tb, os.MkdirAll(filepath.Join(src.Dir, "hooks"), 0o755))
	testkit.Must(tb, os.WriteFile(filepath.Join(src.Dir, "hooks", name), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
}

// TestStoreUnclear cuts the connection, or runs out of time, while the server is at work.
func TestStoreUnclear(t *testing.T) {
	sshd := gittest.StartSSHD(t)
	for _, kind := range []string{"http", "ssh", "git"} {
		for _, how := range []string{"cut", "time"} {
			t.Run(kind+" "+how, func(t *testing.T) {
				root := t.TempDir()
				src := gittest.New(t, filepath.Join(root, "r.git"))
				begun, release := filepath.Join(root, "begun"), filepath.Join(root, "release")
				hook(t, src, "update", "touch "+begun+"; while [ ! -e "+release+" ]; do sleep 0.01; done")
				var to, url string
				source := Source{}
				switch kind {
				case "http":
					to = strings.TrimPrefix(gittest.Serve(t, root, gittest.ServerOptions{}).URL, "http://")
				case "git":
					to = strings.TrimPrefix(gittest.Daemon(t, root), "git://")
				case "ssh":
					to = sshd.Addr
				}
				relay := gittest.StartRelay(t, to)
				if url = kind + "://" + relay.Addr + "/r.git"; kind == "ssh" {
					sshd.Knows(relay.Addr)
					url, source.Auth = sshd.URLAt(relay.Addr, src.Dir), Auth{SSHKeyFiles: []string{sshd.KeyFile}, KnownHostsFile: sshd.KnownHosts}
				}
				source.URL = url
				s := away{src, source}.store(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				pushed := make(chan error, 1)
				var o objects.Builder
				id := putRecord(&o, "i-1", "idle", 1)
				update := Update{Ref: "refs/heads/a", New: id, Objects: &o}
				go func() { pushed <- s.Push(ctx, update) }()
				testkit.Eventually(t, "the push begins", func() bool { _, err := os.Stat(begun); return err == nil })
				if how == "cut" {
					relay.Cut()
				} else {
					cancel()
				}
				err := <-pushed
				var no *Rejected
				if !errors.Is(err, ErrUnclear) || errors.As(err, &no) || errors.Is(err, ErrAccess) || how == "time" && !errors.Is(err, context.Canceled) {
					t.Errorf("%v", err)
				}
				testkit.Must(t, os.WriteFile(release, nil, 0o644))
				// What a caller does: ask, and push again if it did not land.
				testkit.Eventually(t, "the push ended", func() bool {
					refs, err := s.Refs(t.Context())
					testkit.Must(t, err)
					if len(refs) == 0 {
						err = s.Push(t.Context(), update)
					}
					return (err == nil || errors.As(err, &no)) && len(refs) == 1 && refs[0].ID == id
				})
			})
		}
	}
}

// TestStoreStatus has a server answer a push with what servers and gateways answer.
func TestStoreStatus(t *testing.T) {
	for _, c := range []struct {
		code    int
		header  string
		body    string
		unclear bool
		access  bool
		after   time.Duration
		want    string
	}{
		{code: 401, access: true, want: "set auth"},
		{code: 403, access: true, want: "http.receivepack"},
		{code: 404, access: true, want: "check url"},
		{code: 403, header: "7", after: 7 * time.Second, want: "too many requests"},
		{code: 429, header: "9", after: 9 * time.Second, want: "429"},
		{code: 503, header: "3", after: 3 * time.Second, want: "503"},
		{code: 500, unclear: true, want: "500"},
		{code: 502, unclear: true, want: "502"},
		{code: 504, unclear: true, want: "504"},
		{code: 522, unclear: true, want: "522"},
		{code: 200, unclear: true, want: "cut off"},
		{code: 200, body: "<html>", unclear: true, want: "not a git protocol line"},
		{code: 200, body: "000eunpack ok\n", unclear: true, want: "cut off"},
		{code: 200, body: "000eunpack ok\n0000", unclear: true, want: "not a git protocol line"},
		{code: 200, body: "000eunpack ok\n0014ok refs/heads/b\n0000", unclear: true, want: "refs/heads/b"},
		{code: 200, body: "000eunpack ok\n0014ok refs/heads/a\n", unclear: true, want: "cut off"},
		{code: 200, body: "000eunpack ok\n0014ok refs/heads/a\n0014ok refs/heads/a\n0000", unclear: true, want: "not a git protocol line"},
		{code: 200, body: "0014ok refs/heads/a\n0000", unclear: true, want: "not a git protocol line"},
		{code: 200, body: "0014ERR out of order0000", unclear: true, want: "out of order"},
		{code: 200, body: "000eunpack ok\n0020ng refs/heads/a too unlucky\n0000", want: "refs/heads/a was rejected: too unlucky"},
		{code: 200, body: "0015unpack disk gone\n0023ng refs/heads/a unpacker error\n0000", want: "unpacker error: disk gone"},
	} {
		server := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/x-git-receive-pack-result")
			if c.header != "" {
				w.Header().Set("Retry-After", c.header)
			}
			w.WriteHeader(c.code)
			_, _ = io.WriteString(w, c.body)
		})
		src, front := gittest.Remote(t, gittest.ServerOptions{Wrap: func(http.Handler) http.Handler { return server }})
		s := away{src, Source{URL: front.URL + "/r.git"}}.store(t)
		var o objects.Builder
		err := s.Push(t.Context(), Update{Ref: "refs/heads/a", New: putRecord(&o, "a", "idle", 1), Objects: &o})
		if err == nil || errors.Is(err, ErrUnclear) != c.unclear || errors.Is(err, ErrAccess) != c.access || RetryAfter(err) != c.after || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d %q: %v", c.code, c.body, err)
		}
		want := int64(1)
		if c.code == http.StatusNotFound {
			want = 2 // and a GET, which GitLab redirects
		}
		if n := front.Requests.Load(); n != want {
			t.Errorf("%d %q: %d requests", c.code, c.body, n)
		}
	}
}

// TestStoreAccess has places that do not let us write.
func TestStoreAccess(t *testing.T) {
	var o objects.Builder
	update := Update{Ref: "refs/heads/a", New: putRecord(&o, "a", "idle", 1), Objects: &o}
	refused := func(what string, s Source, want ...string) {
		t.Helper()
		err := away{nil, s}.store(t).Push(t.Context(), update)
		if !errors.Is(err, ErrAccess) || errors.Is(err, ErrUnclear) {
			t.Errorf("%s: %v", what, err)
		}
		for _, text := range want {
			if !strings.Contains(fmt.Sprint(err), text) {
				t.Errorf("%s: %q is not in %v", what, text, err)
			}
		}
	}
	src, server := gittest.Remote(t, gittest.ServerOptions{User: "u", Password: "S3CR3T"})
	url := server.URL + "/r.git"
	refused("no credentials", Source{URL: url}, "set auth")
	password := filepath.Join(t.TempDir(), "password")
	gittest.WriteFile(t, password, "S3CR3T\n")
	auth := Auth{Username: "u", PasswordFile: password}
	src.Git("config", "http.receivepack", "false")
	refused("read only", Source{URL: url, Auth: auth}, "give them write access", "http.receivepack")
	gittest.WriteFile(t, password, "WR0NG\n")
	refused("wrong", Source{URL: url, Auth: auth}, "renew them")
	src.Git("config", "http.receivepack", "true")
	gittest.WriteFile(t, password, "S3CR3T\n")
	testkit.Must(t, away{src, Source{URL: url, Auth: auth}}.store(t).Push(t.Context(), update))

	sshd := gittest.StartSSHD(t)
	keys := Auth{SSHKeyFiles: []string{sshd.KeyFile}, KnownHostsFile: sshd.KnownHosts}
	at := func(dir string) Source { return Source{URL: sshd.URL(dir), Auth: keys} }
	refused("nothing there", at(t.TempDir()), "does not appear to be a git repository", "check url")
	sshd.AllowOnly(sshd.KeyFile, `git-shell -c "$SSH_ORIGINAL_COMMAND"`)
	other := gittest.New(t, filepath.Join(t.TempDir(), "r.git"))
	testkit.Must(t, away{other, at(other.Dir)}.store(t).Push(t.Context(), update))
	sshd.AllowOnly(sshd.KeyFile, `echo "ERROR: The key you are authenticating with has been marked as read only." >&2; exit 1`)
	refused("key that only reads", at(other.Dir), "marked as read only", "write access")
	sshd.Allow(sshd.NewKey("other"))
	refused("unknown key", at(other.Dir), "does not let", sshd.KeyFile)
	sshd.Allow(sshd.KeyFile)
	empty := filepath.Join(t.TempDir(), "empty")
	gittest.WriteFile(t, empty, "")
	refused("unknown host", Source{URL: sshd.URL(other.Dir), Auth: Auth{SSHKeyFiles: keys.SSHKeyFiles, KnownHostsFile: empty}}, "unknown host key")
	refused("no repository", Source{URL: gittest.Daemon(t, t.TempDir()) + "/none.git"}, "check url")
}
