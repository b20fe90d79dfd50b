//go:build linux

package torture

import (
	"bytes"
	"compress/zlib"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
)

// bad stands between a node and a good server, and misbehaves as it is told.
type bad struct {
	t    *testing.T
	addr string // where the node finds it, always the same
	good string // host:port of the good server

	mu    sync.Mutex
	in    net.Listener
	serve func(net.Conn) // nil = as the good one
	open  map[net.Conn]bool
}

// newBad is well at first. Its address is its own, so that its port is still free after it was down.
func newBad(t *testing.T) *bad {
	b := &bad{t: t, open: map[net.Conn]bool{}, addr: gittest.Port(t, "127.0.0.2")}
	b.listen()
	t.Cleanup(b.down)
	return b
}

// via is the address of a repository through this server.
func (b *bad) via(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		b.t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.good = u.Host
	u.Host = b.addr
	return u.String()
}

func (b *bad) backend() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.good
}

func (b *bad) listen() {
	in, err := net.Listen("tcp", b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.in = in
	go func() {
		for {
			c, err := in.Accept()
			if err != nil {
				return
			}
			b.mu.Lock()
			b.open[c] = true
			serve := b.serve
			b.mu.Unlock()
			go func() {
				if serve == nil {
					serve = b.pass
				}
				serve(c)
				b.mu.Lock()
				defer b.mu.Unlock()
				delete(b.open, c)
				_ = c.Close()
			}()
		}
	}()
}

// down refuses connections, and cuts those that there are.
func (b *bad) down() {
	b.mu.Lock()
	in := b.in
	b.in = nil
	b.mu.Unlock()
	if in != nil {
		_ = in.Close()
	}
	b.cutAll()
}

// becomes changes how it serves (nil = well) and cuts what goes on.
func (b *bad) becomes(serve func(net.Conn)) {
	b.mu.Lock()
	b.serve = serve
	listening := b.in != nil
	b.mu.Unlock()
	b.cutAll()
	if !listening {
		b.listen()
	}
}

func (b *bad) cutAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.open {
		_ = c.Close()
	}
}

// pass is the good server.
func (b *bad) pass(c net.Conn) { b.relay(c, func(w io.Writer) io.Writer { return w }) }

// relay talks to the good server for c; through may change what it answers.
func (b *bad) relay(c net.Conn, through func(io.Writer) io.Writer) {
	good, err := net.Dial("tcp", b.backend())
	if err != nil {
		return
	}
	defer good.Close()
	go func() {
		_, _ = io.Copy(good, c)
		_ = good.Close()
	}()
	_, _ = io.Copy(through(c), good)
}

// hang takes connections and requests, and never answers.
func (b *bad) hang(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// babble answers with bytes that mean nothing.
func (b *bad) babble(c net.Conn) {
	_, _ = c.Read(make([]byte, 64<<10))
	junk := make([]byte, 64<<10)
	for i := range junk {
		junk[i] = byte(rand.Uint32())
	}
	_, _ = c.Write(junk)
}

// trickle answers rightly, a byte now and then.
func (b *bad) trickle(c net.Conn) {
	b.relay(c, func(w io.Writer) io.Writer {
		return writer(func(p []byte) (int, error) {
			for i := range p {
				<-time.After(50 * time.Millisecond)
				if _, err := w.Write(p[i : i+1]); err != nil {
					return i, err
				}
			}
			return len(p), nil
		})
	})
}

// cut answers rightly, and breaks the connection after so many bytes.
func (b *bad) cut(after int) func(net.Conn) {
	return func(c net.Conn) {
		left := after
		b.relay(c, func(w io.Writer) io.Writer {
			return writer(func(p []byte) (int, error) {
				n, err := w.Write(p[:min(len(p), left)])
				if left -= n; left == 0 && err == nil {
					if tcp, ok := c.(*net.TCPConn); ok && after%2 == 0 {
						_ = tcp.SetLinger(0) // half of the times by a reset
					}
					_ = c.Close()
					err = io.ErrClosedPipe
				}
				return n, err
			})
		})
	}
}

// stall answers rightly for so many bytes, and then with a byte now and then, or, when drip is 0, nothing further; the
// connection stays.
func (b *bad) stall(after int, drip time.Duration) func(net.Conn) {
	return func(c net.Conn) {
		good, err := net.Dial("tcp", b.backend())
		if err != nil {
			return
		}
		defer good.Close()
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_, _ = io.Copy(good, c)
			_ = good.Close()
		}()
		left := after
		_, _ = io.Copy(writer(func(p []byte) (int, error) {
			n, err := c.Write(p[:min(len(p), left)])
			left -= n
			for err == nil && n < len(p) {
				var wait <-chan time.Time // nil = forever
				if drip > 0 {
					wait = time.After(drip)
				}
				select {
				case <-gone:
					return n, io.ErrClosedPipe
				case <-wait:
				}
				_, err = c.Write(p[n : n+1])
				n++
			}
			return n, err
		}), good)
	}
}

// halfAHeader begins an answer.
func (b *bad) halfAHeader(c net.Conn) {
	_, _ = c.Read(make([]byte, 64<<10))
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upl")
	b.hang(c)
}

// deaf takes connections and reads nothing of them, until they are cut.
func (b *bad) deaf(c net.Conn) {
	<-time.After(patience) // or the test is over
	_ = c.Close()
}

// flip answers rightly but for one bit of what comes after so many bytes, and, unless every is 0, after so many again.
func (b *bad) flip(at, every int) func(net.Conn) {
	return func(c net.Conn) {
		next := at
		b.relay(c, func(w io.Writer) io.Writer {
			return writer(func(p []byte) (int, error) {
				for ; next >= 0 && next < len(p); next += every {
					p[next] ^= 1 << (at % 8)
					if every == 0 {
						next = -1
						break
					}
				}
				next -= len(p)
				return w.Write(p)
			})
		})
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// http answers requests by h instead of the good server.
func (b *bad) http(h http.HandlerFunc) func(net.Conn) {
	other := httptest.NewServer(h)
	b.t.Cleanup(other.Close)
	addr := strings.TrimPrefix(other.URL, "http://")
	return func(c net.Conn) {
		(&bad{t: b.t, good: addr}).pass(c)
	}
}

// instead answers like the good server, but puts something else where the pack begins.
func (b *bad) instead(pack func(w io.Writer, gone context.Context)) func(net.Conn) {
	return b.http(func(w http.ResponseWriter, r *http.Request) {
		q, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+b.backend()+r.URL.RequestURI(), r.Body)
		if err != nil {
			return
		}
		q.Header = r.Header
		answer, err := http.DefaultClient.Do(q)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
		section := []byte("000dpackfile\n")
		at := bytes.Index(body, section)
		if at < 0 {
			_, _ = w.Write(body)
			return
		}
		_, _ = w.Write(body[:at+len(section)])
		pack(band{w}, r.Context())
	})
}

// band is channel 1 of the side band.
type band struct{ w io.Writer }

func (s band) Write(p []byte) (int, error) {
	for sent := 0; sent < len(p); {
		n := min(len(p)-sent, 60000)
		if _, err := fmt.Fprintf(s.w, "%04x\x01%s", n+5, p[sent:sent+n]); err != nil {
			return sent, err
		}
		sent += n
	}
	return len(p), nil
}

// endless is a pack whose objects are well formed and never come to an end.
func endless(w io.Writer, gone context.Context) {
	noise := make([]byte, 64<<10)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	var object bytes.Buffer
	object.Write([]byte{0x30 | 0x80, 0x80, 0x20}) // a blob of 64 KB
	z := zlib.NewWriter(&object)
	_, _ = z.Write(noise)
	_ = z.Close()
	if _, err := io.WriteString(w, "PACK\x00\x00\x00\x02\x00\x70\x00\x00"); err != nil { // seven million objects
		return
	}
	tick := time.NewTicker(10 * time.Millisecond) // some 20 MB a second: the machine has other things to do
	defer tick.Stop()
	for {
		select {
		case <-gone.Done():
			return
		case <-tick.C:
		}
		for range 3 {
			if _, err := w.Write(object.Bytes()); err != nil {
				return
			}
		}
	}
}

// bomb is a small pack with one object that becomes a terabyte.
func bomb(w io.Writer, gone context.Context) {
	_, _ = io.WriteString(w, "PACK\x00\x00\x00\x02\x00\x00\x00\x01\xb0\x80\x80\x80\x80\x80\x20") // a blob of 1<<40 bytes and some
	z, err := zlib.NewWriterLevel(w, zlib.BestSpeed)
	if err != nil {
		return
	}
	zeros := make([]byte, 1<<20)
	for gone.Err() == nil {
		if _, err := z.Write(zeros); err != nil {
			return
		}
	}
}
