package metrics

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
)

const (
	// serveTime bounds sending a request, and taking the answer.
	serveTime = 5 * time.Second
	// connections is enough for scrapers, which send a short request every few seconds over a new connection. Further
	// ones wait in the kernel's queue, where they cost nothing.
	connections = 8
	headerMax   = 8 << 10
)

// Server shows the last page at http://ADDRESS/metrics to this machine only.
type Server struct {
	listener net.Listener
	http     *http.Server
	page     atomic.Pointer[[]byte]
}

// Listen serves at a loopback address such as 127.0.0.1:9464, [::1]:9464 or localhost:9464; port 0 takes any. The page
// shows what runs here and clients need no password, so the config refuses addresses that other machines can reach.
func Listen(address string) (*Server, error) {
	if port, ok := strings.CutPrefix(address, "localhost:"); ok { // /etc/hosts could send that name anywhere
		address = "127.0.0.1:" + port
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("metrics.listen: %w", err)
	}
	s := &Server{listener: netutil.LimitListener(l, connections)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", s.show)
	s.http = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: serveTime, ReadTimeout: serveTime, WriteTimeout: serveTime,
		MaxHeaderBytes: headerMax,
		ErrorLog:       log.New(io.Discard, "", 0), // mistakes of clients do not belong in our log
	}
	s.http.SetKeepAlivesEnabled(false)           // an idle connection would hold one of the few places
	go func() { _ = s.http.Serve(s.listener) }() // until Close: it outlasts what fails meanwhile
	return s, nil
}

// Address is where it listens, with the port that it got.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Show replaces the page, which the caller must not change afterwards.
func (s *Server) Show(page []byte) { s.page.Store(&page) }

func (s *Server) show(w http.ResponseWriter, r *http.Request) {
	page := s.page.Load()
	if page == nil {
		http.Error(w, "no beat yet", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(*page)))
	_, _ = w.Write(*page) // fails only when the scraper hangs up
}

// Close stops listening and cuts open connections.
func (s *Server) Close() {
	_ = s.http.Close()
	_ = s.listener.Close() // if it was not served yet
}
