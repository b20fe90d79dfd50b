package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/addagent/addagent/internal/git/address"
	"github.com/addagent/addagent/internal/git/protocol"
)

// filesOf are those that a connection is made with.
func filesOf(n address.Network) []string {
	return slices.DeleteFunc([]string{n.CAFile, n.ClientCertFile, n.ClientKeyFile}, func(f string) bool { return f == "" })
}

// transport makes what HTTP goes over. All of it is a net/http transport of our own with one kept connection: a
// proxy, an authority or a certificate of ours changes how the connection is made, not how long it lives.
func transport(n address.Network, certificates *certificates) (*http.Transport, error) {
	t := protocol.NewTransport()
	through := http.ProxyFromEnvironment
	if n.Proxy != "" {
		u, err := n.ProxyURL()
		if err != nil {
			return nil, fmt.Errorf("network proxy: %w", err)
		}
		through = http.ProxyURL(u)
	}
	t.Proxy = func(r *http.Request) (*url.URL, error) {
		if n.Direct(r.URL) {
			return nil, nil
		}
		return through(r)
	}
	t.OnProxyConnectResponse = func(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
		if answer.StatusCode == http.StatusOK {
			return nil
		}
		return proxyRefusal(&protocol.StatusError{Code: answer.StatusCode, URL: protocol.Redact(proxy.String())})
	}
	if n.CAFile != "" {
		pem, err := ReadSmall(n.CAFile)
		if err != nil {
			return nil, fmt.Errorf("network ca_file: %w", err)
		}
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool() // a machine without any: ours is then the only one
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("network ca_file: %s holds no certificate in PEM form", n.CAFile)
		}
		t.TLSClientConfig.RootCAs = roots
	}
	if n.ClientCertFile != "" {
		pair, err := clientPair(n.ClientCertFile, n.ClientKeyFile)
		if err != nil {
			return nil, err
		}
		t.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	t.TLSClientConfig.VerifyConnection = certificates.trust
	return t, nil
}

func clientPair(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := ReadSmall(certFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("network client_cert_file: %w", err)
	}
	key, err := ReadSmall(keyFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("network client_key_file: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return pair, fmt.Errorf("network: %s and %s are no certificate and its key: %w", certFile, keyFile, err)
	}
	return pair, nil
}

// proxyRefusal is a proxy's refusal to connect us.
func proxyRefusal(status *protocol.StatusError) error {
	advice := ""
	switch status.Code {
	case http.StatusProxyAuthRequired, http.StatusUnauthorized: // tinyproxy says the latter
		advice = "it wants other credentials: put user:password@ before the host in network.proxy"
	case http.StatusForbidden, http.StatusMethodNotAllowed:
		advice = "it does not let us through to this host: name the host in network.no_proxy, or have it allowed there"
	}
	return advise(fmt.Errorf("the proxy %w", status), advice)
}

// Transport makes the requests of others, such as those to a chat, go the same way.
func Transport(n address.Network) (http.RoundTripper, error) {
	return transport(n, newCertificates(""))
}
