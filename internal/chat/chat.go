// Package chat says one line in a room: HipChat, and what else people read today.
//
// A room is named by one address, which is a secret as a whole, because most of them hold a token. Open makes a Room of
// it. A Room says one line and is done, or tells what the Trouble is; all that makes it fit for an agent that must not
// wait (a spool on disk, retries, a limit of the rate) is the Outbox, which wraps a Room and is one itself.
package chat

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Message is one line, or a few, for people.
type Message struct {
	// Text is UTF-8; it may have several lines. A service with a limit gets the beginning.
	Text string `json:"text"`
	// Colour is "yellow" (started), "green" (success), "red" (trouble), "gray" or "purple"; anything else is gray.
	Colour string `json:"colour,omitempty"`
	// Critical asks for the attention of people: HipChat notifies, others raise the priority.
	Critical bool `json:"critical,omitempty"`
	// Time is when it became true; an Outbox fills it in, and says it when the message comes late. A Room ignores it.
	Time time.Time `json:"time"`
}

// Room is where people read. Say returns nil when the service took the message, else a *Trouble; ErrEmpty for a text of
// nothing but space. It returns promptly when ctx ends, starts nothing that outlives it and may be called by several
// goroutines.
type Room interface {
	Say(ctx context.Context, m Message) error
}

// Critical is a room that hears only what is critical. The rest is taken and dropped.
type Critical struct{ Room }

// Say passes on what is critical.
func (c Critical) Say(ctx context.Context, m Message) error {
	if !m.Critical {
		return nil
	}
	return c.Room.Say(ctx, m)
}

// ErrEmpty is a message without a text: no service takes it.
var ErrEmpty = errors.New("a chat message without a text")

// Options are what a room needs beside its address.
type Options struct {
	// UserAgent is what servers see; "" is "addagent".
	UserAgent string
	// Transport makes the requests: proxy, certificates and limits of connections are its business. nil is a plain one
	// that heeds the usual environment. Mail is no HTTP and does not go through it, but takes the certificates of an
	// *http.Transport.
	Transport http.RoundTripper
}

// Open understands an address and returns its room. It reads and writes nothing. The error never quotes the address.
func Open(rawURL string, o Options) (Room, error) {
	a, k, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	if o.UserAgent == "" {
		o.UserAgent = "addagent"
	}
	if o.Transport == nil {
		o.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConns: 2, IdleConnTimeout: 30 * time.Second}
	}
	r, err := k.open(a)
	if err != nil {
		return nil, fmt.Errorf("chat %s: %w", a.kind, notUnderstood(k))
	}
	return r.through(o), nil
}

// Check tells whether an address is understood, without opening anything. The error never quotes the address.
func Check(rawURL string) error {
	_, err := Open(rawURL, Options{})
	return err
}

// Redact is what may be shown of an address: its kind and, when it is understood and has a server of its own, that.
func Redact(rawURL string) string {
	a, k, err := parse(rawURL)
	if err != nil {
		return "(a chat address)"
	}
	r, err := k.open(a)
	if err != nil {
		return a.kind + "://"
	}
	return a.kind + "://" + r.shown()
}

// Kinds are the services that are understood, in order: what stands before "://".
func Kinds() []string {
	var names []string
	for name := range kinds() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// kind is one service.
type kind struct {
	form string // how its address looks, for the error of one that is not understood
	open func(address) (place, error)
}

// place is a room before it knows how requests are made.
type place interface {
	through(Options) Room
	shown() string // the server, "" when the service has only one or the server's name is part of the secret
}

// address is an address that url.Parse knows and whose kind exists.
type address struct {
	kind string
	url  *url.URL
}

func notUnderstood(k kind) error {
	return fmt.Errorf("the address is not understood, its form is %s", k.form)
}

func parse(rawURL string) (address, kind, error) {
	u, err := url.Parse(strings.TrimSpace(rawURL))
	if err != nil || u.Scheme == "" {
		// url.Parse quotes what it was given, so its error goes no further.
		return address{}, kind{}, errors.New("chat: the address does not begin with KIND://")
	}
	name, _, _ := strings.Cut(u.Scheme, "+")
	k, ok := kinds()[name]
	if !ok {
		return address{}, kind{}, fmt.Errorf("chat: unknown kind of address, the kinds are %s", strings.Join(Kinds(), " "))
	}
	return address{name, u}, k, nil
}
