package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/addagent/addagent/internal/gitwire"
)

// stream is a connection to a git-upload-pack process somewhere else.
type stream interface {
	io.ReadWriteCloser
	// complaint is what the other side wrote for people, on one line; known for sure after the end of the stream.
	complaint() string
}

// streamRemote asks in protocol v0 over a stream: ssh:// and git://. Each question is a connection of its own.
//
// go-git's transports are not used for this: they cannot be cancelled between connecting and the first answer, so a
// server that accepts and then hangs would hang a beat for ever; and they hold all refs of the server in memory.
type streamRemote struct {
	dial  func(ctx context.Context) (stream, error)
	agent string
}

func (s *streamRemote) close() {}

// open connects and reads what the server advertises. The returned function closes the connection, which also happens
// when the context ends.
func (s *streamRemote) open(ctx context.Context, o gitwire.LsOptions) (*gitwire.Advert, stream, func() error, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	end := sync.OnceValue(c.Close)
	stop := context.AfterFunc(ctx, func() { _ = end() })
	closing := func() error {
		stop()
		return end()
	}
	a, err := gitwire.ReadAdvert(c, o)
	if err != nil {
		if text := c.complaint(); text != "" && errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("the other side says: %s", text)
		}
		return nil, nil, nil, errors.Join(err, ignoreClosed(closing()))
	}
	return a, c, closing, nil
}

func (s *streamRemote) tip(ctx context.Context, branch string) (Tip, error) {
	a, c, closing, err := s.open(ctx, question(branch))
	if err != nil {
		return Tip{}, err
	}
	_, _ = io.WriteString(c, "0000") // "nothing wanted": else the other side logs a failure
	_ = closing()
	return tipOf(a, branch)
}

func (s *streamRemote) fetch(ctx context.Context, f gitwire.FetchRequest) (*gitwire.Pack, error) {
	a, c, closing, err := s.open(ctx, gitwire.LsOptions{Prefixes: []string{"HEAD"}})
	if err != nil {
		return nil, err
	}
	if _, err := c.Write(a.Request(f, s.agent)); err != nil {
		return nil, errors.Join(err, ignoreClosed(closing()))
	}
	p, err := a.ReadPack(c, f)
	if err != nil {
		return nil, errors.Join(err, ignoreClosed(closing()))
	}
	p.OnClose(closing)
	return p, nil
}

// ignoreClosed drops the complaint of a connection that was closed before.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// gitDialer connects to a git daemon.
func gitDialer(a address) func(context.Context) (stream, error) {
	return func(ctx context.Context) (stream, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", a.host)
		if err != nil {
			return nil, err
		}
		host, _, _ := net.SplitHostPort(a.host)
		line := "git-upload-pack " + a.path + "\x00host=" + host + "\x00"
		if _, err := fmt.Fprintf(c, "%04x%s", len(line)+4, line); err != nil {
			return nil, errors.Join(err, c.Close())
		}
		return &plainStream{c}, nil
	}
}

type plainStream struct{ net.Conn }

func (*plainStream) complaint() string { return "" }

// oneLine makes text of the other side fit for one line of a log.
func oneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }), "; ")
	if r := []rune(s); len(r) > 300 {
		s = string(r[:300]) + "..."
	}
	return strings.TrimSpace(s)
}
