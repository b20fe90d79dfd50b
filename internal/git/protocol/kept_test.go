package protocol_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/protocol"
)

// freezer is a listener whose connections can be frozen or cut after so many answers.
type freezer struct {
	net.Listener
	conns  atomic.Int64
	frozen atomic.Bool // first connection: no answer any more
	cut    atomic.Bool // first connection: closed at the next request
}

func (f *freezer) Accept() (net.Conn, error) {
	c, err := f.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &freezing{Conn: c, f: f, first: f.conns.Add(1) == 1, done: make(chan struct{})}, nil
}

type freezing struct {
	net.Conn
	f     *freezer
	first bool
	once  sync.Once
	done  chan struct{}
}

func (c *freezing) Close() error {
	c.once.Do(func() { close(c.done) })
	return c.Conn.Close()
}

func (c *freezing) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.first && n > 0 {
		if c.f.cut.Load() {
			_ = c.Close()
			return 0, io.EOF
		}
		for c.f.frozen.Load() {
			n, err = c.Conn.Read(p) // until the client gives up
			if err != nil {
				return n, err
			}
		}
	}
	return n, err
}

func serveFreezer(tb testing.TB) (*freezer, *gittest.Repo, string) {
	tb.Helper()
	src, server := gittest.Remote(tb, gittest.ServerOptions{})
	proxy := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		server.HTTP.Config.Handler.ServeHTTP(w, r)
	}))
	f := &freezer{Listener: proxy.Listener}
	proxy.Listener = f
	proxy.Start()
	tb.Cleanup(proxy.Close)
	return f, src, proxy.URL + "/r.git"
}

func TestDeadKeptConnectionIsReplaced(t *testing.T) {
	for _, how := range []string{"frozen", "cut"} {
		t.Run(how, func(t *testing.T) {
			f, src, url := serveFreezer(t)
			src.Commit("main", gittest.File("a", "a"))
			// Only what is asked on the dead connection is in a hurry: a busy machine answers when it can.
			c := newClient(t, url, protocol.Options{})
			c.SetPatience(time.Hour)
			for range 3 {
				if _, err := c.LsRefs(t.Context(), mainOnly); err != nil {
					t.Fatal(err)
				}
			}
			if n := f.conns.Load(); n != 1 {
				t.Fatalf("%d connections for three looks", n)
			}
			f.frozen.Store(how == "frozen")
			f.cut.Store(how == "cut")
			c.SetPatience(200 * time.Millisecond)
			for range 3 {
				refs, err := c.LsRefs(t.Context(), mainOnly)
				if err != nil || len(refs) != 1 {
					t.Fatal(refs, err)
				}
				c.SetPatience(time.Hour)
			}
			if n := f.conns.Load(); n != 2 {
				t.Fatalf("%d connections", n)
			}
		})
	}
}

func TestNewConnectionMayTakeItsTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, server := gittest.Remote(t, gittest.ServerOptions{Wrap: func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client has gone
			time.AfterFunc(300*time.Millisecond, cancel)
			<-r.Context().Done()
		})
	}})
	c := newClient(t, server.URL+"/r.git", protocol.Options{})
	c.SetPatience(time.Millisecond)
	_, err := c.LsRefs(ctx, mainOnly)
	if !errors.Is(err, context.Canceled) || server.Requests.Load() != 1 {
		t.Fatalf("%v after %d requests", err, server.Requests.Load())
	}
}
