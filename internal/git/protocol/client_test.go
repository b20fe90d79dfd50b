package protocol_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/protocol"
)

var mainOnly = protocol.LsOptions{Prefixes: []string{"refs/heads/main"}}

func newClient(tb testing.TB, url string, o protocol.Options) *protocol.Client {
	tb.Helper()
	if o.Agent == "" {
		o.Agent = "addagent/test"
	}
	c, err := protocol.NewHTTP(url, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

func TestLsRefs(t *testing.T) {
	src, server := gittest.Remote(t, gittest.ServerOptions{})
	c := newClient(t, server.URL+"/r.git", protocol.Options{})
	refs, err := c.LsRefs(t.Context(), mainOnly)
	if err != nil || len(refs) != 0 {
		t.Fatalf("empty repository: %v %v", refs, err)
	}
	id := src.Commit("main", gittest.File("a", "a"))
	src.Commit("main2", gittest.File("a", "b"))
	for i := range 20 {
		src.Git("update-ref", fmt.Sprintf("refs/heads/x/%d", i), id)
	}
	refs, err = c.LsRefs(t.Context(), protocol.LsOptions{Prefixes: []string{"HEAD"}, Symrefs: true})
	want := protocol.Ref{Name: "HEAD", ID: id, Target: "refs/heads/main"}
	if err != nil || len(refs) != 1 || refs[0] != want {
		t.Fatalf("HEAD: %v %v", refs, err)
	}
	refs, err = c.LsRefs(t.Context(), protocol.LsOptions{Prefixes: []string{"refs/heads/"}, Max: 5})
	if err != nil || len(refs) != 5 {
		t.Fatalf("five: %v %v", refs, err)
	}
	refs, err = c.LsRefs(t.Context(), protocol.LsOptions{})
	if err != nil || len(refs) != 23 {
		t.Fatalf("all: %d %v", len(refs), err)
	}
}

// canned answers each request with the same bytes, keeps the requests, and allocates nothing while it does so.
type canned struct {
	url      string
	mu       sync.Mutex
	requests [][]byte
	conns    atomic.Int64
}

const cannedID = "0123456789012345678901234567890123456789"

func serveCanned(tb testing.TB, keep int) *canned {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	c := &canned{url: "http://" + l.Addr().String() + "/r.git"}
	body := "003d" + cannedID + " refs/heads/main\n0000"
	answer := []byte(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-result\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.conns.Add(1)
			go func() {
				defer conn.Close()
				buf := make([]byte, 64<<10)
				for n := 0; ; {
					k, err := conn.Read(buf[n:])
					if err != nil {
						return
					}
					if n += k; !bytes.HasSuffix(buf[:n], []byte("\n0000")) {
						continue
					}
					c.mu.Lock()
					if len(c.requests) < keep {
						c.requests = append(c.requests, bytes.Clone(buf[:n]))
					}
					c.mu.Unlock()
					n = 0
					if _, err := conn.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return c
}

func TestLookIsCheapAndTheSameEachTime(t *testing.T) {
	s := serveCanned(t, 3)
	c := newClient(t, s.url, protocol.Options{})
	look := func() {
		refs, err := c.LsRefs(t.Context(), mainOnly)
		if err != nil || len(refs) != 1 || refs[0].ID != cannedID {
			t.Fatalf("%v %v", refs, err)
		}
	}
	for range 10 {
		look()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const looks = 100
	for range looks {
		look()
	}
	runtime.ReadMemStats(&after)
	size := (after.TotalAlloc - before.TotalAlloc) / looks
	count := (after.Mallocs - before.Mallocs) / looks
	t.Logf("%d bytes in %d allocations a look; request of %d bytes:\n%s", size, count, len(s.requests[0]), s.requests[0])
	if !raceDetector && (size > 16<<10 || count > 120) {
		t.Errorf("a look allocates %d bytes in %d pieces", size, count)
	}
	if s.conns.Load() != 1 {
		t.Errorf("%d connections", s.conns.Load())
	}
	for _, r := range s.requests[1:] {
		if !bytes.Equal(r, s.requests[0]) {
			t.Errorf("requests differ:\n%s\n%s", s.requests[0], r)
		}
	}
}

func BenchmarkLsRefs(b *testing.B) {
	s := serveCanned(b, 0)
	c := newClient(b, s.url, protocol.Options{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.LsRefs(b.Context(), mainOnly); err != nil {
			b.Fatal(err)
		}
	}
}

func TestAuth(t *testing.T) {
	src, server := gittest.Remote(t, gittest.ServerOptions{User: "u", Password: "new"})
	src.Commit("main", gittest.File("a", "a"))
	calls := 0
	c := newClient(t, server.URL+"/r.git", protocol.Options{Auth: func(_ context.Context, again bool) (string, string, error) {
		calls++
		if again {
			return "u", "new", nil
		}
		return "u", "old", nil
	}})
	if _, err := c.LsRefs(t.Context(), mainOnly); err != nil || calls != 2 {
		t.Fatal(err, calls)
	}
	wrong := newClient(t, server.URL+"/r.git", protocol.Options{Auth: func(context.Context, bool) (string, string, error) {
		return "u", "hunter2", nil
	}})
	_, err := wrong.LsRefs(t.Context(), mainOnly)
	var status *protocol.StatusError
	if !errors.As(err, &status) || status.Code != 401 || strings.Contains(err.Error(), "hunter2") {
		t.Fatal(err)
	}
	inURL := newClient(t, strings.Replace(server.URL, "http://", "http://u:new@", 1)+"/r.git", protocol.Options{})
	if _, err := inURL.LsRefs(t.Context(), mainOnly); err != nil {
		t.Fatal(err)
	}
}

func TestNoSecretInErrors(t *testing.T) {
	const secret = "S3CR3T"
	for _, raw := range []string{
		"http://" + secret + "@127.0.0.1:1/r.git", "http://u:" + secret + "@127.0.0.1:1/r.git?x=" + secret + "#" + secret,
		"http://u:" + secret + "@[::1/r.git", "http://u:" + secret + "@127.0.0.1:1\x7f/r.git", "ftp://u:" + secret + "@h/x",
		"https://u:" + secret + "@",
	} {
		if r := protocol.Redact(raw); strings.Contains(r, secret) {
			t.Errorf("Redact: %s", r)
		}
		c, err := protocol.NewHTTP(raw, protocol.Options{})
		if err == nil {
			_, err = c.LsRefs(t.Context(), mainOnly)
		}
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%v", err)
		}
	}
	if got := protocol.Redact("ssh://git@example.org/x"); got != "ssh://git@example.org/x" {
		t.Error(got)
	}
	if got := protocol.Redact("git@example.org:x"); got != "git@example.org:x" {
		t.Error(got)
	}
}

func TestRedirects(t *testing.T) {
	src, server := gittest.Remote(t, gittest.ServerOptions{})
	src.Commit("main", gittest.File("a", "a"))
	var target atomic.Value
	var code atomic.Int64
	var leaked atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			leaked.Store(true)
		}
		server.HTTP.Config.Handler.ServeHTTP(w, r)
	}))
	defer other.Close()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, ok := strings.CutPrefix(r.URL.Path, "/old.git"); ok {
			http.Redirect(w, r, target.Load().(string)+rest, int(code.Load()))
			return
		}
		server.HTTP.Config.Handler.ServeHTTP(w, r)
	}))
	defer front.Close()
	secret := func(context.Context, bool) (string, string, error) { return "u", "p", nil }
	for _, k := range []struct {
		to   string
		code int
		auth protocol.AuthFunc
		ok   bool
	}{
		{"/r.git", 301, secret, true},
		{"/r.git", 307, secret, true},
		{other.URL + "/r.git", 308, nil, true},
		{other.URL + "/r.git", 301, secret, false},
		{"/old.git", 302, nil, false},
		{"/login?x=1#", 302, nil, false},
		{"ftp://example.org/r.git", 302, nil, false},
	} {
		target.Store(k.to)
		code.Store(int64(k.code))
		c := newClient(t, front.URL+"/old.git", protocol.Options{Auth: k.auth})
		refs, err := c.LsRefs(t.Context(), mainOnly)
		if k.ok != (err == nil) || k.ok && len(refs) != 1 {
			t.Errorf("%+v: %v %v", k, refs, err)
		}
		if !k.ok {
			var status *protocol.StatusError
			if !errors.As(err, &status) {
				t.Errorf("%+v: %v", k, err)
			}
		}
	}
	if leaked.Load() {
		t.Error("credentials went to another host")
	}
}

func TestStatus(t *testing.T) {
	var code atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(int(code.Load()))
		fmt.Fprintf(w, "no \x1b[31m way\nsecond line")
	}))
	defer server.Close()
	for _, n := range []int{400, 403, 404, 429, 500, 503} {
		code.Store(int64(n))
		c := newClient(t, server.URL+"/r.git", protocol.Options{})
		_, err := c.LsRefs(t.Context(), mainOnly)
		var status *protocol.StatusError
		if !errors.As(err, &status) || status.Code != n || status.RetryAfter != 2*time.Minute || status.Text != "no [31m way" {
			t.Errorf("%d: %v", n, err)
		}
	}
}

func TestBadAnswers(t *testing.T) {
	endless := strings.Repeat("003d"+cannedID+" refs/heads/main\n", 1000)
	for name, k := range map[string]struct {
		body string
		is   error
		text string
	}{
		"empty":       {"", protocol.ErrNotV2, ""},
		"advert":      {"001e# service=git-upload-pack\n0000", protocol.ErrNotV2, ""},
		"html":        {"<html>", protocol.ErrNotV2, ""},
		"cut":         {"003d" + cannedID, io.ErrUnexpectedEOF, ""},
		"no flush":    {"003d" + cannedID + " refs/heads/main\n", io.ErrUnexpectedEOF, ""},
		"no id":       {"0014hello HEAD worl\n0000", nil, "not a git protocol line"},
		"error":       {"000fERR go away0000", nil, "server says: go away"},
		"stumbled v0": {"0020ERR no command=ls-refs here\n0000", protocol.ErrNotV2, ""},
		"endless":     {"", protocol.ErrTooLarge, ""},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
				_, _ = io.WriteString(w, k.body)
				for name == "endless" {
					if _, err := io.WriteString(w, endless); err != nil {
						return
					}
				}
			}))
			defer server.Close()
			c := newClient(t, server.URL, protocol.Options{})
			_, err := c.LsRefs(t.Context(), mainOnly)
			if err == nil || k.is != nil && !errors.Is(err, k.is) || !strings.Contains(err.Error(), k.text) {
				t.Fatal(err)
			}
			_, err = c.Fetch(t.Context(), nil, protocol.FetchRequest{Want: cannedID, Depth: 1})
			if err == nil {
				t.Fatal("fetch: no error")
			}
		})
	}
}

// TestNoEcho: what a gateway prints of our request is not repeated.
func TestNoEcho(t *testing.T) {
	for _, text := range []string{"you sent Basic %[2]s", "token was %[1]s", strings.Repeat("x", 270) + "%[2]s"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, password, _ := r.BasicAuth()
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, text, password, strings.TrimPrefix(r.Header.Get("Authorization"), "Basic "))
		}))
		defer server.Close()
		c, err := protocol.NewHTTP(server.URL, protocol.Options{Auth: func(context.Context, bool) (string, string, error) { return "x", "s3cret-token-of-ours", nil }})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.LsRefs(t.Context(), protocol.LsOptions{Prefixes: []string{"HEAD"}})
		if err == nil || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "eDpzM2NyZXQ") || !strings.Contains(err.Error(), "403") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
