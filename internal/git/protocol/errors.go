package protocol

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/retry"
)

// ErrNotV2 means that the server answered, but not in protocol v2: it is too old, or something on the way dropped the
// Git-Protocol header. Ask it with protocol v0.
var ErrNotV2 = errors.New("server does not speak git protocol v2")

// ErrDumb means that a server offers the files of a repository, and no git that answers questions about them.
var ErrDumb = errors.New("a server of files, which speaks only git's dumb protocol")

// ErrTooLarge means that an answer is longer than the caller allows.
var ErrTooLarge = errors.New("answer is larger than allowed")

// RemoteError is what the server itself says is wrong.
type RemoteError struct{ Text string }

func (e *RemoteError) Error() string { return "server says: " + e.Text }

// StatusError is an HTTP answer other than 200.
type StatusError struct {
	Code       int
	RetryAfter time.Duration // what the server asks for; zero when it does not say
	URL        string        // without user, password and query
	Location   string        // where a refused redirect leads to, redacted
	Text       string        // the first line of a plain text answer
	Schemes    string        // of 401: the ways to log in that it offers, when Basic is none of them
}

func (e *StatusError) Error() string {
	s := fmt.Sprintf("%s answered %d %s", e.URL, e.Code, http.StatusText(e.Code))
	if e.Location != "" {
		s += " to " + e.Location
	}
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

// Redact returns a URL (or an scp-style address, or a path) in a form that may be shown: a password, a user part that
// may be a token, the query and the fragment are cut.
func Redact(raw string) string {
	if i := strings.Index(raw, "://"); i < 0 {
		return raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		// It cannot be read as a URL, so where a secret in it would end is unknown.
		scheme, rest, _ := strings.Cut(raw, "://")
		if i := strings.LastIndexByte(rest, '@'); i >= 0 {
			rest = rest[i+1:]
		}
		if i := strings.IndexAny(rest, "?#"); i >= 0 {
			rest = rest[:i]
		}
		return scheme + "://" + rest
	}
	user := u.User
	u.User, u.RawQuery, u.Fragment, u.RawFragment = nil, "", "", ""
	if user != nil && u.Scheme == "ssh" {
		// The user of an ssh address is no secret, and "git@" belongs to the address.
		u.User = url.User(user.Username())
	}
	return u.String()
}

// errNotHTTP stands for what net/http says by quoting the server, which may babble anew at each look: a trouble that
// stays must keep its words.
var errNotHTTP = errors.New("what answers there does not speak HTTP")

// bare strips what net/http wraps around an error: the URL in it may hold a token.
func bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if strings.Contains(err.Error(), "malformed HTTP ") {
		return errNotHTTP
	}
	return err
}

// retryAfter reads the Retry-After header and GitHub's X-RateLimit-Reset. An hour is the most that a server may ask
// for.
func retryAfter(h http.Header, now time.Time) time.Duration {
	wait := retry.After(h.Get("Retry-After"), now)
	if wait == 0 && h.Get("X-RateLimit-Remaining") == "0" {
		wait = retry.Reset(h.Get("X-RateLimit-Reset"), now)
	}
	return min(wait, time.Hour)
}
