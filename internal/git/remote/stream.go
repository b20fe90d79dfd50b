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

func (s *streamRemote) close() { s.line.Close() }

// talk is how a conversation is held.
type talk struct {
	keep  protocol.LsOptions // of a v0 server's list of refs
	ahead bool               // the server is asked for these refs before it has greeted, when it is known to speak v2
	push  bool               // it is git-receive-pack that is talked to
	say   func(*protocol.Stream, transport.Stream) error
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
	var remote *protocol.RemoteError
	return errors.As(err, &remote) || errors.Is(err, protocol.ErrTooLarge)
}

func (s *streamRemote) attempt(parent context.Context, t talk, stood bool) (func(), error) {
	ctx, cancel := context.WithCancelCause(parent)
	var patience *time.Timer
	if stood {
		patience = time.AfterFunc(s.patience, func() { cancel(errNoAnswer) })
	}
	program, v2 := protocol.UploadPack, !time.Now().Before(s.old)
	if t.push {
		program, v2 = protocol.ReceivePack, false
	}
	c, err := s.line.Open(ctx, program, v2)
	if patience != nil {
		defer patience.Stop()
		c = &heard{Stream: c, first: patience.Stop}
	}
	if err != nil {
		s.line.Close()
		return nil, s.why(parent, ctx, cancel, err)
	}
	stop := context.AfterFunc(ctx, c.Cut)
	err = s.converse(c, t)
	if err == nil {
		return func() {
			stop()
			cancel(nil)
			_ = c.Close()
		}, nil
	}
	if ctx.Err() == nil && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)) {
		if text := c.Complaint(); text != "" && errors.Is(err, protocol.ErrUnclear) {
			err = fmt.Errorf("%w: %w", err, &protocol.RemoteError{Text: text})
		} else if text != "" {
			err = &protocol.RemoteError{Text: text}
		}
	}
	stop()
	_ = c.Close()
	if !answered(err) {
		s.line.Close()
	}
	return nil, s.why(parent, ctx, cancel, err)
}

// heard stops an impatience at the first bytes: from then on the server answers.
type heard struct {
	transport.Stream
	first func() bool
}

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.Stream.Read(p)
	if n > 0 && h.first != nil {
		h.first()
		h.first = nil
	}
	return n, err
}

// why replaces the trace that our impatience left by that.
func (s *streamRemote) why(parent, ctx context.Context, cancel context.CancelCauseFunc, err error) error {
	if parent.Err() == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	cancel(nil)
	return err
}

func (s *streamRemote) converse(c transport.Stream, t talk) error {
	g := protocol.NewStream(c, s.agent)
	if t.push {
		if _, err := g.Greeting(t.keep); err != nil {
			return err
		}
		return t.say(g, c)
	}
	if t.ahead && s.proven {
		if err := g.AskAhead(t.keep); err != nil {
			return err
		}
	}
	asked := !time.Now().Before(s.old)
	v2, err := g.Greeting(t.keep)
	if err != nil {
		return err
	}
	if s.proven = v2; !v2 && asked {
		s.old = time.Now().Add(reprobe)
	}
	return t.say(g, c)
}

func (s *streamRemote) tip(ctx context.Context, branch string) (Tip, error) {
	var tip Tip
	var wrong error // with what was asked for, not with the asking
	end, err := s.hold(ctx, talk{keep: question(branch), ahead: true, say: func(g *protocol.Stream, _ transport.Stream) error {
		if a := g.Advert(); a != nil {
			tip, wrong = tipOf(a, branch)
			g.HangUp()
			return nil
		}
		refs, err := g.LsRefs(question(branch))
		if err != nil {
			return err
		}
		var there bool
		if tip, there, wrong = pick(refs, branch); there || wrong != nil {
			return nil
		}
		refs, err = g.LsRefs(someHeads())
		wrong = noBranch(branch, headsOf(refs))
		return err
	}})
	if err != nil {
		return Tip{}, err
	}
	end()
	return tip, wrong
}

func (s *streamRemote) fetch(ctx context.Context, f protocol.FetchRequest) (*protocol.Pack, error) {
	var p *protocol.Pack
	end, err := s.hold(ctx, talk{keep: protocol.LsOptions{Prefixes: []string{"HEAD"}}, say: func(g *protocol.Stream, _ transport.Stream) error {
		if !g.CanFilter() {
			f.Filter = ""
		}
		var err error
		p, err = g.Fetch(f)
		return err
	}})
	if err != nil {
		return nil, err
	}
	p.OnClose(func() error {
		end()
		return nil
	})
	return p, nil
}
