package metrics

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of the listener. A scraper sends a short request every few seconds over a connection of its own; who needs more is none.
const (
	serveTime   = 5 * time.Second // to send a request, and to take the answer
	connections = 8
	headerMax   = 8 << 10
)

// Server shows the last page at http://ADDRESS/metrics to this machine only.
type Server struct {
	listener *limited
	http     *http.Server
	page     atomic.Pointer[[]byte]
	ended    chan struct{} // closed when it serves no more
	err      error         // why; to be read after ended
}

// Listen serves at an address as 127.0.0.1:9850, [::1]:9850 or localhost:9850; port 0 takes any. One that other machines could reach is refused: the page tells
// what runs here, and nobody is asked who he is.
func Listen(address string) (*Server, error) {
	at, err := loopback(address)
	if err != nil {
		return nil, fmt.Errorf("metrics.listen: %w", err)
	}
	l, err := net.ListenTCP("tcp", at)
	if err != nil {
		return nil, fmt.Errorf("metrics.listen: %w", err)
	}
	s := &Server{listener: newLimited(l, connections), ended: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", s.show)
	s.http = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: serveTime, ReadTimeout: serveTime, WriteTimeout: serveTime, IdleTimeout: serveTime,
		MaxHeaderBytes: headerMax,
		ErrorLog:       log.New(io.Discard, "", 0), // what a client does wrong is no line of our log
	}
	// A connection that is kept would take one of the few places for nothing.
	s.http.SetKeepAlivesEnabled(false)
	go func() {
		s.err = s.http.Serve(s.listener)
		close(s.ended)
	}()
	return s, nil
}

// loopback is the address of a listener that only this machine reaches.
func loopback(address string) (*net.TCPAddr, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%q is no address and port, as in 127.0.0.1:9850: %w", address, err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%q: the port %q is no number up to 65535", address, port)
	}
	if host == "localhost" { // taken by its meaning: what /etc/hosts says of it could be anything
		host = "127.0.0.1"
	}
	ip := net.ParseIP(host)
	if !ip.IsLoopback() {
		return nil, fmt.Errorf("%q is not on the loopback: other machines could read what runs here; take 127.0.0.1:%s, or metrics.textfile", address, port)
	}
	return &net.TCPAddr{IP: ip, Port: int(number)}, nil
}

// Address is where it listens, with the port that it got.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Show replaces the page; the caller does not touch it any more. An error says that nobody is served any more, and why.
func (s *Server) Show(page []byte) error {
	s.page.Store(&page)
	select {
	case <-s.ended:
		return fmt.Errorf("metrics.listen: %w", s.err)
	default:
		return nil
	}
}

func (s *Server) show(w http.ResponseWriter, r *http.Request) {
	page := s.page.Load()
	if page == nil {
		http.Error(w, "no beat yet", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(*page)))
	_, _ = w.Write(*page) // that the scraper went away is its own business
}

// Close ends the listener and cuts the connections that are open.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.ended // Serve has closed the listener, even if it came too late to serve
	return err
}

// limited is a listener with few places: further connections wait in the kernel's queue, where they cost nothing.
type limited struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newLimited(l net.Listener, places int) *limited {
	return &limited{Listener: l, places: make(chan struct{}, places), closed: make(chan struct{})}
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &placed{Conn: c, leave: sync.OnceFunc(func() { <-l.places })}, nil
}

func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// placed is a connection that gives its place back.
type placed struct {
	net.Conn
	leave func()
}

func (c *placed) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
