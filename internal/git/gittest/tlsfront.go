package gittest

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
)

// TLS is a relay that speaks TLS to clients, in front of a server that does not. Its certificate can be changed.
type TLS struct {
	*Relay
	tb    testing.TB
	shown atomic.Pointer[tls.Certificate]
}

// TLSFront starts a TLS front of a server. With clientCA (a file) it refuses clients without a certificate of that.
func TLSFront(tb testing.TB, server string, p Pair, clientCA string) *TLS {
	tb.Helper()
	u, err := url.Parse(server)
	if err != nil {
		tb.Fatal(err)
	}
	f := &TLS{tb: tb}
	f.Show(p)
	var clients *x509.CertPool
	want := tls.NoClientCert
	if clientCA != "" {
		clients, want = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !clients.AppendCertsFromPEM([]byte(read(tb, clientCA))) {
			tb.Fatalf("no certificate in %s", clientCA)
		}
	}
	config := &tls.Config{
		ClientAuth: want, ClientCAs: clients, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.shown.Load(), nil },
		SessionTicketsDisabled: true, // no client comes back with a session from before a change
	}
	f.Relay = startRelay(tb, "127.0.0.1:0", u.Host, func(c net.Conn) net.Conn { return tls.Server(c, config) })
	return f
}

// URL returns the front's https:// address.
func (f *TLS) URL() string { return "https://" + f.Addr }

// Show changes the certificate, and ends the connections that saw the other.
func (f *TLS) Show(p Pair) {
	f.tb.Helper()
	pair, err := tls.LoadX509KeyPair(p.Cert, p.Key)
	if err != nil {
		f.tb.Fatal(err)
	}
	f.shown.Store(&pair)
	if f.Relay != nil {
		f.Cut()
	}
}
