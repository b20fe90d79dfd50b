package web

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/fleettest"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
)

// served serves a world and returns its address.
func served(t *testing.T, w *world, a Access) (*Hub, string) {
	t.Helper()
	h := NewHub(w.source())
	s, err := Listen(a, h)
	testkit.Must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		testkit.Must(t, <-ended)
	})
	return h, s.Address()
}

func here() Access { return Access{Listen: "127.0.0.1:0"} }

// ask sends a request and returns the status and the body.
func ask(t *testing.T, client *http.Client, method, url string, head ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	testkit.Must(t, err)
	for i := 0; i+1 < len(head); i += 2 {
		if head[i] == "Host" {
			r.Host = head[i+1]
		} else {
			r.Header.Set(head[i], head[i+1])
		}
	}
	answer, err := client.Do(r)
	testkit.Must(t, err)
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	testkit.Must(t, err)
	return answer, string(body)
}

// client keeps its own connections, so that they end with the test.
func client(t *testing.T) *http.Client {
	way := &http.Transport{}
	t.Cleanup(way.CloseIdleConnections)
	return &http.Client{Transport: way}
}

func TestFilesOfThePage(t *testing.T) {
	w := &world{}
	w.set(fleettest.Of(time.Now(), "1 idle a"), nil)
	_, at := served(t, w, here())
	c := client(t)
	for path, kind := range map[string]string{"": "text/html", "page.js": "text/javascript", "page.css": "text/css", "grid.json": "application/json", "history.json": "application/json"} {
		answer, body := ask(t, c, "GET", at+path)
		if answer.StatusCode != 200 || !strings.HasPrefix(answer.Header.Get("Content-Type"), kind) || len(body) == 0 {
			t.Errorf("%s: %d %s, %d bytes", path, answer.StatusCode, answer.Header.Get("Content-Type"), len(body))
		}
		for _, key := range []string{"Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "ETag"} {
			if answer.Header.Get(key) == "" {
				t.Errorf("%s has no %s", path, key)
			}
		}
		if again, body := ask(t, c, "GET", at+path, "If-None-Match", answer.Header.Get("ETag")); again.StatusCode != http.StatusNotModified || body != "" {
			t.Errorf("%s again: %d, %d bytes", path, again.StatusCode, len(body))
		}
		if head, body := ask(t, c, "HEAD", at+path); head.StatusCode != 200 || body != "" {
			t.Errorf("HEAD %s: %d, %d bytes", path, head.StatusCode, len(body))
		}
	}
	for _, path := range []string{"nothing", "page.js/..%2f..%2fetc/passwd", "history.json?since=x"} {
		if answer, _ := ask(t, c, "GET", at+path); answer.StatusCode < 400 {
			t.Errorf("%s: %d", path, answer.StatusCode)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
		if answer, _ := ask(t, c, method, at+"grid.json"); answer.StatusCode != http.StatusMethodNotAllowed || answer.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d", method, answer.StatusCode)
		}
	}
}

// TestForeignHost: a foreign page whose name points to this machine reads nothing.
func TestForeignHost(t *testing.T) {
	_, at := served(t, &world{}, here())
	c := client(t)
	for host, want := range map[string]int{"localhost": 200, "localhost:99": 200, "127.0.0.1:8470": 200, "[::1]:1": 200, "evil.example": 421, "evil.example:8470": 421, "10.0.0.1": 421, "localhost.evil.example": 421} {
		if answer, _ := ask(t, c, "GET", at, "Host", host); answer.StatusCode != want {
			t.Errorf("%s: %d, not %d", host, answer.StatusCode, want)
		}
	}
}

func TestNothingWasRead(t *testing.T) {
	w := &world{}
	w.set(presence.Fleet{}, errors.New("no route to host"))
	_, at := served(t, w, here())
	if answer, body := ask(t, client(t), "GET", at+"grid.json"); answer.StatusCode != 200 || !strings.Contains(body, `"text":"no route to host"`) {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
}

func TestToken(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	testkit.Must(t, os.WriteFile(token, []byte("0123456789abcdef0123\n"), 0o600))
	w := &world{}
	w.set(fleettest.Of(time.Now(), "1 idle a"), nil)
	_, at := served(t, w, Access{Listen: "127.0.0.1:0", TokenFile: token})
	c := client(t)
	for name, head := range map[string][]string{"none": nil, "wrong": {"Authorization", "Bearer 0123456789abcdef0124"}, "a cookie": {"Cookie", cookieName + "=0123456789abcdef0123"}} {
		for _, path := range []string{"", "grid.json", "events", "page.js"} {
			if answer, body := ask(t, c, "GET", at+path, head...); answer.StatusCode != 401 || strings.Contains(body, "i-1") {
				t.Errorf("%s, %s: %d", name, path, answer.StatusCode)
			}
		}
	}
	if answer, _ := ask(t, c, "GET", at+"?token=wrong"); answer.StatusCode != 401 || len(answer.Cookies()) > 0 {
		t.Errorf("a wrong link: %d %v", answer.StatusCode, answer.Cookies())
	}
	if answer, body := ask(t, c, "GET", at+"grid.json", "Authorization", "Bearer 0123456789abcdef0123"); answer.StatusCode != 200 || !strings.Contains(body, "i-1") {
		t.Errorf("a program: %d", answer.StatusCode)
	}
	answer, body := ask(t, c, "GET", at+"?token=0123456789abcdef0123")
	if cookie := answer.Header.Get("Set-Cookie"); answer.StatusCode != 200 || !strings.Contains(cookie, "HttpOnly; SameSite=Strict") || strings.Contains(cookie+body, "0123456789abcdef0123") ||
		answer.Header.Get("Refresh") != "0; url=./" {
		t.Errorf("the link: %d %s %s", answer.StatusCode, cookie, body)
	}
	jar, err := cookiejar.New(nil)
	testkit.Must(t, err)
	c.Jar = jar
	ask(t, c, "GET", at+"?token=0123456789abcdef0123")
	if answer, _ := ask(t, c, "GET", at+"grid.json"); answer.StatusCode != 200 {
		t.Errorf("with the cookie: %d", answer.StatusCode)
	}
}

func TestRules(t *testing.T) {
	dir := t.TempDir()
	cert, key, _ := certificate(t, dir, "page", nil)
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		testkit.Must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	token := file("token", "0123456789abcdef")
	for want, a := range map[string]Access{
		"give ADDRESS:PORT":                      {Listen: "8470"},
		"give --tls-cert and --tls-key, or":      {Listen: ":0", TokenFile: token},
		"can be reached from other machines: g":  {Listen: "example.org:0", TokenFile: token},
		"say who may see the page":               {Listen: "0.0.0.0:0", Plain: true},
		"--tls-cert and --tls-key: give both":    {Listen: "127.0.0.1:0", TLSCert: cert},
		"--plain and --tls-cert: give one":       {Listen: ":0", TLSCert: cert, TLSKey: key, Plain: true, TokenFile: token},
		"--client-ca needs":                      {Listen: ":0", ClientCA: cert, Plain: true},
		"a token is one line of at least 16":     {Listen: ":0", Plain: true, TokenFile: file("short", "abc")},
		"without spaces, such as":                {Listen: ":0", Plain: true, TokenFile: file("two", "0123456789 abcdefgh")},
		"--page-token-file: read: open":          {Listen: ":0", Plain: true, TokenFile: dir + "/none"},
		"--tls-cert " + token:                    {Listen: ":0", TLSCert: token, TLSKey: key, TokenFile: token},
		"there is no certificate in it":          {Listen: ":0", TLSCert: cert, TLSKey: key, ClientCA: token},
		"--client-ca: open " + dir + "/none: no": {Listen: ":0", TLSCert: cert, TLSKey: key, ClientCA: dir + "/none"},
	} {
		_, err := Listen(a, NewHub((&world{}).source()))
		var refused *Refusal
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	defer func() { _ = taken.Close() }()
	var refused *Refusal
	if _, err := Listen(Access{Listen: taken.Addr().String()}, nil); err == nil || errors.As(err, &refused) {
		t.Errorf("a port in use: %v", err)
	}
}

// certificate makes one for 127.0.0.1, signed by a parent or by itself.
func certificate(t *testing.T, dir, name string, parent *tls.Certificate) (cert, key string, pair tls.Certificate) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	testkit.Must(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	by, signer := c, any(k)
	if parent != nil {
		by, signer = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, &k.PublicKey, signer)
	testkit.Must(t, err)
	private, err := x509.MarshalECPrivateKey(k)
	testkit.Must(t, err)
	certText := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyText := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})
	cert, key = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	testkit.Must(t, errors.Join(os.WriteFile(cert, certText, 0o600), os.WriteFile(key, keyText, 0o600)))
	pair, err = tls.X509KeyPair(certText, keyText)
	testkit.Must(t, err)
	return cert, key, pair
}

func TestClientCertificate(t *testing.T) {
	dir := t.TempDir()
	ca, _, authority := certificate(t, dir, "authority", nil)
	cert, key, _ := certificate(t, dir, "page", &authority)
	_, _, known := certificate(t, dir, "person", &authority)
	_, _, stranger := certificate(t, dir, "stranger", nil)
	w := &world{}
	w.set(fleettest.Of(time.Now(), "1 idle a"), nil)
	_, at := served(t, w, Access{Listen: "127.0.0.1:0", TLSCert: cert, TLSKey: key, ClientCA: ca})
	roots := x509.NewCertPool()
	roots.AddCert(authority.Leaf)
	with := func(pairs ...tls.Certificate) *http.Client {
		way := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: pairs}}
		t.Cleanup(way.CloseIdleConnections)
		return &http.Client{Transport: way}
	}
	if answer, body := ask(t, with(known), "GET", at+"grid.json"); answer.StatusCode != 200 || !strings.Contains(body, "i-1") {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
	for _, c := range []*http.Client{with(), with(stranger)} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", at+"grid.json", nil)
		testkit.Must(t, err)
		if answer, err := c.Do(r); err == nil {
			t.Errorf("let in: %s", answer.Status)
			_ = answer.Body.Close()
		}
	}
}

// events opens a stream; next returns an event, without comments.
func events(t *testing.T, c *http.Client, url string, head ...string) (next func() string, closed func()) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), testkit.Patience)
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	testkit.Must(t, err)
	for i := 0; i+1 < len(head); i += 2 {
		r.Header.Set(head[i], head[i+1])
	}
	answer, err := c.Do(r)
	testkit.Must(t, err)
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "text/event-stream" || answer.Header.Get("X-Accel-Buffering") != "no" {
		t.Fatalf("%s %v", answer.Status, answer.Header)
	}
	in := io.Reader(answer.Body)
	if answer.Header.Get("Content-Encoding") == "gzip" {
		in, err = gzip.NewReader(answer.Body)
		testkit.Must(t, err)
	}
	lines := bufio.NewReader(in)
	return func() string {
			t.Helper()
			var event strings.Builder
			for {
				l, err := lines.ReadString('\n')
				testkit.Must(t, err)
				if l == "\n" && strings.Contains(event.String(), "data: ") {
					return event.String()
				}
				event.WriteString(l)
			}
		}, func() {
			stop()
			_ = answer.Body.Close()
		}
}

func TestStream(t *testing.T) {
	for _, encoding := range []string{"identity", "gzip"} {
		w, noon := &world{}, time.Now()
		w.set(fleettest.Of(noon, "1 idle a", "1 working a"), nil)
		h, at := served(t, w, here())
		c := client(t)
		next, closed := events(t, c, at+"events", "Accept-Encoding", encoding)
		first := next()
		if !strings.Contains(first, "event: grid\n") || !strings.Contains(first, `"instance-id":"i-1"`) || !strings.Contains(first, `"instance-id":"i-2"`) {
			t.Fatalf("%s: %s", encoding, first)
		}
		f := fleettest.Of(noon, "1 idle a")
		f.Nodes = append(f.Nodes, fleettest.One("i-2", node.Wedged, "a", "exit 3", noon))
		w.set(f, nil)
		event := next()
		for !strings.Contains(event, `"state":"wedged"`) { // of the queue and the history, perhaps
			event = next()
		}
		if !strings.Contains(event, "event: change\n") || strings.Contains(event, `"instance-id":"i-1"`) {
			t.Errorf("%s: %s", encoding, event)
		}
		_, id, _ := strings.Cut(event, "id: ")
		id, _, _ = strings.Cut(id, "\n")
		closed()
		testkit.Eventually(t, "the stream is left", func() bool {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.streams == 0
		})
		w.set(fleettest.Of(noon, "1 idle a"), nil)
		// A browser that comes back gets what it missed.
		for _, way := range [][]string{{at + "events", "Last-Event-ID", id}, {at + "events?last=" + id}} {
			next, closed = events(t, c, way[0], append(way[1:], "Accept-Encoding", encoding)...)
			for event = next(); !strings.Contains(event, `"gone":["i-2"]`); event = next() {
			}
			if !strings.Contains(event, "event: change\n") {
				t.Errorf("%s: back: %s", encoding, event)
			}
			closed()
		}
		next, closed = events(t, c, at+"events", "Last-Event-ID", "0000-7", "Accept-Encoding", encoding)
		if event = next(); !strings.Contains(event, "event: grid\n") {
			t.Errorf("%s: another process: %s", encoding, event)
		}
		closed()
	}
}

func TestTooManyStreams(t *testing.T) {
	h, at := served(t, &world{}, here())
	for range streamsMost {
		if _, ok := h.enter(streamsMost); !ok {
			t.Fatal("there is room")
		}
	}
	if answer, _ := ask(t, client(t), "GET", at+"events"); answer.StatusCode != 503 || answer.Header.Get("Retry-After") == "" {
		t.Errorf("%d", answer.StatusCode)
	}
}
