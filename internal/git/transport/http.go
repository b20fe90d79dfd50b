package transport

import (
	"errors"
	"net/http"
	"strings"

	"github.com/addagent/addagent/internal/git/address"
	"github.com/addagent/addagent/internal/git/protocol"
	"github.com/addagent/addagent/internal/secret"
)

// HTTP is the way to a repository over HTTP, with one kept connection.
type HTTP struct {
	url, agent   string
	auth         address.Auth
	network      address.Network
	basic        protocol.AuthFunc
	shown        *secret.Set // to servers, proxies and by a command
	certificates *certificates
	client       *protocol.Client // made when it is first needed, and anew when a file of the network changes
	made         stamps           // of those files
}

// NewHTTP is the way to a URL; agent is what it tells of us. It does no I/O.
func NewHTTP(url, agent string, a address.Auth, n address.Network) *HTTP {
	return &HTTP{url: url, agent: agent, auth: a, network: n, basic: basic(a, url), shown: &secret.Set{}, certificates: newCertificates(url)}
}

// Close gives up the connection.
func (h *HTTP) Close() {
	if h.client != nil {
		h.client.Close()
	}
}

// Client returns the client for the URL. A connection made with files that have changed since is given up.
func (h *HTTP) Client() (*protocol.Client, error) {
	n := h.network
	if h.client != nil && n.CAFile == "" && n.ClientCertFile == "" {
		return h.client, nil // the usual case, at each look
	}
	now := stampsOf(filesOf(n))
	if h.client != nil && now.same(h.made) {
		return h.client, nil
	}
	h.Close()
	h.client = nil
	t, err := transport(n, h.certificates)
	if err != nil {
		return nil, err
	}
	h.client, err = protocol.NewHTTP(h.url, protocol.Options{Transport: t, Auth: h.basic, Agent: h.agent, Shown: h.shown})
	h.made = now
	return h.client, err
}

// Advise adds what a person can do about a failure of the client at what was to be done: read or write. It is nil for
// nil.
func (h *HTTP) Advise(do string, err error) error {
	if _, known := errors.AsType[*advised](err); err == nil || known {
		return err
	}
	status, ok := errors.AsType[*protocol.StatusError](err)
	if !ok {
		return h.shown.Free(h.certificates.explain(err, h.network))
	}
	holder := h.auth.Holder()
	const set = "set auth (token_file, username and password_file, or command)"
	var advice string
	switch {
	case status.Schemes != "":
		advice = "it offers " + status.Schemes + " to log in, and addagent speaks Basic: have Basic allowed there, or use ssh"
	case status.Code == http.StatusUnauthorized && holder == "":
		advice = "it wants credentials: " + set
	case status.Code == http.StatusUnauthorized:
		advice = "it refuses the credentials of " + holder + ": renew them"
	case status.Code == http.StatusProxyAuthRequired:
		return proxyRefusal(status)
	case status.Code == http.StatusForbidden && status.RetryAfter > 0:
		advice = "too many requests"
	case status.Code == http.StatusForbidden && holder == "":
		advice = "it does not let everybody " + do + " this: " + set
	case status.Code == http.StatusForbidden:
		advice = "the credentials of " + holder + " may not " + do + " this: give them " + do + " access"
	case status.Code == http.StatusNotFound && holder == "":
		advice = "check url; if the repository is private, " + set
	case status.Code == http.StatusNotFound:
		advice = "check url, and whether the credentials of " + holder + " may " + do + " it"
	case wantsCertificate(status, h.network):
		advice = "if it wants a certificate of ours, set network.client_cert_file and client_key_file"
	default:
		return err
	}
	if do == "write" && status.Code == http.StatusForbidden && status.RetryAfter == 0 {
		advice += "; a server of git's own needs http.receivepack for it"
	}
	if n := h.network; status.Code == http.StatusUnauthorized && n.Proxy != "" && strings.HasPrefix(status.URL, "http:") {
		advice += "; or it is the proxy that says so: see network.proxy"
	}
	return advise(err, advice)
}
