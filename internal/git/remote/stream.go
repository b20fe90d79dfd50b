package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/addagent/addagent/internal/git/protocol"
	"github.com/addagent/addagent/internal/git/transport"
)

// line is a way to a host.
type line interface {
	// Standing says whether a connection stands that Open will use.
	Standing() bool
	// Open starts a program of git there, asked to speak v2 or not. When the context ends it gives up.
	Open(ctx context.Context, program string, v2 bool) (transport.Stream, error)
	// Close gives up the connection.
	Close()
}

// streamRemote asks over streams: ssh://, git:// and paths. Each question is a git-upload-pack of its own
// (protocol.Stream says why), in protocol v2 where the server speaks it, else in v0 with the list of refs streaming
// by.
//
// go-git's transports are not used for this: they cannot be cancelled between connecting and the first answer, so a
// server that accepts and then hangs would hang a beat forever; and they hold all refs of the server in memory.
type streamRemote struct {
	line   line
	agent  string
	proven bool      // it spoke v2 last time
	old    time.Time // until then it is not asked to
	// patience is how long a kept connection may take to answer before it is taken for dead.
	patience time.Duration
}

const linePatience = 5 * time.Second

func newStreamRemote(l line, agent string) *streamRemote {
	return &streamRemote{line: l, agent: agent, patience: linePatience}
}

var errNoAnswer = errors.New("no answer on a kept connection")

func (s *streamRemote) Close() { s.line.Close() }

// Advise adds nothing: what a person can do is in the errors of a line.
func (s *streamRemote) Advise(_ string, err error) error { return err }

// talk is how a conversation is held.
type talk struct {
	keep  protocol.LsOptions // of a v0 server's list of refs
	ahead bool               // the server is asked for these refs before it has greeted, when it is known to speak v2
	push  bool               // it is git-receive-pack that is talked to
	say   func(*protocol.Stream) error
}

// hold opens a stream, reads the greeting and lets say put a question. A connection that stood already may have died
// unseen: when it fails, or does not answer in time, it is given up and all is done once more on a new one.
// end closes the stream; until then the end of the context cuts it.
func (s *streamRemote) hold(ctx context.Context, t talk) (end func(), err error) {
	for second := false; ; second = true {
		stood := s.line.Standing()
		end, err := s.attempt(ctx, t, stood)
		if err == nil || !stood || second || ctx.Err() != nil || answered(err) || errors.Is(err, protocol.ErrUnclear) {
			return end, err
		}
	}
}

// answered tells what the other side said from what may be the fault of a connection.
func answered(err error) bool {
	_, said := errors.AsType[*protocol.RemoteError](err)
	return said || errors.Is(err, protocol.ErrTooLarge)
}

func (s *streamRemote) attempt(parent context.Context, t talk, stood bool) (end func(), err error) {
	ctx, cancel := context.WithCancelCause(parent)
	end = func() { cancel(nil) }
	defer func() {
		if err == nil {
			return
		}
		if parent.Err() == nil && ctx.Err() != nil {
			err = context.Cause(ctx) // and not the trace that our impatience left
		}
		if end(); !answered(err) {
			s.line.Close()
		}
	}()
	heard := func() bool { return true }
	if stood {
		heard = time.AfterFunc(s.patience, func() { cancel(errNoAnswer) }).Stop
		defer heard()
	}
	program, v2 := protocol.UploadPack, !time.Now().Before(s.old)
	if t.push {
		program, v2 = protocol.ReceivePack, false
	}
	c, err := s.line.Open(ctx, program, v2)
	if err != nil {
		return end, err
	}
	stop := context.AfterFunc(ctx, c.Cut)
	end = func() {
		stop()
		cancel(nil)
		_ = c.Close()
	}
	err = s.converse(&hearing{c, heard}, t, v2)
	if ctx.Err() == nil && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)) {
		if text := c.Complaint(); text != "" && errors.Is(err, protocol.ErrUnclear) {
			err = fmt.Errorf("%w: %w", err, &protocol.RemoteError{Text: text})
		} else if text != "" {
			err = &protocol.RemoteError{Text: text}
		}
	}
	return end, err
}

// hearing calls heard when bytes come: from then on the server answers.
type hearing struct {
	transport.Stream
	heard func() bool
}

func (h *hearing) Read(p []byte) (int, error) {
	n, err := h.Stream.Read(p)
	if n > 0 {
		h.heard()
	}
	return n, err
}

// converse reads the greeting, and lets t put its question.
func (s *streamRemote) converse(c transport.Stream, t talk, askedV2 bool) error {
	g := protocol.NewStream(c, s.agent)
	if t.ahead && s.proven {
		if err := g.AskAhead(t.keep); err != nil {
			return err
		}
	}
	greeting, err := g.Greet(t.keep)
	if err != nil {
		return err
	}
	if !t.push {
		if s.proven = greeting.V2; !s.proven && askedV2 {
			s.old = time.Now().Add(reprobe)
		}
	}
	return t.say(g)
}

func (s *streamRemote) refs(ctx context.Context, o protocol.LsOptions) ([]protocol.Ref, error) {
	var refs []protocol.Ref
	end, err := s.hold(ctx, talk{keep: o, ahead: true, say: func(g *protocol.Stream) (err error) {
		refs, err = g.LsRefs(o)
		return err
	}})
	end()
	return refs, err
}

func (s *streamRemote) fetch(ctx context.Context, f protocol.FetchRequest) (*protocol.Pack, error) {
	var p *protocol.Pack
	end, err := s.hold(ctx, talk{keep: noRefs(), say: func(g *protocol.Stream) (err error) {
		p, err = g.Fetch(f)
		return err
	}})
	if err != nil {
		return nil, err
	}
	p.AfterClose(end)
	return p, nil
}

func (s *streamRemote) push(ctx context.Context, updates []protocol.RefUpdate, pack []byte) (protocol.Report, error) {
	var report protocol.Report
	end, err := s.hold(ctx, talk{keep: noRefs(), push: true, say: func(g *protocol.Stream) (err error) {
		report, err = g.Push(updates, pack)
		return err
	}})
	end()
	return report, err
}
