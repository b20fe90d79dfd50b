package gittest

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Relay stands between a client and a real server. It counts, and does to connections what networks do.
type Relay struct {
	Addr     string       // 127.0.0.1:port
	Conns    atomic.Int64 // accepted
	Up, Down atomic.Int64 // bytes
	Dead     atomic.Bool  // new connections are accepted and get nothing
	Stall    atomic.Int64 // a connection gets no more than so many bytes; 0 = no limit

	to   string
	mu   sync.Mutex
	live map[*relayed]bool
	gone bool
}

// relayed is one connection through it.
type relayed struct {
	client, server net.Conn
	frozen         atomic.Bool
}

// StartRelay starts a relay to a server that ends with the test.
func StartRelay(tb testing.TB, to string) *Relay {
	tb.Helper()
	return startRelay(tb, "127.0.0.1:0", to, func(c net.Conn) net.Conn { return c })
}

func startRelay(tb testing.TB, at, to string, wrap func(net.Conn) net.Conn) *Relay {
	tb.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		tb.Fatal(err)
	}
	r := &Relay{Addr: l.Addr().String(), to: to, live: map[*relayed]bool{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.Conns.Add(1)
			all.Go(func() { r.pass(wrap(c)) })
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		r.mu.Lock()
		r.gone = true
		r.mu.Unlock()
		r.Cut()
		all.Wait()
	})
	return r
}

// Traffic returns what was counted so far; of requests a relay knows nothing.
func (r *Relay) Traffic() (up, down, requests, conns int64) {
	return r.Up.Load(), r.Down.Load(), 0, r.Conns.Load()
}

// Live returns how many connections there are.
func (r *Relay) Live() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.live)
}

// Cut closes every connection there is, on both sides.
func (r *Relay) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.live {
		_ = c.client.Close()
		_ = c.server.Close()
	}
}

// Freeze lets nothing pass any more over the connections there are and closes none, as a firewall does that forgot
// them.
func (r *Relay) Freeze() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.live {
		c.frozen.Store(true)
	}
}

func (r *Relay) pass(client net.Conn) {
	server, err := net.Dial("tcp", r.to)
	if err != nil {
		_ = client.Close()
		return
	}
	c := &relayed{client: client, server: server}
	c.frozen.Store(r.Dead.Load())
	r.mu.Lock()
	r.live[c] = true
	gone := r.gone
	r.mu.Unlock()
	if gone {
		_ = client.Close()
	}
	var both sync.WaitGroup
	both.Go(func() { c.copy(server, client, &r.Up, nil) })
	both.Go(func() { c.copy(client, server, &r.Down, &r.Stall) })
	both.Wait()
	_ = client.Close()
	_ = server.Close()
	r.mu.Lock()
	delete(r.live, c)
	r.mu.Unlock()
}

// copy passes bytes one way. Of a frozen connection they vanish, and its end too.
func (c *relayed) copy(to, from net.Conn, count, stall *atomic.Int64) {
	buf := make([]byte, 32<<10)
	for all := int64(0); ; {
		n, err := from.Read(buf)
		count.Add(int64(n))
		all += int64(n)
		if stall != nil && stall.Load() > 0 && all > stall.Load() {
			c.frozen.Store(true)
		}
		if n > 0 && !c.frozen.Load() {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if t, ok := to.(interface{ CloseWrite() error }); ok && err == io.EOF && !c.frozen.Load() {
				_ = t.CloseWrite()
			} else if !c.frozen.Load() {
				_ = to.Close()
			}
			return
		}
	}
}
