package protocol

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
)

// VersionEnv is what asks a server for protocol v2: over SSH it is an environment variable, over git:// a parameter.
const VersionEnv, Version2 = "GIT_PROTOCOL", "version=2"

// Stream is a conversation with one git-upload-pack (or, for Push, git-receive-pack) over a stream of bytes: a
// channel of SSH, a git:// connection. The server speaks first and says in which version. It answers one question and
// is then given up: a process that goes on living answers from the loose refs as it saw them first, so a kept one
// would never tell of a push.
type Stream struct {
	stream io.ReadWriter
	bound  *capped // around stream: how much may come
	in     *lineReader
	agent  string
	ahead  bool    // the question is already sent
	advert *Advert // nil: it speaks v2
	filter bool    // v2: it takes FetchRequest.Filter
}

// NewStream begins a conversation. It sends and reads nothing.
func NewStream(s io.ReadWriter, agent string) *Stream {
	if agent == "" {
		agent = "addagent"
	}
	bound := &capped{r: s, left: maxAdvert}
	return &Stream{stream: s, bound: bound, in: newLineReader(bound), agent: agent}
}

// AskAhead sends the question of LsRefs before the server has greeted, which saves a round trip. It is for servers
// that are known to speak v2: one of v0 ends the conversation at it.
func (s *Stream) AskAhead(o LsOptions) error {
	s.ahead = true
	_, err := s.stream.Write(lsRequest(s.agent, o))
	return err
}

// Greeting reads what the server says before it is asked, and tells whether that is v2. Of a v0 or v1 server it is the
// list of its refs, which streams by; those that o asks for are kept.
func (s *Stream) Greeting(o LsOptions) (v2 bool, err error) {
	line, kind, v2, err := hello(s.in)
	switch {
	case err != nil:
	case v2:
		s.filter, err = readGreeting(s.in)
	default:
		s.advert, err = readAdvert(s.in, o, line, kind)
	}
	return v2, err
}

// readGreeting reads what a v2 server says of itself, after the line with the version.
func readGreeting(in *lineReader) (filter bool, err error) {
	for lines := 0; ; lines++ {
		line, kind, err := in.message("greeting")
		switch {
		case err != nil:
			return false, err
		case kind == lineFlush:
			return filter, nil
		case kind != lineData || lines > 100:
			return false, badLine("greeting", line)
		}
		if features, ok := bytes.CutPrefix(line, []byte("fetch=")); ok {
			filter = slices.Contains(strings.Fields(string(features)), "filter")
		}
		if format, ok := bytes.CutPrefix(line, []byte("object-format=")); ok && string(format) != "sha1" {
			return false, &RemoteError{Text: "the repository's objects are named by " + shorten(string(format)) + ", not by sha1"}
		}
	}
}

// CanFilter asks a v2 server over HTTP what it says of itself, which is a few hundred bytes whatever it holds, for
// whether it takes FetchRequest.Filter. ErrNotV2: it greets in another version.
func (c *Client) CanFilter(ctx context.Context) (bool, error) {
	answer, err := c.send(ctx, call{method: http.MethodGet, suffix: "/info/refs", query: "service=" + UploadPack, v2: true})
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	in := newLineReader(&capped{r: answer.Body, left: 64 << 10})
	if _, _, v2, err := hello(in); err != nil || !v2 {
		return false, ErrNotV2
	}
	filter, err := readGreeting(in)
	if err == nil {
		_, _ = io.CopyN(io.Discard, answer.Body, 4096)
	}
	return filter, err
}

// CanFilter says whether the server takes FetchRequest.Filter. It is known when the greeting has been read.
func (s *Stream) CanFilter() bool { return s.filter || s.advert != nil && s.advert.can("filter") }

// Advert is what a v0 or v1 server told; nil for v2.
func (s *Stream) Advert() *Advert { return s.advert }

// LsRefs asks a v2 server for refs, as Client.LsRefs does. After AskAhead it reads the answer to that.
func (s *Stream) LsRefs(o LsOptions) ([]Ref, error) {
	if !s.ahead {
		if _, err := s.stream.Write(lsRequest(s.agent, o)); err != nil {
			return nil, err
		}
	}
	s.ahead = false
	s.bound.left = maxRefs
	refs, err := readRefs(s.in, o.Max)
	return refs, s.proven(err)
}

// Fetch asks for a pack, in whichever version the server speaks. The caller reads it to io.EOF; closing it does
// nothing until OnClose says what.
func (s *Stream) Fetch(f FetchRequest) (*Pack, error) {
	request := fetchRequest(s.agent, f)
	if s.advert != nil {
		request = s.advert.request(f, s.agent)
	}
	if _, err := s.stream.Write(request); err != nil {
		return nil, err
	}
	s.bound.r, s.bound.left = f.limit(s.stream), math.MaxInt64 // a pack has the bounds that the request names
	if s.advert != nil {
		return s.advert.readPack(s.in, f)
	}
	p, err := readFetch(s.in)
	if err != nil {
		return nil, s.proven(err)
	}
	p.close = func() error { return nil }
	return p, nil
}

// proven replaces the guess that a short answer comes from an old server: this one has greeted in v2.
func (s *Stream) proven(err error) error {
	if errors.Is(err, ErrNotV2) && !errors.Is(err, errBadLine) {
		return fmt.Errorf("the server ended without an answer: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// HangUp tells a v0 server that nothing is wanted of it: else it logs a failure. One of v2 needs no goodbye.
func (s *Stream) HangUp() {
	if s.advert != nil && !s.ahead {
		_, _ = io.WriteString(s.stream, flushPkt)
	}
}
