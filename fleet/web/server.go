package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/addagent/addagent/fleet/web/page"
	"golang.org/x/net/netutil"
)

const (
	streamsMost = 200
	// connectionsMost leaves room for the short requests of as many browsers.
	connectionsMost = 2 * streamsMost
	// sendTime bounds the writing of a part of an answer: who reads slower is dropped.
	sendTime = 15 * time.Second
	// keepAlive is how often a quiet stream sends a comment, so that proxies leave it open.
	keepAlive = 15 * time.Second
	headMost  = 16 << 10
)

// Server serves the page of a hub.
type Server struct {
	hub      *Hub
	gate     *gate
	listener net.Listener
	http     *http.Server
}

// Listen opens the address. An error about the access is one of the person who gave it; see Refusal.
func Listen(a Access, hub *Hub) (*Server, error) {
	g, err := a.open()
	if err != nil {
		return nil, &Refusal{err}
	}
	l, err := net.Listen("tcp", a.Listen)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	s := &Server{hub: hub, gate: g, listener: netutil.LimitListener(l, connectionsMost)}
	s.http = &http.Server{Handler: unhurried(g.guard(s.routes())), ReadHeaderTimeout: sendTime, ReadTimeout: sendTime, IdleTimeout: time.Minute,
		MaxHeaderBytes: headMost, TLSConfig: g.tls, ErrorLog: log.New(io.Discard, "", 0)}
	return s, nil
}

// Refusal is an Access that is against the rules, or whose files cannot be used.
type Refusal struct{ error }

// Unwrap returns why.
func (r *Refusal) Unwrap() error { return r.error }

// Address is where the page is.
func (s *Server) Address() string { return s.gate.scheme() + "://" + s.listener.Addr().String() + "/" }

// Run serves, and lets the hub read, until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s.http.BaseContext = func(net.Listener) context.Context { return ctx }
	read := make(chan struct{})
	go func() { defer close(read); s.hub.Run(ctx) }()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		<-ctx.Done()
		_ = s.http.Close()
	}()
	var err error
	if s.gate.tls != nil {
		err = s.http.ServeTLS(s.listener, "", "")
	} else {
		err = s.http.Serve(s.listener)
	}
	stop()
	<-closed
	<-read
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve the page: %w", err)
}

// unhurried takes away the deadline that an answer before it left on the connection.
func unhurried(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
		next.ServeHTTP(w, r)
	})
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for _, f := range staticFiles() {
		mux.Handle("/"+f.path, f)
	}
	mux.HandleFunc("/grid.json", s.grid)
	mux.HandleFunc("/history.json", s.history)
	mux.HandleFunc("/events", s.events)
	return mux
}

// static is a file of the page.
type static struct {
	path, kind string
	body
}

func (f *static) ServeHTTP(w http.ResponseWriter, r *http.Request) { send(w, r, f.kind, &f.body) }

func staticFiles() []*static {
	list := []*static{{path: "{$}", kind: "text/html; charset=utf-8", body: body{plain: page.HTML()}},
		{path: "page.js", kind: "text/javascript; charset=utf-8", body: body{plain: page.Script()}},
		{path: "page.css", kind: "text/css; charset=utf-8", body: body{plain: page.Style()}}}
	for _, f := range list {
		f.zip = zipped(f.plain)
		f.id = sumOf(f.plain)
	}
	return list
}

// send answers with a body, unless the client has it.
func send(w http.ResponseWriter, r *http.Request, kind string, b *body) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(4 * sendTime))
	w.Header().Set("Vary", "Accept-Encoding")
	tag := `W/"` + b.id + `"`
	w.Header().Set("ETag", tag)
	if strings.Contains(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", kind)
	data := b.plain
	if takesZip(r) {
		data = b.zip
		w.Header().Set("Content-Encoding", "gzip")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	if r.Method != http.MethodHead {
		_, _ = io.Copy(w, bytes.NewReader(data)) // fails only when the client hangs up
	}
}

func takesZip(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") }

const jsonKind = "application/json; charset=utf-8"

func (s *Server) grid(w http.ResponseWriter, r *http.Request) {
	s.hub.Fresh(r.Context())
	s.hub.FreshHistory(r.Context()) // it tells since when nodes are in their states
	b := s.hub.Grid()
	if b == nil {
		http.Error(w, "nothing was read yet", http.StatusServiceUnavailable)
		return
	}
	send(w, r, jsonKind, b)
}

func (s *Server) history(w http.ResponseWriter, r *http.Request) {
	var since time.Time
	if text := r.URL.Query().Get("since"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			http.Error(w, "since: give unix seconds", http.StatusBadRequest)
			return
		}
		since = time.Unix(n, 0).Truncate(time.Minute)
	}
	s.hub.FreshHistory(r.Context())
	b, failed := s.hub.HistorySince(since)
	if failed != nil {
		http.Error(w, failed.Text, http.StatusServiceUnavailable)
		return
	}
	send(w, r, jsonKind, b)
}
