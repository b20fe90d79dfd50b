// Package address parses addresses of repositories, and says which credentials and which way belong to one.
//
// It is what the config and the connections mean alike. It does no I/O.
package address

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
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

// Network says how HTTP reaches servers. SSH, git:// and paths do not use it. The files are read again when they
// change.
type Network struct {
	Proxy string // http, https, socks5 or socks5h URL; "" = the usual environment variables
	// reached directly: hosts with what is below them, addresses, 10.0.0.0/8, *; with or without a port
	NoProxy        []string
	CAFile         string // PEM: authorities that are trusted besides the system's
	ClientCertFile string // PEM
	ClientKeyFile  string // PEM
}

// Holder names the source of the credentials for HTTP, for errors; "" = none.
func (a Auth) Holder() string {
	switch {
	case len(a.Command) > 0:
		return "the command " + a.Command[0]
	case a.TokenFile != "":
		return a.TokenFile
	}
	return a.PasswordFile
}

// ProxyURL parses the URL of the proxy. No error quotes it: it may contain a password.
func (n Network) ProxyURL() (*url.URL, error) {
	const forms = "use http://, https:// or socks5://host:port"
	u, err := url.Parse(n.Proxy)
	switch {
	case err != nil, !strings.Contains(n.Proxy, "://"), odd(n.Proxy), u.Hostname() == "", strings.HasPrefix(u.Hostname(), "-"):
		return nil, errors.New("is not the URL of a proxy: " + forms + ", with %40 for an @ in a password")
	case !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme):
		return nil, errors.New("is of an unknown kind: " + forms)
	case !ValidPort(u.Port()):
		return nil, errors.New("the port must be between 1 and 65535")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("must end after the port")
	}
	return u, nil
}

// ValidNoProxy takes a host, .domain, address or network, with or without a port, or * for all.
func ValidNoProxy(entry string) bool {
	host := entry
	if h, port, err := net.SplitHostPort(entry); err == nil {
		if host = h; port == "" || !ValidPort(port) {
			return false
		}
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	_, _, err := net.ParseCIDR(entry)
	return entry == "*" || err == nil || net.ParseIP(host) != nil || domain.MatchString(host)
}

var domain = regexp.MustCompile(`^(\*?\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?$`)

// PlainHTTP is the host of a URL whose credentials everyone on the way can read; ok is false for https and for this
// machine.
func PlainHTTP(raw string) (host string, ok bool) {
	u, err := url.Parse(raw)
	if err != nil || !strings.EqualFold(u.Scheme, "http") {
		return "", false
	}
	ip, _ := netip.ParseAddr(u.Hostname())
	return u.Host, u.Hostname() != "localhost" && !ip.IsLoopback()
}

// Direct tells whether a URL is reached without the proxy. A name covers itself and all names below it; with a dot or
// *. before it, only those below.
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
