package main

import (
	"net"
	"net/http"
	"sync"

	"github.com/addagent/addagent/internal/git/gittest"
)

// settled tells when a server has nothing in hand. A client has its answer before the server has counted it, and before
// git has ended there.
type settled struct {
	mu   sync.Mutex
	busy map[net.Conn]bool
}

func newSettled() *settled { return &settled{busy: map[net.Conn]bool{}} }

func (q *settled) tune(srv *http.Server) {
	srv.ConnState = func(c net.Conn, state http.ConnState) {
		q.mu.Lock()
		defer q.mu.Unlock()
		if state == http.StateActive {
			q.busy[c] = true
		} else {
			delete(q.busy, c)
		}
	}
}

func (q *settled) is() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.busy) == 0
}

// counted is a server that is asked for what it counted only when it has settled.
type counted struct {
	*gittest.Server
	s *stage
	q *settled
}

// serveCounted starts one.
func serveCounted(s *stage, root string, o gittest.ServerOptions) counted {
	q := newSettled()
	o.Tune = q.tune
	return counted{gittest.Serve(s, root, o), s, q}
}

// Traffic waits first.
func (c counted) Traffic() (up, down, requests, conns int64) {
	if !eventually(c.q.is) {
		c.s.Fatalf("a server has been busy for a minute")
	}
	return c.Server.Traffic()
}
