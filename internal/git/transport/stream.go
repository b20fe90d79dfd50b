package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/addagent/addagent/internal/git/protocol"
)

// Stream is a conversation with a process of git somewhere else.
type Stream interface {
	io.ReadWriteCloser
	// Cut ends it at once, from any goroutine, with the connection below it.
	Cut()
	// Complaint is what the other side wrote for people, on one line; known for sure after the end of the stream.
	Complaint() string
}

// Daemon is a connection to a git daemon, a new one each time: the daemon closes it after one conversation.
type Daemon struct {
	Host string // with a port
	Path string
	notKept
}

// notKept is of ways on which no connection is kept.
type notKept struct{}

func (notKept) Standing() bool { return false }
func (notKept) Close()         {}

// Open connects and asks for a program, as SSH.Open does.
func (l Daemon) Open(ctx context.Context, program string, v2 bool) (Stream, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.Host)
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(l.Host)
	line := program + " " + l.Path + "\x00host=" + host + "\x00"
	if v2 {
		line += "\x00" + protocol.Version2 + "\x00"
	}
	if _, err := fmt.Fprintf(c, "%04x%s", len(line)+4, line); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return plainStream{c}, nil
}

type plainStream struct{ net.Conn }

func (p plainStream) Cut()            { _ = p.Close() }
func (plainStream) Complaint() string { return "" }
