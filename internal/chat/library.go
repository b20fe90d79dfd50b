package chat

import (
	"cmp"
	"net/url"
	"reflect"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

// The shoutrrr library parses addresses: it knows all their forms, and documents them. It does not send. Its services
// send without a context and mostly through http.DefaultClient, so a server that does not answer blocks a goroutine
// forever. They follow redirects with the token, sleep for minutes (Discord), use transports without the proxy and the
// certificates of the config (Mattermost, ntfy, Gotify), reduce status and Retry-After to words, and quote the address
// in errors. Their senders also link text/template. The message of each service takes a few lines here; post.go sends
// it.

// library is what we use of the library's services.
type library interface {
	Initialize(address *url.URL, logger types.StdLogger) error
}

// read has the library parse the address for a service, whose open makes a room of the result; nil when either cannot.
func read[T any, S interface {
	*T
	library
}](open func(S) *web) func(*url.URL) *web {
	return readURL(func(_ *url.URL, s S) *web { return open(s) })
}

// readURL is read for services that need the address itself, too.
func readURL[T any, S interface {
	*T
	library
}](open func(*url.URL, S) *web) func(*url.URL) *web {
	return func(u *url.URL) *web {
		s := S(new(T))
		if !readInto(s, u) {
			return nil
		}
		return open(u, s)
	}
}

// readInto lets the library parse the address into the service's Config. Its errors quote parts of the address, so they
// are dropped.
func readInto(s library, address *url.URL) (ok bool) {
	defer func() {
		if recover() != nil { // an odd address must not end the agent
			ok = false
		}
	}()
	u := *address // some services change it
	if u.User.Username() == "dummy" && u.Host == "dummy.com" {
		return false // the library accepts this one, for its documentation
	}
	if strings.Contains(u.Scheme, "+") {
		c, ok := s.(interface {
			GetConfigURLFromCustom(custom *url.URL) (*url.URL, error)
		})
		if !ok {
			return false
		}
		plain, err := c.GetConfigURLFromCustom(&u)
		if err != nil || plain == nil {
			return false
		}
		u = *plain
	}
	return s.Initialize(&u, nil) == nil
}

// shade is a colour as #RRGGBB.
func shade(colour string) string {
	shades := map[string]string{"yellow": "#e8b000", "green": "#2e9e4f", "red": "#d02020", "purple": "#7b3fb5"}
	return cmp.Or(shades[colour], "#8a8a8a")
}

// fill adds pairs of a key and a value, but for empty values.
func fill(body map[string]any, pairs ...any) {
	for i := 0; i+1 < len(pairs); i += 2 {
		v := reflect.ValueOf(pairs[i+1])
		if list := v.Kind() == reflect.Slice || v.Kind() == reflect.Map; !v.IsZero() && !(list && v.Len() == 0) {
			body[pairs[i].(string)] = pairs[i+1]
		}
	}
}
