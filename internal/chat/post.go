package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/secret"
)

// web is a room: where it is, and how to send a message there.
type web struct {
	server  string  // shown to people; "" when the service has only one, or its name is part of the secret
	secrets secrets // never shown
	limit   int     // longest text, in characters
	bytes   int     // and in bytes, for services that count them too; 0 = no limit
	mention string  // how a mention of people begins in a text: "@", or "<" and what follows it; "" = none can
	say     func(ctx context.Context, c caller, m Message) error
	caller  caller // set by Open
}

// request is an HTTP request; its body is JSON unless the header says otherwise.
type request struct {
	method string // "" is POST
	url    string
	header http.Header
	body   []byte
}

// caller makes the requests of one room.
type caller struct {
	room    string
	secrets secrets
	client  *http.Client
	agent   string
}

func (w *web) Say(ctx context.Context, m Message) error {
	if empty(m) {
		return fmt.Errorf("%s: %w", w.caller.room, ErrEmpty)
	}
	m.Text = human.Prefix(w.harmless(strings.ToValidUTF8(m.Text, "\uFFFD")), w.limit)
	if w.bytes > 0 && len(m.Text) > w.bytes {
		m.Text = strings.ToValidUTF8(m.Text[:w.bytes], "") // without half a character at the end
	}
	return w.say(ctx, w.caller, m)
}

// atSign is an @ that begins a word, and not that of an address of mail.
var atSign = regexp.MustCompile(`(^|[^\pL\pN])@`)

// harmless is a text that mentions no one: what scripts print must not notify people.
func (w *web) harmless(text string) string {
	switch w.mention {
	case "":
		return text
	case "@":
		return atSign.ReplaceAllString(text, "$1@\u200b") // without width
	}
	return strings.ReplaceAll(text, w.mention, "<\u200b"+w.mention[1:])
}

const (
	// mostAnswer is what is read of an answer: more than any service sends.
	mostAnswer = 64 << 10
	// mostSaid is what is shown of it, in characters.
	mostSaid = 200
)

// call makes a request. For an answer of 2xx it returns the beginning of the body, otherwise a *Trouble.
func (c caller) call(ctx context.Context, q request) ([]byte, error) {
	if q.method == "" {
		q.method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, q.method, q.url, bytes.NewReader(q.body))
	if err != nil {
		// Its own text would quote the address.
		return nil, &Trouble{Room: c.room, Permanent: true, Err: errors.New("the address is not usable as a URL")}
	}
	maps.Copy(req.Header, q.header)
	if req.Header.Get("Content-Type") == "" && q.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", c.agent)
	c.secrets = append(slices.Clip(c.secrets), secret.OfProxy(c.client.Transport, req))
	answer, err := c.client.Do(req)
	if err != nil {
		return nil, cut(ctx, c.room, err, c.secrets)
	}
	defer answer.Body.Close()
	// A truncated body is no failure: the status says that the message was taken, and a retry would post it twice.
	body, _ := io.ReadAll(io.LimitReader(answer.Body, mostAnswer))
	if err := refusal(c.room, answer, c.words(answer, body), again(body), time.Now()); err != nil {
		return nil, err
	}
	return body, nil
}

// words are what a server says about its refusal; "" for an HTML page.
func (c caller) words(answer *http.Response, body []byte) string {
	text := string(body)
	if kind := answer.Header.Get("Content-Type"); strings.Contains(kind, "html") || strings.HasPrefix(strings.TrimSpace(text), "<") {
		return ""
	}
	return human.Prefix(c.secrets.Said(human.Line(text)), mostSaid)
}

// ask makes a request and decodes the answer. One that is truncated or garbage is temporary.
func (c caller) ask(ctx context.Context, q request, into any) error {
	body, err := c.call(ctx, q)
	if err == nil && json.Unmarshal(body, into) != nil {
		err = &Trouble{Room: c.room, Status: http.StatusOK, Err: errors.New("the answer is not the JSON of this service")}
	}
	return err
}

// refused is the Trouble of a service that answers 200, with words that say that it did not take the message.
func (c caller) refused(said string, permanent bool) error {
	return &Trouble{Room: c.room, Status: http.StatusOK, Permanent: permanent, Err: fmt.Errorf("refused: %s", human.Prefix(c.secrets.Said(human.Line(said)), mostSaid))}
}

// once is the say of a service that takes a message in one request.
func once(build func(Message) request) func(context.Context, caller, Message) error {
	return each([]string{""}, func(m Message, _ string) request { return build(m) })
}

// each is the say of a service that takes a message in one request for each target.
func each(targets []string, build func(m Message, target string) request) func(context.Context, caller, Message) error {
	return func(ctx context.Context, c caller, m Message) error {
		for _, target := range targets {
			if _, err := c.call(ctx, build(m, target)); err != nil {
				return err
			}
		}
		return nil
	}
}

// jsonTo is a request with a JSON body, of maps, slices, strings and numbers, which can always be encoded.
func jsonTo(address string, body any) request {
	data, _ := json.Marshal(body)
	return request{url: address, body: data}
}

// formTo is a request with a body like a browser's form.
func formTo(address string, form url.Values) request {
	return request{url: address, body: []byte(form.Encode())}.with("Content-Type", "application/x-www-form-urlencoded")
}

// with adds pairs of the name and the value of a header, but for empty values.
func (q request) with(pairs ...string) request {
	if q.header == nil {
		q.header = http.Header{}
	}
	set(q.header, pairs...)
	return q
}

// set adds pairs of a key and a value, but for empty values.
func set(to interface{ Set(key, value string) }, pairs ...string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			to.Set(pairs[i], pairs[i+1])
		}
	}
}
