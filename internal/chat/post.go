package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
)

// web is a room behind HTTP: one or more requests say a message. All kinds but mail are one.
type web struct {
	name    string  // the kind
	server  string  // shown to people, "" when there is only one
	secrets secrets // never shown
	limit   int     // characters of a text that the service takes
	bytes   int     // and bytes, where it counts those too
	// say makes the requests, with call.
	say func(ctx context.Context, c caller, m Message) error
}

// request is what is sent; a body is JSON unless the header says otherwise.
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

func (w *web) shown() string { return w.server }

func (w *web) through(o Options) Room {
	client := &http.Client{
		Transport: o.Transport,
		// A token goes to the host that a person named and nowhere else, and some of them stand in the path or the body.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &webRoom{w, caller{strings.TrimSpace(w.name + " " + w.server), w.secrets, client, o.UserAgent}}
}

type webRoom struct {
	*web
	caller caller
}

func (r *webRoom) Say(ctx context.Context, m Message) error {
	if empty(m) {
		return fmt.Errorf("%s: %w", r.caller.room, ErrEmpty)
	}
	m.Text = human.Prefix(strings.ToValidUTF8(m.Text, "\uFFFD"), r.limit)
	if r.bytes > 0 && len(m.Text) > r.bytes {
		m.Text = strings.ToValidUTF8(m.Text[:r.bytes], "") // half a character at the end
	}
	return r.say(ctx, r.caller, m)
}

const (
	// mostAnswer is what is read of an answer: more than any service says, little enough to be held.
	mostAnswer = 64 << 10
	// mostSaid is what is shown of it, in characters.
	mostSaid = 200
)

// call makes a request; its error is nil for an answer of 2xx, whose body (the beginning of it) is returned.
func (c caller) call(ctx context.Context, q request) ([]byte, error) {
	if q.method == "" {
		q.method = http.MethodPost
	}
	// An error here would quote the address.
	req, err := http.NewRequestWithContext(ctx, q.method, q.url, bytes.NewReader(q.body))
	if err != nil {
		return nil, &Trouble{Room: c.room, Permanent: true, Err: errors.New("no request can be made of the address")}
	}
	for name, values := range q.header {
		req.Header[name] = values
	}
	if req.Header.Get("Content-Type") == "" && q.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", c.agent)
	answer, err := c.client.Do(req)
	if err != nil {
		return nil, cut(ctx, c.room, err, c.secrets)
	}
	defer answer.Body.Close()
	// That the rest was cut changes nothing: what the status says is done, saying it again would say it twice.
	body, _ := io.ReadAll(io.LimitReader(answer.Body, mostAnswer))
	if err := refusal(c.room, answer, c.words(answer, body), again(body), time.Now()); err != nil {
		return nil, err
	}
	return body, nil
}

// words are what a server says about its refusal: the usual fields of a JSON answer, or a text. A page is for browsers.
func (c caller) words(answer *http.Response, body []byte) string {
	text := string(body)
	if kind := answer.Header.Get("Content-Type"); strings.Contains(kind, "html") || strings.HasPrefix(strings.TrimSpace(text), "<") {
		return ""
	}
	return human.Prefix(c.secrets.said(human.Line(text)), mostSaid)
}

// read fills what a 200 says into v. An answer that is cut or garbage is a trouble worth another try.
func (c caller) read(body []byte, v any) error {
	if err := json.Unmarshal(body, v); err != nil {
		return &Trouble{Room: c.room, Status: http.StatusOK, Err: errors.New("the answer is not the JSON of this service")}
	}
	return nil
}

// refused is the refusal of a service that answers 200 and says in its words that it did not take the message.
func (c caller) refused(said string, permanent bool) error {
	return &Trouble{Room: c.room, Status: http.StatusOK, Permanent: permanent, Err: fmt.Errorf("refused: %s", human.Prefix(c.secrets.said(human.Line(said)), mostSaid))}
}

// once is the say of a service that takes a message in one request.
func once(build func(Message) request) func(context.Context, caller, Message) error {
	return func(ctx context.Context, c caller, m Message) error {
		_, err := c.call(ctx, build(m))
		return err
	}
}

// jsonTo is a request with a JSON body. The values are maps, slices, strings and numbers, which JSON always takes.
func jsonTo(address string, body any) request {
	data, err := json.Marshal(body)
	if err != nil {
		data = nil
	}
	return request{url: address, body: data}
}

// formTo is a request with a body as a browser's form sends it.
func formTo(address string, form url.Values) request {
	return request{url: address, body: []byte(form.Encode()),
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}
}

// with adds a header.
func (q request) with(name, value string) request {
	if q.header == nil {
		q.header = http.Header{}
	}
	q.header.Set(name, value)
	return q
}
