package protocol

import (
	"errors"
	"fmt"
	"io"
)

// VersionEnv is what asks a server for protocol v2: over SSH it is an environment variable, over git:// a parameter.
const VersionEnv, Version2 = "GIT_PROTOCOL", "version=2"

// Stream is a conversation with one git-upload-pack (or, for Push, git-receive-pack) over a stream of bytes: a
// channel of SSH, a git:// connection. The server speaks first and says in which version. It answers one question and
// is then given up: a process that goes on living answers from the loose refs as it saw them first, so a kept one
// would never tell of a push.
type Stream struct {
	stream   io.ReadWriter
	bound    *capped // around stream: how much may come
	in       *lineReader
	agent    string
	ahead    bool // the question is already sent
	greeting *Greeting
}

// NewStream begins a conversation. It sends and reads nothing.
func NewStream(s io.ReadWriter, agent string) *Stream {
	bound := &capped{r: s, left: maxGreeting}
	return &Stream{stream: s, bound: bound, in: newLineReader(bound, nil), agent: agent}
}

// AskAhead sends the question of LsRefs before the server has greeted, which saves a round trip. It is for servers
// that are known to speak v2: one of v0 ends the conversation at it.
func (s *Stream) AskAhead(o LsOptions) error {
	s.ahead = true
	_, err := s.stream.Write(lsRequest(s.agent, o))
	return err
}

// Greet reads what the server says before it is asked. Of a v0 or v1 server it is the list of its refs, which streams
// by; those that o asks for are kept.
func (s *Stream) Greet(o LsOptions) (g *Greeting, err error) {
	s.greeting, err = readGreeting(s.in, o)
	return s.greeting, err
}

// LsRefs asks for refs, as Client.LsRefs does. After AskAhead it reads the answer to that. A server of v0 has told them
// in its greeting, as far as that was asked for them.
func (s *Stream) LsRefs(o LsOptions) ([]Ref, error) {
	if !s.greeting.V2 {
		if !s.ahead {
			_, _ = io.WriteString(s.stream, flushPkt) // nothing else is wanted: without it, the server logs a failure
		}
		return s.greeting.Refs, nil
	}
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

// Fetch asks for a pack, in whichever version the server speaks. The caller reads it to io.EOF. Closing it does nothing
// but what AfterClose adds.
func (s *Stream) Fetch(f FetchRequest) (*Pack, error) {
	if _, err := s.stream.Write(s.greeting.fetchRequest(f, s.agent)); err != nil {
		return nil, err
	}
	*s.bound = *f.limit(s.stream)
	p, err := s.greeting.readPack(s.in, f)
	if err != nil {
		return nil, s.proven(err)
	}
	p.close = func() error { return nil }
	return p, nil
}

// proven replaces the guess that a short answer comes from an old server: this one has greeted in v2.
func (s *Stream) proven(err error) error {
	if s.greeting.V2 && errors.Is(err, ErrNotV2) && !errors.Is(err, errBadLine) {
		return fmt.Errorf("the server ended without an answer: %w", io.ErrUnexpectedEOF)
	}
	return err
}
