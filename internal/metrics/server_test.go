package metrics

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
)

func listen(t *testing.T, address string) *Server {
	t.Helper()
	s, err := Listen(address)
	testkit.Must(t, err)
	t.Cleanup(s.Close)
	return s
}

func client(t *testing.T) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 3 * time.Minute}
}

func ask(t *testing.T, s *Server, method, path string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Address()+path, nil)
	testkit.Must(t, err)
	resp, err := client(t).Do(req)
	testkit.Must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	testkit.Must(t, err)
	return resp.StatusCode, resp.Header, string(body)
}

func TestListenTwice(t *testing.T) {
	s := listen(t, "localhost:0")
	if !strings.HasPrefix(s.Address(), "127.0.0.1:") {
		t.Errorf("localhost became %s", s.Address())
	}
	if _, err := Listen(s.Address()); err == nil || !strings.HasPrefix(err.Error(), "metrics.listen: ") || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("twice: %v", err)
	}
}

func TestServer(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	if status, _, body := ask(t, s, "GET", "/metrics"); status != 503 || body != "no beat yet\n" {
		t.Errorf("before the first beat: %d %q", status, body)
	}
	s.Show([]byte("old\n"))
	page := Render(full())
	s.Show(page)
	for _, test := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/metrics", 200, string(page)},
		{"GET", "/metrics?x=y", 200, string(page)},
		{"HEAD", "/metrics", 200, ""},
		{"POST", "/metrics", 405, "Method Not Allowed\n"},
		{"GET", "/", 404, "404 page not found\n"},
		{"GET", "/metrics/", 404, "404 page not found\n"},
		{"GET", "/debug/pprof/", 404, "404 page not found\n"},
	} {
		status, header, body := ask(t, s, test.method, test.path)
		if status != test.status || body != test.body {
			t.Errorf("%s %s: %d %q", test.method, test.path, status, body)
		}
		if got := header.Get("Content-Type"); status == 200 && got != "text/plain; version=0.0.4; charset=utf-8" {
			t.Errorf("%s %s: %s", test.method, test.path, got)
		}
	}
}

// TestServerHasFewPlaces: slow ones take all places, and the next gets one when one leaves.
func TestServerHasFewPlaces(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	s.Show([]byte("x 1\n"))
	var crowd []net.Conn
	for range connections {
		// Half a request, so that none leaves before its time is over.
		c, err := net.Dial("tcp", s.Address())
		testkit.Must(t, err)
		defer c.Close()
		_, err = io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n")
		testkit.Must(t, err)
		crowd = append(crowd, c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	got := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + s.Address() + "/metrics")
		if err != nil {
			got <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		got <- string(body)
	}()
	last := crowd[len(crowd)-1] // whose time to send is over last
	_, err := io.WriteString(last, "\r\n")
	testkit.Must(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(last), nil)
	testkit.Must(t, err)
	if resp.Body.Close(); !resp.Close {
		t.Error("a connection is kept after its answer")
	}
	select {
	case body := <-got:
		if body != "x 1\n" {
			t.Errorf("%q", body)
		}
	case <-ctx.Done():
		t.Error("the place was not given back")
	}
}

// TestClosedServerFreesItsPort at once, even if it never began to serve.
func TestClosedServerFreesItsPort(t *testing.T) {
	for range 20 {
		s, err := Listen(gittest.Port(t, "127.0.0.1"))
		testkit.Must(t, err)
		s.Close()
		l, err := net.Listen("tcp", s.Address())
		testkit.Must(t, err)
		testkit.Must(t, l.Close())
	}
}
