// Package chattest is the contract of chat.Room as a test suite, which each kind of room runs against a server of its
// own.
package chattest

import (
	"bytes"
	"context"
	"errors"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/addagent/addagent/internal/chat"
)

// Place is one room of a kind, and a service that answers as the real one does.
type Place struct {
	// Address is the room's address on a server, "127.0.0.1:4711"; a kind with a fixed server ignores it. Requests to
	// any host reach the service of the test, in plain HTTP, with the host they were meant for in r.Host.
	Address func(server string) string
	// Wrong are addresses of what the service refuses for good: a wrong token, an unknown room.
	Wrong map[string]func(server string) string
	// Secrets are the parts of Address that no error may show.
	Secrets []string
	// Serve answers requests; what it takes it hands to heard. What a real service would refuse it refuses.
	Serve func(w http.ResponseWriter, r *http.Request, heard func(Heard))
	// Reads tells that the kind reads answers of 200, because the service refuses by words: an empty one is no success.
	Reads bool
	// Limit is how many characters of a text arrive.
	Limit int
	// Colour is what arrives for a colour; nil when the service has none.
	Colour func(string) string
	// Critical tells that the service knows what is critical.
	Critical bool
}

// Heard is what arrived.
type Heard struct {
	Text, Colour string
	Critical     bool
}

// stage is the server of one sub-test: the place's service, or a fault before it.
type stage struct {
	t      *testing.T
	place  Place
	server *httptest.Server
	fault  http.HandlerFunc // nil is none

	mu       sync.Mutex
	heard    []Heard
	requests int
	logged   bytes.Buffer
}

func newStage(t *testing.T, p Place, fault http.HandlerFunc) *stage {
	s := &stage{t: t, place: p, fault: fault}
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests++
		s.mu.Unlock()
		if s.fault != nil {
			s.fault(w, r)
			return
		}
		s.serve(w, r)
	}))
	t.Cleanup(s.server.Close)
	before := log.Writer()
	log.SetOutput(&s.logged)
	t.Cleanup(func() { log.SetOutput(before) })
	return s
}

func (s *stage) serve(w http.ResponseWriter, r *http.Request) {
	s.place.Serve(w, r, func(h Heard) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.heard = append(s.heard, h)
	})
}

func (s *stage) host() string { return strings.TrimPrefix(s.server.URL, "http://") }

// room opens a room on the stage. Requests for another host of the loopback go there, all others come here.
func (s *stage) room(address string) chat.Room {
	s.t.Helper()
	r, err := chat.Open(address, chat.Options{UserAgent: "addagent/test", Transport: s.transport()})
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *stage) open() chat.Room {
	s.t.Helper()
	return s.room(s.place.Address(s.host()))
}

func (s *stage) transport() http.RoundTripper {
	t := &http.Transport{}
	s.t.Cleanup(t.CloseIdleConnections)
	return through(func(r *http.Request) (*http.Response, error) {
		if h := r.URL.Hostname(); h == "127.0.0.1" && r.URL.Scheme == "http" {
			return t.RoundTrip(r)
		}
		here := r.Clone(r.Context())
		here.Host = r.URL.Host
		here.URL.Scheme, here.URL.Host = "http", s.host()
		return t.RoundTrip(here)
	})
}

type through func(*http.Request) (*http.Response, error)

func (f through) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (s *stage) said() []Heard {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Heard(nil), s.heard...)
}

func (s *stage) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// class checks of which class an error is, and that it shows no secret.
func (s *stage) class(err error, permanent bool) *chat.Trouble {
	s.t.Helper()
	var trouble *chat.Trouble
	if !errors.As(err, &trouble) {
		s.t.Fatalf("the error is no Trouble: %v", err)
	}
	if trouble.Permanent != permanent || chat.Permanent(err) != permanent {
		s.t.Errorf("permanent is %v, want %v: %v", trouble.Permanent, permanent, err)
	}
	s.keeps(err)
	return trouble
}

// keeps checks that no secret is in an error, or in any that it wraps, or in the log.
func (s *stage) keeps(err error) {
	s.t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		for _, secret := range s.place.Secrets {
			for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret), secret[:len(secret)/2], secret[len(secret)/2:]} {
				if strings.Contains(strings.ToLower(e.Error()), strings.ToLower(form)) {
					s.t.Errorf("the error tells the token %q: %v", form, e)
				}
			}
			for _, coded := range encodings(secret) {
				if strings.Contains(e.Error(), coded) {
					s.t.Errorf("the error tells the token as %q: %v", coded, e)
				}
			}
		}
	}
	for _, secret := range s.place.Secrets {
		if strings.Contains(s.logged.String(), secret) {
			s.t.Errorf("the log tells the token: %s", s.logged.String())
		}
	}
}

// Run checks a kind against the contract. Each sub-test has a server of its own.
func Run(t *testing.T, p Place) {
	t.Helper()
	t.Run("messages", func(t *testing.T) { messages(t, p) })
	t.Run("answers", func(t *testing.T) { answers(t, p) })
	t.Run("limits", func(t *testing.T) { limits(t, p) })
	t.Run("faults", func(t *testing.T) { faults(t, p) })
	for name, address := range p.Wrong {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, p, nil)
			s.class(s.room(address(s.host())).Say(t.Context(), chat.Message{Text: "hello"}), true)
			if got := s.said(); len(got) != 0 {
				t.Errorf("it was taken: %+v", got)
			}
		})
	}
	t.Run("the address is understood and shown without its secrets", func(t *testing.T) {
		address := p.Address("127.0.0.1:4711")
		if err := chat.Check(address); err != nil {
			t.Error(err)
		}
		shown := chat.Redact(address)
		for _, secret := range p.Secrets {
			if strings.Contains(strings.ToLower(shown), strings.ToLower(secret)) {
				t.Errorf("it is shown as %s", shown)
			}
			// With the host gone, or a letter too many in the kind, it is not understood; the error does not say it
			// either.
			for _, broken := range []string{strings.Replace(address, "://", "x://", 1), strings.Replace(address, "127.0.0.1:4711", "", 1), address + "\x01", "x" + address[:4] + "://" + secret} {
				if err := chat.Check(broken); err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("%q: %v", broken, err)
				}
				if strings.Contains(chat.Redact(broken), secret) {
					t.Errorf("%q is shown as %q", broken, chat.Redact(broken))
				}
			}
		}
	})
}

// messages checks what arrives.
func messages(t *testing.T, p Place) {
	s := newStage(t, p, nil)
	r := s.open()
	arrives := func(m chat.Message) Heard {
		t.Helper()
		before := len(s.said())
		if err := r.Say(t.Context(), m); err != nil {
			t.Fatalf("say %.40q: %v", m.Text, err)
		}
		got := s.said()
		if len(got) != before+1 {
			t.Fatalf("%.40q was heard %d times", m.Text, len(got)-before)
		}
		return got[before]
	}
	for _, text := range []string{
		"i-1:fed1/app1: Launched!", "größe \u2028 日本語 🚀 e\u0301", "two\nlines and a\ttab", `quotes " ' \ and <b>tags</b> & {{braces}} %s %20 *stars* _x_`,
		"@all #room http://example.org/?a=b&c=d", strings.Repeat("z", 300),
	} {
		if h := arrives(chat.Message{Text: text, Colour: "green"}); strings.ReplaceAll(h.Text, "\u200b", "") != text {
			t.Errorf("%q arrived as %q", text, h.Text)
		}
	}
	long := strings.Repeat("äöü🚀", 5000)
	if h := arrives(chat.Message{Text: long}); h.Text != string([]rune(long)[:p.Limit]) {
		t.Errorf("a long text arrived with %d characters, want the first %d", len([]rune(h.Text)), p.Limit)
	}
	if h := arrives(chat.Message{Text: "cut \xff\xfe here"}); !strings.HasPrefix(h.Text, "cut ") || !strings.HasSuffix(h.Text, " here") {
		t.Errorf("bytes that are no text arrived as %q", h.Text)
	}
	for _, text := range []string{"", " \n\t "} {
		before := s.count()
		if err := r.Say(t.Context(), chat.Message{Text: text}); !errors.Is(err, chat.ErrEmpty) || s.count() != before {
			t.Errorf("empty: %v, %d requests", err, s.count()-before)
		}
	}
	for _, colour := range []string{"yellow", "green", "red", "gray", "purple", "", "mauve"} {
		for _, critical := range []bool{false, true} {
			h := arrives(chat.Message{Text: "colours", Colour: colour, Critical: critical})
			if p.Colour != nil && h.Colour != p.Colour(colour) {
				t.Errorf("the colour %q arrived as %q, want %q", colour, h.Colour, p.Colour(colour))
			}
			if p.Critical && h.Critical != critical {
				t.Errorf("critical %v arrived as %v", critical, h.Critical)
			}
		}
	}
	var all sync.WaitGroup
	before := len(s.said())
	for range 8 {
		all.Go(func() {
			if err := r.Say(context.WithoutCancel(t.Context()), chat.Message{Text: "together"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := len(s.said()) - before; n != 8 {
		t.Errorf("of 8 at once %d arrived", n)
	}
}
