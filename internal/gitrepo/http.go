package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/gitwire"
)

// httpRemote speaks v2, and v0 where something does not understand that.
type httpRemote struct {
	source       Source
	auth         gitwire.AuthFunc
	certificates *certificates
	client       *gitwire.Client // made when it is first needed, and anew when a file of the network changes
	made         stamps          // of those files
	proven       bool            // it answered in v2 once
	old          time.Time       // until then it is asked in v0
	advert       *gitwire.Advert // v0: what it said last
	filter       string          // "yes" or "no": v2, whether it can leave things out; "" = it was not asked yet
}

func (h *httpRemote) close() {
	if h.client != nil {
		h.client.Close()
	}
}

// connect makes the client. A connection made with files that have changed since is given up.
func (h *httpRemote) connect() error {
	n := h.source.Network
	if h.client != nil && n.CAFile == "" && n.ClientCertFile == "" {
		return nil // the usual case, at each look
	}
	now := stampsOf(n.files())
	if h.client != nil && now.same(h.made) {
		return nil
	}
	h.close()
	h.client = nil
	t, err := n.transport(h.certificates)
	if err != nil {
		return err
	}
	h.client, err = gitwire.NewHTTP(h.source.URL, gitwire.Options{Transport: t, Auth: h.auth, Agent: h.source.Agent})
	h.made = now
	return err
}

func (h *httpRemote) tip(ctx context.Context, branch string) (Tip, error) {
	if err := h.connect(); err != nil {
		return Tip{}, err
	}
	if time.Now().Before(h.old) {
		return h.tipV0(ctx, branch)
	}
	refs, err := h.client.LsRefs(ctx, question(branch))
	if err != nil {
		if !h.perhapsOld(err) || ctx.Err() != nil {
			return Tip{}, h.advise(err)
		}
		tip, v0err := h.tipV0(ctx, branch)
		if h.advert != nil {
			h.old = time.Now().Add(reprobe)
			return tip, v0err
		}
		if errors.Is(err, gitwire.ErrNotV2) {
			return Tip{}, v0err
		}
		return Tip{}, h.advise(err)
	}
	h.proven = true
	tip, ok, err := pick(refs, branch)
	if ok || err != nil {
		return tip, err
	}
	refs, err = h.client.LsRefs(ctx, someHeads())
	if err != nil {
		return Tip{}, h.advise(err)
	}
	return Tip{}, noBranch(branch, headsOf(refs))
}

// perhapsOld says whether a failure may come from a server that stumbled over a question in v2.
func (h *httpRemote) perhapsOld(err error) bool {
	if errors.Is(err, gitwire.ErrNotV2) {
		return true
	}
	var status *gitwire.StatusError
	if h.proven || !errors.As(err, &status) {
		return false
	}
	switch status.Code {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType,
		http.StatusInternalServerError, http.StatusNotImplemented:
		return true
	}
	return false
}

func (h *httpRemote) tipV0(ctx context.Context, branch string) (Tip, error) {
	h.advert = nil
	a, err := h.client.AdvertV0(ctx, question(branch))
	if err != nil {
		return Tip{}, h.advise(err)
	}
	h.advert = a
	return tipOf(a, branch)
}

func (h *httpRemote) fetch(ctx context.Context, f gitwire.FetchRequest) (*gitwire.Pack, error) {
	if err := h.connect(); err != nil {
		return nil, err
	}
	if !time.Now().Before(h.old) {
		p, err := h.client.Fetch(ctx, f)
		switch {
		case errors.Is(err, gitwire.ErrNotV2) && h.proven:
			return nil, fmt.Errorf("the server sent an empty answer: %w", io.ErrUnexpectedEOF)
		case !errors.Is(err, gitwire.ErrNotV2):
			return p, h.advise(err)
		}
	}
	if h.advert == nil {
		if _, err := h.tipV0(ctx, ""); h.advert == nil {
			return nil, err
		}
	}
	p, err := h.client.FetchV0(ctx, h.advert, f)
	return p, h.advise(err)
}

// advise adds what a person can do about a failure to read.
func (h *httpRemote) advise(err error) error { return h.adviseTo("read", err) }

// adviseTo is advise for what was to be done: read or write.
func (h *httpRemote) adviseTo(do string, err error) error {
	var status *gitwire.StatusError
	var proxy *proxyError
	if err == nil || errors.As(err, &proxy) {
		return err
	}
	if !errors.As(err, &status) {
		return h.certificates.explain(err, h.source.Network)
	}
	holder := h.source.Auth.holder()
	const set = "set auth (token_file, username and password_file, or command)"
	var advice string
	switch {
	case status.Code == http.StatusUnauthorized && holder == "":
		advice = "it wants credentials: " + set
	case status.Code == http.StatusUnauthorized:
		advice = "it refuses the credentials of " + holder + ": renew them"
	case status.Code == http.StatusProxyAuthRequired:
		return &proxyError{status}
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
	case wantsCertificate(status, h.source.Network):
		advice = "if it wants a certificate of ours, set network.client_cert_file and client_key_file"
	default:
		return err
	}
	if do == "write" && status.Code == http.StatusForbidden && status.RetryAfter == 0 {
		advice += "; a server of git's own needs http.receivepack for it"
	}
	if n := h.source.Network; status.Code == http.StatusUnauthorized && n.Proxy != "" && strings.HasPrefix(status.URL, "http:") {
		advice += "; or it is the proxy that says so: see network.proxy"
	}
	return &advised{err, advice}
}

// someHeads asks for the first few branches, for an error.
func someHeads() gitwire.LsOptions {
	return gitwire.LsOptions{Prefixes: []string{"refs/heads/"}, Max: 6}
}

func headsOf(refs []gitwire.Ref) []string {
	var heads []string
	for _, r := range refs {
		heads = append(heads, strings.TrimPrefix(r.Name, "refs/heads/"))
	}
	return heads
}
