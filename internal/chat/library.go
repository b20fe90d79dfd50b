package chat

import (
	"errors"
	"net/url"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

// The shoutrrr library is asked what an address means: it knows all those forms, and people find them in its documents.
// It is not asked to send. Its services send without a context and mostly through http.DefaultClient, so that a server
// that does not answer holds a goroutine for ever; they follow redirects with the token, sleep for minutes by
// themselves (Discord), make transports without the proxy and certificates of the config (Mattermost, ntfy, Gotify),
// turn status and Retry-After into words, and quote the address in errors. And their senders link text/template. What a
// service wants to hear is a handful of lines each, and all of them go through post.go.

// library is a service of the library, as far as it is used.
type library interface {
	Initialize(address *url.URL, logger types.StdLogger) error
}

var errForm = errors.New("not of the form")

// into lets the library read the address; what it found is then in the service's Config. Its errors quote parts of the
// address and go no further.
func (a address) into(s library) (err error) {
	// Addresses come from people. A library that trips over an odd one must not take the agent with it.
	defer func() {
		if recover() != nil {
			err = errForm
		}
	}()
	u := *a.url // some services change what they are given
	if u.User.Username() == "dummy" && u.Host == "dummy.com" {
		return errForm // the library lets it pass, as an example for its documents
	}
	if _, _, custom := strings.Cut(u.Scheme, "+"); custom {
		c, ok := s.(interface {
			GetConfigURLFromCustom(custom *url.URL) (*url.URL, error)
		})
		if !ok {
			return errForm
		}
		plain, err := c.GetConfigURLFromCustom(&u)
		if err != nil || plain == nil {
			return errForm
		}
		u = *plain
	}
	if s.Initialize(&u, nil) != nil {
		return errForm
	}
	return nil
}

// shade is a colour for services that take any.
func shade(colour string) string {
	switch colour {
	case "yellow":
		return "#e8b000"
	case "green":
		return "#2e9e4f"
	case "red":
		return "#d02020"
	case "purple":
		return "#7b3fb5"
	}
	return "#8a8a8a"
}

// fill adds what is not empty.
func fill(body map[string]any, key, value string) {
	if value != "" {
		body[key] = value
	}
}
