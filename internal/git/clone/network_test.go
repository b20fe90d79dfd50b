package clone

import (
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/git/transport"
	"github.com/addagent/addagent/internal/testkit"
)

// trust opens the clone anew, reached that way.
func (w *world) trust(url string, n remote.Network) {
	w.tb.Helper()
	w.open(remote.Source{URL: url, Branch: "main", Agent: "addagent/test", Network: n}, Limits{})
}

func (w *world) fails(want ...string) {
	w.tb.Helper()
	_, err := w.repo.Ask(w.tb.Context())
	for _, text := range want {
		if err == nil || !strings.Contains(err.Error(), text) {
			w.tb.Fatalf("%q is not in: %v", text, err)
		}
	}
	if strings.Contains(err.Error(), "S3CR3T") || strings.Contains(err.Error(), "\n") {
		w.tb.Fatalf("a secret, or lines: %v", err)
	}
}

// TestNginx is what most people have: TLS, a password, nginx, git http-backend.
func TestNginx(t *testing.T) {
	w := newLocal(t)
	w.src.Commit("main", someFiles(30, "x")...)
	ca := gittest.NewCA(t, "house authority")
	client := ca.Issue("node", time.Hour)
	n := gittest.StartNginx(t, filepath.Dir(w.src.Dir), gittest.NginxOptions{User: "robot", Password: "S3CR3T", Pair: ca.Issue("server", time.Hour), ClientCA: ca.File})
	password := filepath.Join(t.TempDir(), "password")
	gittest.WriteFile(t, password, "S3CR3T\n")
	source := remote.Source{URL: n.URL + "/r.git", Agent: "addagent/test", Auth: remote.Auth{Username: "robot", PasswordFile: password},
		Network: remote.Network{CAFile: ca.File, ClientCertFile: client.Cert, ClientKeyFile: client.Key}}
	w.open(source, Limits{})
	w.check()
	for range 30 {
		w.look()
	}
	w.src.Commit("main", gittest.File("n", "n"))
	w.check()
	testkit.Eventually(t, "nginx notes all requests", func() bool { requests, _ := n.Served(); return requests == 2+30+2 })
	if _, conns := n.Served(); conns != 1 {
		t.Errorf("%d connections", conns)
	}
	// The files of the network are read anew when they change, and only then.
	gittest.ReplaceFile(t, ca.File, gittest.ReadFile(t, ca.File)+"\n")
	w.look()
	w.look()
	testkit.Eventually(t, "nginx notes all requests", func() bool { requests, _ := n.Served(); return requests == 2+30+2+2 })
	if _, conns := n.Served(); conns != 2 {
		t.Errorf("%d connections after the authority's file was written", conns)
	}
	authority := gittest.ReadFile(t, ca.File)
	gittest.ReplaceFile(t, ca.File, "nonsense")
	w.fails("network ca_file: " + ca.File + " holds no certificate")
	gittest.ReplaceFile(t, ca.File, gittest.ReadFile(t, gittest.NewCA(t, "another").File))
	w.fails("certificate refused")
	source.Network.CAFile = ca.File
	gittest.ReplaceFile(t, ca.File, authority)
	// A certificate and its key are used together: neither is sent without the other.
	for _, pair := range [][2]string{{"", ""}, {"", client.Key}} {
		source.Network.ClientCertFile, source.Network.ClientKeyFile = pair[0], pair[1]
		w.open(source, Limits{})
		w.fails("400 Bad Request")
	}
	source.Network.ClientCertFile, source.Network.ClientKeyFile = client.Cert, client.Key+".gone"
	w.open(source, Limits{})
	w.fails("network client_key_file: ", "no such file")
	source.Network.ClientCertFile, source.Network.ClientKeyFile = client.Cert+".gone", client.Key
	w.open(source, Limits{})
	w.fails("network client_cert_file: ", "no such file")
	source.Network = remote.Network{}
	w.open(source, Limits{})
	w.fails("certificate refused", "last trusted: none seen since the start")
}

func TestNginxClosesConnections(t *testing.T) {
	w := newLocal(t)
	w.src.Commit("main", someFiles(30, "x")...)
	n := gittest.StartNginx(t, filepath.Dir(w.src.Dir), gittest.NginxOptions{Requests: 5})
	w.open(remote.Source{URL: n.URL + "/r.git"}, Limits{})
	for range 20 {
		w.look()
	}
	testkit.Eventually(t, "nginx notes all requests", func() bool { requests, _ := n.Served(); return requests == 21 })
	if _, conns := n.Served(); conns != 5 {
		t.Errorf("%d connections", conns)
	}
}

// TestIdleConnectionsAreClosed by the server, as all servers do sooner or later.
func TestIdleConnectionsAreClosed(t *testing.T) {
	w := newLocal(t)
	w.src.Commit("main", someFiles(3, "x")...)
	var closed atomic.Int64
	server := gittest.Serve(t, filepath.Dir(w.src.Dir), gittest.ServerOptions{Tune: func(s *http.Server) {
		s.IdleTimeout = time.Millisecond
		s.ConnState = func(_ net.Conn, now http.ConnState) {
			if now == http.StateClosed {
				closed.Add(1)
			}
		}
	}})
	w.open(remote.Source{URL: server.URL + "/r.git"}, Limits{})
	for i := range int64(5) {
		w.look()
		testkit.Eventually(t, "the server closes", func() bool { return closed.Load() > i })
	}
}

func TestClientCertificate(t *testing.T) {
	w := newLocal(t)
	w.src.Commit("main", someFiles(3, "x")...)
	ca, other := gittest.NewCA(t, "house authority"), gittest.NewCA(t, "another")
	n := gittest.StartNginx(t, filepath.Dir(w.src.Dir), gittest.NginxOptions{Pair: ca.Issue("server", time.Hour), ClientCA: ca.File})
	mine, wrong := ca.Issue("node", time.Hour), other.Issue("node", time.Hour)
	url := n.URL + "/r.git"
	w.trust(url, remote.Network{CAFile: ca.File})
	w.fails("400", "client_cert_file")
	w.trust(url, remote.Network{CAFile: ca.File, ClientCertFile: wrong.Cert, ClientKeyFile: wrong.Key})
	w.fails("400")
	w.trust(url, remote.Network{CAFile: ca.File, ClientCertFile: mine.Cert, ClientKeyFile: wrong.Key})
	w.fails("network: " + mine.Cert + " and " + wrong.Key + " are no certificate and its key")
	w.trust(url, remote.Network{CAFile: ca.File, ClientCertFile: mine.Cert, ClientKeyFile: mine.Key})
	w.check()
	// The other way to refuse: in the handshake.
	strict := gittest.Serve(t, filepath.Dir(w.src.Dir), gittest.ServerOptions{})
	front := gittest.TLSFront(t, strict.URL, ca.Issue("server", time.Hour), ca.File)
	w.trust(front.URL()+"/r.git", remote.Network{CAFile: ca.File})
	w.fails("wants a certificate of ours: set network.client_cert_file")
	w.trust(front.URL()+"/r.git", remote.Network{CAFile: ca.File, ClientCertFile: mine.Cert, ClientKeyFile: mine.Key})
	if _, err := w.repo.Ask(t.Context()); err != nil {
		t.Error(err)
	}
}

// validUntil is the day on which a certificate ends.
func validUntil(t *testing.T, p gittest.Pair) string {
	t.Helper()
	block, _ := pem.Decode([]byte(gittest.ReadFile(t, p.Cert)))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert.NotAfter.UTC().Format(time.DateOnly)
}

func TestCertificates(t *testing.T) {
	w := newLocal(t)
	w.src.Commit("main", someFiles(3, "x")...)
	ca, other := gittest.NewCA(t, "house authority"), gittest.NewCA(t, "Mallory & sons")
	good, renewed := ca.Issue("git.example.org", time.Hour), ca.Issue("git.example.org", 2*time.Hour)
	front := gittest.TLSFront(t, gittest.Serve(t, filepath.Dir(w.src.Dir), gittest.ServerOptions{}).URL, good, "")
	url := front.URL() + "/r.git"
	w.trust(url, remote.Network{})
	w.fails("certificate refused: 127.0.0.1 shows SHA256 "+good.Fingerprint, "subject CN=git.example.org", "issuer CN=house authority",
		"valid until "+validUntil(t, good), "last trusted: none seen since the start", "network.ca_file")
	w.trust(url, remote.Network{CAFile: ca.File})
	w.check()
	front.Show(renewed) // by the same authority: as it should be
	w.look()
	evil := other.Issue("git.example.org", time.Hour)
	front.Show(evil)
	w.fails("shows SHA256 "+evil.Fingerprint, "issuer CN=Mallory & sons", "last trusted: SHA256 "+renewed.Fingerprint, "unknown authority")
	front.Show(ca.Issue("git.example.org", -time.Minute))
	w.fails("it has expired: have it renewed")
	_, first := w.repo.Ask(t.Context())
	_, second := w.repo.Ask(t.Context())
	if first == nil || second == nil || first.Error() != second.Error() {
		t.Errorf("a trouble that stays changes its words: %v; %v", first, second)
	}
	front.Show(good)
	w.look()
	named := gittest.TLSFront(t, front.URL(), ca.IssueFor("elsewhere.example.org"), "")
	w.trust(named.URL()+"/r.git", remote.Network{CAFile: ca.File})
	w.fails("127.0.0.1 shows SHA256 ", "subject CN=elsewhere.example.org", "check url")
	// An authority of ours is one more, not the only one: nothing of the system's is lost.
	p, err := transport.Transport(remote.Network{CAFile: ca.File})
	if err != nil {
		t.Fatal(err)
	}
	if system, err := x509.SystemCertPool(); err == nil && p.(*http.Transport).TLSClientConfig.RootCAs.Equal(system) {
		t.Error("nothing was added")
	}
}

func TestProxies(t *testing.T) {
	w := newLocal(t)
	w.src.Commit("main", someFiles(3, "x")...)
	root := filepath.Dir(w.src.Dir)
	ca := gittest.NewCA(t, "house authority")
	server := gittest.Serve(t, root, gittest.ServerOptions{})
	front := gittest.TLSFront(t, server.URL, ca.Issue("server", time.Hour), "")
	tiny := gittest.StartTinyproxy(t, "me", "S3CR3T")
	n := remote.Network{Proxy: "http://me:S3CR3T@" + tiny.Addr, CAFile: ca.File}

	// CONNECT, with a password.
	w.trust(front.URL()+"/r.git", n)
	w.check()
	for range 10 {
		w.look()
	}
	if got, conns := tiny.Connects(), front.Conns.Load(); got != 1 || conns != 1 {
		t.Errorf("%d tunnels, %d connections", got, conns)
	}
	n.NoProxy = []string{"10.0.0.0/8", "127.0.0.1"}
	w.trust(front.URL()+"/r.git", n)
	w.look()
	if got := tiny.Connects(); got != 1 {
		t.Error("no_proxy is not heeded")
	}
	n.NoProxy = nil
	n.Proxy = "http://me:S3CR3T-wrong@" + tiny.Addr
	w.trust(front.URL()+"/r.git", n)
	w.fails("the proxy http://"+tiny.Addr+" answered 40", "network.proxy")
	w.trust(server.URL+"/r.git", n)
	w.fails("401", "see network.proxy")
	n.Proxy = "http://me:S3CR3T@127.0.0.1:1"
	w.trust(front.URL()+"/r.git", n)
	w.fails("proxy http://127.0.0.1:1: ", "refused")
	for _, bad := range []string{"me:S3CR3T@h:3128", "h:3128", "http://me:S3C R3T/S3CR3T@h:1/", "ftp://me:S3CR3T@h", "http://"} {
		n.Proxy = bad
		w.trust(front.URL()+"/r.git", n)
		w.fails("network proxy: ")
	}

	// Plain HTTP through nginx: kept on our side.
	plain := gittest.StartNginx(t, root, gittest.NginxOptions{Forward: true})
	w.trust(server.URL+"/r.git", remote.Network{Proxy: plain.URL})
	w.look() // of another URL
	before := server.Requests.Load()
	testkit.Eventually(t, "nginx notes all requests", func() bool { requests, _ := plain.Served(); return requests > 0 })
	for range 10 {
		w.look()
	}
	testkit.Eventually(t, "nginx notes all requests", func() bool { requests, _ := plain.Served(); return requests >= 11 })
	if _, conns := plain.Served(); conns != 1 || server.Requests.Load()-before != 10 {
		t.Errorf("%d connections, %d requests at the server", conns, server.Requests.Load()-before)
	}

	// SOCKS5, and a proxy that itself speaks TLS.
	socks := gittest.StartSSHD(t).StartSOCKS()
	conns := front.Conns.Load()
	w.trust(front.URL()+"/r.git", remote.Network{Proxy: "socks5://" + socks, CAFile: ca.File})
	for range 10 {
		w.look()
	}
	if got := front.Conns.Load() - conns; got != 1 {
		t.Errorf("%d connections through SOCKS", got)
	}
	safe := gittest.TLSFront(t, plain.URL, ca.Issue("proxy", time.Hour), "")
	w.trust(server.URL+"/r.git", remote.Network{Proxy: safe.URL(), CAFile: ca.File})
	w.look()
	w.look()
	w.trust(server.URL+"/r.git", remote.Network{Proxy: safe.URL()})
	w.fails("certificate refused: the proxy shows")
}
