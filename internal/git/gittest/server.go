package gittest

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// httpBackend is where Debian, Ubuntu and most others put git's own HTTP server program.
const httpBackend = "/usr/lib/git-core/git-http-backend"

// ServerOptions change how a server behaves; the zero value is a plain modern one.
type ServerOptions struct {
	User, Password string                          // ask for these
	NoV2           bool                            // lose the Git-Protocol header, as some proxies do
	Wrap           func(http.Handler) http.Handler // around all the rest
	TLS            bool
	Tune           func(*http.Server) // called before it starts
	Env            []string           // for git http-backend
}

// Server serves the bare repositories below a folder over HTTP with git's own http-backend, and counts.
type Server struct {
	URL      string // of the folder, without a slash at the end
	HTTP     *httptest.Server
	Requests atomic.Int64
	Conns    atomic.Int64 // connections accepted
	Up, Down atomic.Int64 // bytes at the socket, headers included
}

// Serve starts a server that ends with the test.
func Serve(tb testing.TB, root string, o ServerOptions) *Server {
	tb.Helper()
	if _, err := os.Stat(httpBackend); err != nil {
		tb.Fatalf("%v: install git", err)
	}
	s := &Server{}
	backend := &cgi.Handler{
		Path:       httpBackend,
		Env:        append([]string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "REMOTE_USER=tester"}, o.Env...),
		InheritEnv: []string{"PATH"},
		Stderr:     io.Discard,
		Logger:     log.New(io.Discard, "", 0), // a client that goes away in the middle is what some tests are about
	}
	var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o.User != "" {
			if user, password, _ := r.BasicAuth(); user != o.User || password != o.Password {
				w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
				http.Error(w, "who are you?", http.StatusUnauthorized)
				return
			}
		}
		if o.NoV2 {
			r.Header.Del("Git-Protocol")
		}
		backend.ServeHTTP(&prompt{ResponseWriter: w, start: time.Now()}, r)
	})
	if o.Wrap != nil {
		h = o.Wrap(h)
	}
	inner := h
	h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Requests.Add(1)
		inner.ServeHTTP(w, r)
	})
	s.HTTP = httptest.NewUnstartedServer(h)
	s.HTTP.Listener = &countingListener{Listener: s.HTTP.Listener, s: s}
	if o.Tune != nil {
		o.Tune(s.HTTP.Config)
	}
	if o.TLS {
		s.HTTP.StartTLS()
	} else {
		s.HTTP.Start()
	}
	tb.Cleanup(s.HTTP.Close)
	s.URL = strings.TrimSuffix(s.HTTP.URL, "/")
	return s
}

// Bytes returns how much went over the sockets so far, both ways.
func (s *Server) Bytes() int64 { return s.Up.Load() + s.Down.Load() }

// Traffic returns what was counted so far.
func (s *Server) Traffic() (up, down, requests, conns int64) {
	return s.Up.Load(), s.Down.Load(), s.Requests.Load(), s.Conns.Load()
}

// prompt passes on at once what git writes while a request takes long: while it prepares a pack, it says every five
// seconds that it lives. Short answers stay in one piece, with a length.
type prompt struct {
	http.ResponseWriter
	start time.Time
}

func (p *prompt) Write(b []byte) (int, error) {
	n, err := p.ResponseWriter.Write(b)
	if time.Since(p.start) > 2*time.Second {
		_ = http.NewResponseController(p.ResponseWriter).Flush()
	}
	return n, err
}

type countingListener struct {
	net.Listener
	s *Server
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.s.Conns.Add(1)
	return &countingConn{Conn: c, s: l.s}, nil
}

type countingConn struct {
	net.Conn
	s *Server
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.s.Up.Add(int64(n))
	return n, err
}

func (c *countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.s.Down.Add(int64(n))
	return n, err
}

// Remote is the usual case: one repository "r.git" behind one plain server.
func Remote(tb testing.TB, o ServerOptions) (*Repo, *Server) {
	tb.Helper()
	root := tb.TempDir()
	r := New(tb, filepath.Join(root, "r.git"))
	return r, Serve(tb, root, o)
}
