// Package address says where a repository is, who we are there and which way leads to it: what the config and the
// connections mean alike. It does no I/O.
package address

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// Auth names what holds credentials. Files are read when they are used, so that a new token needs no restart.
type Auth struct {
	TokenFile      string // for HTTP: a token; Username goes with it ("x-access-token" when empty)
	Username       string
	PasswordFile   string
	SSHKeyFiles    []string // private keys without a passphrase, tried in order; none = the user's own ~/.ssh/id_*
	KnownHostsFile string   // "" = the user's own ~/.ssh/known_hosts and the machine's
	Command        []string // for HTTP: a program speaking git's credential-helper protocol (git-credential(1))
}

// Network says how HTTP gets out, where that is not the usual way. SSH, git:// and paths always go directly: a proxy
// for HTTP is no proxy for them. The files are read anew when they change.
type Network struct {
	Proxy string // http, https, socks5 or socks5h URL; "" = the usual environment variables
	// reached directly: hosts with what is below them, addresses, 10.0.0.0/8, *; with or without a port
	NoProxy        []string
	CAFile         string // PEM: authorities that are trusted besides the system's
	ClientCertFile string // PEM
	ClientKeyFile  string // PEM
}

// Holder names what holds the credentials for HTTP, for errors; "" when there is nothing.
func (a Auth) Holder() string {
	switch {
	case len(a.Command) > 0:
		return "the command " + a.Command[0]
	case a.TokenFile != "":
		return a.TokenFile
	}
	return a.PasswordFile
}

// Check finds what is wrong without asking anybody.
func (n Network) Check() error {
	var errs []error
	if n.Proxy != "" {
		_, err := n.ProxyURL()
		errs = append(errs, err)
	}
	if (n.ClientCertFile == "") != (n.ClientKeyFile == "") {
		errs = append(errs, errors.New("network: client_cert_file and client_key_file go together"))
	}
	return errors.Join(errs...)
}

// ProxyURL understands the proxy's address. No error shows it: there may be a password in it.
func (n Network) ProxyURL() (*url.URL, error) {
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

// Direct says whether a URL is one of those that are not reached through the proxy. A name covers what is
// below it; with a dot or *. before it, only that.
func (n Network) Direct(u *url.URL) bool {
	host, port := strings.TrimSuffix(strings.ToLower(u.Hostname()), "."), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	addr, noAddr := netip.ParseAddr(host)
	for _, text := range n.NoProxy {
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
