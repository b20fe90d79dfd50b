package gitaccess

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/gitwire"
)

// files are those that a connection is made with.
func (n Network) files() []string {
	return slices.DeleteFunc([]string{n.CAFile, n.ClientCertFile, n.ClientKeyFile}, func(f string) bool { return f == "" })
}

// Check finds what is wrong without asking anybody.
func (n Network) Check() error {
	var errs []error
	if n.Proxy != "" {
		_, err := n.proxyURL()
		errs = append(errs, err)
	}
	if (n.ClientCertFile == "") != (n.ClientKeyFile == "") {
		errs = append(errs, errors.New("network: client_cert_file and client_key_file go together"))
	}
	return errors.Join(errs...)
}

// proxyURL understands the proxy's address. No error shows it: there may be a password in it.
func (n Network) proxyURL() (*url.URL, error) {
	u, err := url.Parse(n.Proxy)
	if err != nil || u.Hostname() == "" {
		return nil, errors.New("network proxy: it cannot be read as a URL: write http://host:port, https://host:port or socks5://host:port (user:password@ before the host, with %40 for an @ in the password)")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return u, nil
	}
	return nil, fmt.Errorf("network proxy: unknown protocol %q: write http, https, socks5 or socks5h", u.Scheme)
}

// transport makes what HTTP goes over. All of it is a net/http transport of our own with one kept connection: a proxy, an
// authority or a certificate of ours changes how the connection is made, not how long it lives.
func (n Network) transport(certificates *certificates) (*http.Transport, error) {
	t := gitwire.NewTransport()
	if n.Proxy != "" || len(n.NoProxy) > 0 {
		through := http.ProxyFromEnvironment
		if n.Proxy != "" {
			u, err := n.proxyURL()
			if err != nil {
				return nil, err
			}
			through = http.ProxyURL(u)
		}
		direct := n.NoProxy
		t.Proxy = func(r *http.Request) (*url.URL, error) {
			if goesDirectly(r.URL, direct) {
				return nil, nil
			}
			return through(r)
		}
	}
	t.OnProxyConnectResponse = func(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
		if answer.StatusCode == http.StatusOK {
			return nil
		}
		return &proxyError{&gitwire.StatusError{Code: answer.StatusCode, URL: gitwire.Redact(proxy.String())}}
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

// proxyError is a proxy's refusal to connect us.
type proxyError struct{ status *gitwire.StatusError }

func (e *proxyError) Error() string {
	text := "the proxy " + e.status.Error()
	switch e.status.Code {
	case http.StatusProxyAuthRequired, http.StatusUnauthorized: // tinyproxy says the latter
		text += ": it wants other credentials: put user:password@ before the host in network.proxy"
	case http.StatusForbidden, http.StatusMethodNotAllowed:
		text += ": it does not let us through to this host: name the host in network.no_proxy, or have it allowed there"
	}
	return text
}

func (e *proxyError) Unwrap() error { return e.status }

// goesDirectly says whether an address is one of those that are not reached through the proxy. A name covers what is
// below it; with a dot or *. before it, only that.
func goesDirectly(u *url.URL, list []string) bool {
	host, port := strings.TrimSuffix(strings.ToLower(u.Hostname()), "."), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	addr, noAddr := netip.ParseAddr(host)
	for _, text := range list {
		for entry := range strings.SplitSeq(text, ",") {
			entry = strings.ToLower(strings.TrimSpace(entry))
			if entry == "*" {
				return true
			}
			if p, err := netip.ParsePrefix(entry); err == nil {
				if noAddr == nil && p.Contains(addr.Unmap()) {
					return true
				}
				continue
			}
			if h, p, err := net.SplitHostPort(entry); err == nil {
				if p != port {
					continue
				}
				entry = h
			}
			entry = strings.TrimSuffix(strings.Trim(entry, "[]"), ".")
			if a, err := netip.ParseAddr(entry); err == nil {
				if noAddr == nil && a.Unmap() == addr.Unmap() {
					return true
				}
				continue
			}
			below, only := strings.CutPrefix(strings.TrimPrefix(entry, "*"), ".")
			if below != "" && (strings.HasSuffix(host, "."+below) || !only && host == below) {
				return true
			}
		}
	}
	return false
}

// Transport makes the requests of others, such as those to a chat, go the same way.
func (n Network) Transport() (http.RoundTripper, error) { return n.transport(newCertificates("")) }
