// Package protocol speaks git's wire protocol, as a client: version 2, and version 0 with servers that know no better.
//
// Client speaks over smart HTTP on a kept connection, Stream over SSH, git:// or a pipe. The package knows no
// repository and no credentials: refs and packs are bytes here.
//
// Sources of the formats: https://git-scm.com/docs/protocol-v2, https://git-scm.com/docs/gitprotocol-pack and
// https://git-scm.com/docs/gitprotocol-http. No user name, password or token ever gets into an error.
package protocol

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/addagent/addagent/internal/secret"
)

// AuthFunc returns the user and password for HTTP basic authentication. It is called for every request, and once more
// with again set when the server refused what it returned, so that files and helpers can be read anew.
type AuthFunc func(ctx context.Context, again bool) (user, password string, err error)

// Options of a client; the zero value works.
type Options struct {
	Transport *http.Transport // nil = NewTransport(); not shared, so that closing it closes only our connections
	Auth      AuthFunc        // nil = user and password of the URL, or none
	Agent     string          // "addagent/VERSION": fixed, so that requests are byte-identical
	Shown     *secret.Set     // what servers were shown, added to with each login; nil = one of the client's own
}

// Client asks one repository over smart HTTP. It is not safe for concurrent use.
type Client struct {
	base      *url.URL // no user, no query; moves with permanent redirects
	transport *http.Transport
	auth      AuthFunc
	shown     *secret.Set
	agent     string
	patience  time.Duration // how long a kept connection may take to answer a look
	used      time.Time     // when a connection last gave an answer
}

// NewTransport returns a transport for one repository: one kept connection, HTTP/1.1 (one request at a time needs no
// streams, and an idle HTTP/2 connection costs more memory than the rest of a look), proxy from the environment.
func NewTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSHandshakeTimeout: 15 * time.Second,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(2)},
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{},
		// Longer than any server keeps it: it is the server that decides. A beat a minute must find it open.
		IdleConnTimeout:        10 * time.Minute,
		MaxIdleConns:           1,
		MaxIdleConnsPerHost:    1,
		DisableCompression:     true, // packs are compressed already, and the header costs bytes at every look
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// NewHTTP returns a client for the repository at an http or https URL. It does no I/O.
func NewHTTP(rawURL string, o Options) (*Client, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("%s is not an http or https address", Redact(rawURL))
	}
	c := &Client{transport: o.Transport, auth: o.Auth, shown: o.Shown, agent: o.Agent, patience: 5 * time.Second}
	if c.shown == nil {
		c.shown = &secret.Set{}
	}
	if c.transport == nil {
		c.transport = NewTransport()
	}
	if u.User != nil && c.auth == nil {
		user := u.User.Username()
		password, _ := u.User.Password()
		c.auth = func(context.Context, bool) (string, string, error) { return user, password, nil }
	}
	u.User, u.RawQuery, u.Fragment, u.RawFragment = nil, "", "", ""
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = strings.TrimRight(u.RawPath, "/")
	c.base = u
	return c, nil
}

// Close closes the kept connection. The client can be used again.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// call is one request, before authentication and redirects.
type call struct {
	method string
	suffix string // below the repository's URL
	query  string
	body   []byte
	v2     bool
	once   bool // it changes something on the server: not to be repeated by net/http
}

const (
	uploadPack    = "/" + UploadPack
	requestType   = "application/x-git-upload-pack-request"
	resultType    = "application/x-git-upload-pack-result"
	advertiseType = "application/x-git-upload-pack-advertisement"

	receivePack = "/" + ReceivePack
	pushType    = "application/x-git-receive-pack-request"
	reportType  = "application/x-git-receive-pack-result"
)

// types are those of a request and of its answer.
func (q call) types() (request, result string) {
	switch {
	case q.method == http.MethodGet:
		return "", advertiseType
	case q.suffix == receivePack:
		return pushType, reportType
	}
	return requestType, resultType
}

var errNoAnswer = errors.New("no answer on a kept connection")

// exchange sends a POST, gives the answer to read and leaves the connection ready for the next.
// A kept connection may have died unseen: when it fails, or does not answer in time, the request is repeated once on a
// new one.
func (c *Client) exchange(ctx context.Context, body []byte, read func(io.Reader) error) error {
	for second := false; ; second = true {
		kept, err := c.attempt(ctx, body, read)
		if err == nil || second || !kept || ctx.Err() != nil || !brokenConnection(err) {
			return err
		}
		c.Close()
	}
}

func (c *Client) attempt(parent context.Context, body []byte, read func(io.Reader) error) (bool, error) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	var kept atomic.Bool
	impatience := time.AfterFunc(math.MaxInt64, func() { cancel(errNoAnswer) })
	defer impatience.Stop()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		kept.Store(i.Reused)
		impatience.Stop()
		if i.Reused {
			impatience.Reset(c.patience)
		}
	}})
	answer, err := c.send(ctx, call{method: http.MethodPost, suffix: uploadPack, body: body, v2: true})
	if err == nil {
		if err = read(answer.Body); err == nil {
			drain(answer)
		}
		_ = answer.Body.Close()
	}
	if err != nil && parent.Err() == nil && errors.Is(context.Cause(ctx), errNoAnswer) {
		err = errNoAnswer
	}
	return kept.Load(), err
}

// brokenConnection tells what may be the fault of one connection from what the server really said.
func brokenConnection(err error) bool {
	_, status := errors.AsType[*StatusError](err)
	_, remote := errors.AsType[*RemoteError](err)
	return !status && !remote && !errors.Is(err, ErrNotV2) && !errors.Is(err, ErrDumb) &&
		!errors.Is(err, ErrTooLarge) && !errors.Is(err, errBadLine) && !errors.Is(err, errAuth)
}

var errAuth = errors.New("credentials")

// send does one request with authentication and redirects. The answer has status 200 and a git content type.
func (c *Client) send(ctx context.Context, q call) (*http.Response, error) {
	answer, _, err := c.sendTo(ctx, c.base, q)
	return answer, err
}

// sendTo is send for a base. It returns where the redirects led, too.
func (c *Client) sendTo(ctx context.Context, base *url.URL, q call) (*http.Response, *url.URL, error) {
	var refused *StatusError // with the credentials that we had
	sought := false
	var user, password string
	for hops := 0; ; {
		if c.auth != nil {
			u, p, err := c.auth(ctx, refused != nil)
			if err != nil {
				return nil, nil, fmt.Errorf("%w: %w", errAuth, err)
			}
			if refused != nil && u == user && p == password {
				return nil, nil, refused
			}
			user, password = u, p
			c.shown.Add(cmp.Or(p, u)) // a user alone may be a token
		}
		request := c.request(ctx, base, q, user, password)
		c.shown.Add(secret.OfProxy(c.transport, request))
		answer, err := c.transport.RoundTrip(request)
		if err != nil {
			return nil, nil, c.shown.Free(bare(err))
		}
		c.used = time.Now()
		if answer.StatusCode == http.StatusOK {
			answer, err = c.checkType(answer, q, base)
			return answer, base, err
		}
		failure := c.statusError(answer, base)
		drain(answer)
		switch answer.StatusCode {
		case http.StatusUnauthorized:
			if c.auth == nil || refused != nil {
				return nil, nil, failure
			}
			refused = failure
		case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			next, err := c.redirected(base, q, answer.Header.Get("Location"))
			if err != nil {
				failure.Text = err.Error()
				return nil, nil, failure
			}
			if hops++; hops > 5 {
				failure.Text = "too many redirects"
				return nil, nil, failure
			}
			if s := answer.StatusCode; s == http.StatusMovedPermanently || s == http.StatusPermanentRedirect {
				c.base = next
			}
			base = next
		case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
			if sought || q.method != http.MethodPost {
				return nil, nil, failure
			}
			sought = true
			if base, err = c.seek(ctx, base, failure); err != nil {
				return nil, nil, err
			}
		default:
			return nil, nil, failure
		}
	}
}

// seek asks where a repository is that a POST did not find. GitLab redirects only what old clients begin with, a GET,
// to the name with .git. Only such a GET tells a server of files, too.
func (c *Client) seek(ctx context.Context, base *url.URL, failure error) (*url.URL, error) {
	answer, next, err := c.sendTo(ctx, base, call{method: http.MethodGet, suffix: "/info/refs", query: "service=" + UploadPack, v2: true})
	if err == nil {
		drain(answer)
		if *next != *base {
			return next, nil
		}
	} else if status, ok := errors.AsType[*StatusError](err); errors.Is(err, ErrDumb) || ok && status.Location != "" {
		return nil, err
	}
	return nil, failure
}

// drain reads the end of an answer, so that the connection can be used again.
func drain(answer *http.Response) {
	_, _ = io.CopyN(io.Discard, answer.Body, 4096)
	_ = answer.Body.Close()
}

func (c *Client) request(ctx context.Context, base *url.URL, q call, user, password string) *http.Request {
	target := *base
	target.Path += q.suffix
	if target.RawPath != "" {
		target.RawPath += q.suffix
	}
	target.RawQuery = q.query
	r := &http.Request{
		Method: q.method, URL: &target, Host: target.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header, 6),
	}
	r.Header["User-Agent"] = []string{c.agent}
	if q.v2 {
		r.Header["Git-Protocol"] = []string{"version=2"}
	}
	if q.method == http.MethodPost {
		request, result := q.types()
		r.Header["Content-Type"] = []string{request}
		r.Header["Accept"] = []string{result}
		if q.once {
			r.Header["Accept"] = []string{"*/*"} // shorter, and no server asks for more
		} else {
			// Present but empty: not sent, and it tells net/http that this POST changes nothing on the server, so that
			// a connection which the server closed while idle is replaced without us.
			r.Header["Idempotency-Key"] = []string{}
		}
		r.ContentLength = int64(len(q.body))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(q.body)), nil }
		r.Body = io.NopCloser(bytes.NewReader(q.body))
	}
	if user != "" || password != "" {
		r.SetBasicAuth(user, password)
	}
	return r.WithContext(ctx)
}

func (c *Client) checkType(answer *http.Response, q call, base *url.URL) (*http.Response, error) {
	_, want := q.types()
	got, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if got == want {
		return answer, nil
	}
	defer answer.Body.Close()
	if first, _ := bufio.NewReader(io.LimitReader(answer.Body, 64)).ReadString('\t'); validID(strings.TrimSuffix(first, "\t")) {
		return nil, fmt.Errorf("%s: %w", base, ErrDumb)
	}
	return nil, fmt.Errorf("%w: %s answered with %q, not with git data: is the address right?", ErrNotV2, base, words(got, *c.shown))
}

// otherSchemes are the ways to log in that a server offers, when none of them is the one that we have.
func otherSchemes(h http.Header) string {
	var schemes []string
	for _, challenge := range h.Values("WWW-Authenticate") {
		for part := range strings.SplitSeq(challenge, ",") { // of the rest of one challenge, or a further one
			scheme, _, _ := strings.Cut(strings.TrimSpace(part), " ")
			switch {
			case strings.EqualFold(scheme, "Basic"):
				return ""
			case scheme != "" && !strings.ContainsAny(scheme, "=\"") && !slices.Contains(schemes, scheme):
				schemes = append(schemes, scheme)
			}
		}
	}
	return strings.Join(schemes, ", ")
}

func (c *Client) statusError(answer *http.Response, base *url.URL) *StatusError {
	e := &StatusError{Code: answer.StatusCode, RetryAfter: retryAfter(answer.Header, time.Now()), URL: base.String()}
	if l := answer.Header.Get("Location"); l != "" && !c.shown.In(l) {
		e.Location = Redact(l)
	}
	if t, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")); t == "text/plain" {
		text := make([]byte, 300)
		n, _ := io.ReadFull(answer.Body, text)
		line, _, _ := strings.Cut(string(text[:n]), "\n")
		e.Text = words(line, *c.shown)
	}
	if e.Code == http.StatusUnauthorized {
		e.Schemes = words(otherSchemes(answer.Header), *c.shown)
	}
	return e
}

// redirected returns the repository's new base. Credentials go to the host that the person named and nowhere else, and
// never from https to http.
func (c *Client) redirected(base *url.URL, q call, location string) (*url.URL, error) {
	u, err := url.Parse(location)
	if err != nil || location == "" {
		return nil, errors.New("redirect without a usable address")
	}
	asked := *base
	asked.Path += q.suffix
	u = asked.ResolveReference(u)
	path, ok := strings.CutSuffix(u.Path, q.suffix)
	switch {
	case c.shown.Holds(u.String()):
		return nil, errors.New("redirect to an address that repeats the credentials refused")
	case !ok:
		return nil, errors.New("the redirect does not lead to a git repository: set url to where it is now")
	case u.Scheme != "https" && u.Scheme != base.Scheme:
		return nil, errors.New("redirect to a less safe protocol refused")
	case u.Host != base.Host && c.auth != nil:
		return nil, errors.New("redirect to another host refused, it would get the credentials: set url to where it is now")
	}
	u.User, u.RawQuery, u.Fragment, u.RawFragment = nil, "", "", ""
	u.Path = path
	u.RawPath = strings.TrimSuffix(u.RawPath, q.suffix)
	return u, nil
}
