// Package chat posts messages to chat rooms: HipChat and today's services.
//
// A room has an address, which as a whole is a secret, because most contain a token. Open makes a Room of it. A Room
// posts one message, or returns a *Trouble. An Outbox wraps a Room, and is one, for an agent that must not wait: it
// adds a spool on disk, retries and a rate limit. kinds.go lists the services. The texts are package sink's.
package chat

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Message is one line, or a few, for people.
type Message struct {
	// Text is UTF-8, of one line or several. A service with a limit gets the beginning.
	Text string `json:"text"`
	// Colour is "yellow" (started), "green" (success), "red" (trouble), "purple", or else gray.
	Colour string `json:"colour,omitempty"`
	// Critical messages ask for attention: HipChat notifies, others raise the priority.
	Critical bool `json:"critical,omitempty"`
	// Time is when it became true. An Outbox fills it in, and puts it before a late message. A Room ignores it.
	Time time.Time `json:"time"`
}

// Room is where people read. Say returns nil when the service took the message, ErrEmpty for a blank text, else a
// *Trouble. It returns promptly when ctx ends, starts nothing that outlives it, and may be called concurrently.
type Room interface {
	Say(ctx context.Context, m Message) error
}

// ErrEmpty is the error for a message without text, which no service takes.
var ErrEmpty = errors.New("a chat message without a text")

// Options are what a room needs besides its address.
type Options struct {
	// UserAgent is sent to servers; "" = "addagent".
	UserAgent string
	// Transport makes the requests: proxy, certificates and limits of connections are set there. nil = a plain one
	// that follows the usual environment variables. Mail uses only the certificates of an *http.Transport.
	Transport http.RoundTripper
}

// Open parses an address and returns its room. It reads and writes nothing. The error never quotes the address.
func Open(rawURL string, o Options) (Room, error) {
	name, w, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	if o.Transport == nil {
		o.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConns: 2, IdleConnTimeout: 30 * time.Second}
	}
	client := &http.Client{
		Transport: o.Transport,
		// A token, which may be in the path or the body, goes only to the host that a person named.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	w.caller = caller{strings.TrimSpace(name + " " + w.server), w.secrets, client, cmp.Or(o.UserAgent, "addagent")}
	return w, nil
}

// Check tells whether an address can be parsed. The error never quotes the address.
func Check(rawURL string) error {
	_, _, err := parse(rawURL)
	return err
}

// Redact is what may be shown of an address: its kind, and its server if that is known.
func Redact(rawURL string) string {
	name, w, err := parse(rawURL)
	switch {
	case name == "":
		return "(a chat address)"
	case err != nil:
		return name + "://"
	}
	return name + "://" + w.server
}

// Kinds are the services, sorted: what stands before "://".
func Kinds() []string { return slices.Sorted(maps.Keys(kinds())) }

// kind is one service.
type kind struct {
	form string              // of its addresses, for errors and the documentation
	open func(*url.URL) *web // nil for an address that is not of this form
}

// parse returns the kind of an address, "" when it is unknown, and its room.
func parse(rawURL string) (name string, w *web, err error) {
	u, err := url.Parse(strings.TrimSpace(rawURL))
	if err != nil || u.Scheme == "" {
		return "", nil, errors.New("chat: the address does not begin with KIND://") // its own text quotes the address
	}
	name, _, _ = strings.Cut(u.Scheme, "+")
	k, ok := kinds()[name]
	if !ok {
		return "", nil, fmt.Errorf("chat: unknown kind of address: use one of %s", strings.Join(Kinds(), " "))
	}
	if w = k.open(u); w == nil {
		return name, nil, fmt.Errorf("chat %s: the address cannot be parsed: its form is %s", name, k.form)
	}
	return name, w, nil
}
