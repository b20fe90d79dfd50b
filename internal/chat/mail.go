package chat

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	lib "github.com/nicholas-fedor/shoutrrr/pkg/services/email/smtp"
)

// mailRoom says a message as a letter: smtp://USER:PASSWORD@HOST:PORT/?from=A&to=B,C. A password goes over TLS only,
// but to this machine itself.
func mailRoom(a address, s *lib.Service) (place, error) {
	c := s.Config
	c.FixEmailTags()
	from, err := mail.ParseAddress(c.FromAddress)
	if err != nil || c.Host == "" || c.UseHTML || c.SkipTLSVerify {
		return nil, errForm
	}
	l := &letters{config: c, from: mail.Address{Name: c.FromName, Address: from.Address}, secrets: secrets{c.Password}}
	for _, to := range c.ToAddresses {
		address, err := mail.ParseAddress(to)
		if err != nil {
			return nil, errForm
		}
		l.to = append(l.to, address.Address)
	}
	switch c.Auth {
	case lib.AuthTypes.None:
	case lib.AuthTypes.CRAMMD5:
		l.auth = smtp.CRAMMD5Auth(c.Username, c.Password)
	case lib.AuthTypes.OAuth2:
		l.auth = lib.OAuth2Auth(c.Username, c.Password)
	default:
		if c.Username != "" {
			l.auth = smtp.PlainAuth("", c.Username, c.Password, c.Host)
		}
	}
	return l, nil
}

// letters is a room that is reached by mail.
type letters struct {
	config  *lib.Config
	from    mail.Address
	to      []string
	auth    smtp.Auth // nil is none
	secrets secrets
	tls     *tls.Config // set by through
}

func (l *letters) shown() string {
	return net.JoinHostPort(l.config.Host, strconv.Itoa(int(l.config.Port)))
}

func (l *letters) through(o Options) Room {
	copied := *l
	copied.tls = &tls.Config{}
	if t, ok := o.Transport.(*http.Transport); ok && t.TLSClientConfig != nil {
		copied.tls = t.TLSClientConfig.Clone()
		copied.tls.NextProtos = nil // those of HTTP
	}
	copied.tls.ServerName, copied.tls.MinVersion = l.config.Host, tls.VersionTLS12
	return &copied
}

// Say has no time-out of its own: ctx cuts the connection, whatever it waits for.
func (l *letters) Say(ctx context.Context, m Message) error {
	room := "smtp " + l.shown()
	if empty(m) {
		return fmt.Errorf("%s: %w", room, ErrEmpty)
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", l.shown())
	if err != nil {
		return cut(ctx, room, err, l.secrets)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if err := l.post(ctx, conn, m); err != nil {
		return l.trouble(ctx, room, err)
	}
	return nil
}

// trouble is the rule of SMTP: 4xx is worth another try, 5xx is permanent,
// https://www.rfc-editor.org/rfc/rfc5321#section-4.2.1.
func (l *letters) trouble(ctx context.Context, room string, err error) error {
	var answer *textproto.Error
	if ctx.Err() != nil || !errors.As(err, &answer) {
		var stays staying
		t := cut(ctx, room, err, l.secrets)
		if ctx.Err() == nil && errors.As(err, &stays) {
			t = &Trouble{Room: room, Permanent: true, Err: l.secrets.free(err)}
		}
		return t
	}
	text := human.Prefix(l.secrets.said(human.Line(answer.Msg)), mostSaid)
	return &Trouble{Room: room, Status: answer.Code, Permanent: answer.Code >= 500, Err: fmt.Errorf("%d %s", answer.Code, text)}
}

// staying is a trouble with mail that somebody has to mend.
type staying struct{ error }

func (l *letters) post(ctx context.Context, conn net.Conn, m Message) error {
	c := l.config
	atOnce := c.Encryption == lib.EncMethods.ImplicitTLS || c.Encryption == lib.EncMethods.Auto && c.Port == lib.ImplicitTLSPort
	if atOnce {
		conn = tls.Client(conn, l.tls)
	}
	client, err := smtp.NewClient(conn, c.Host)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Hello(cmp.Or(c.ClientHost, "localhost")); err != nil {
		return err
	}
	if offered, _ := client.Extension("STARTTLS"); !atOnce && c.UseStartTLS && c.Encryption != lib.EncMethods.None {
		switch {
		case offered:
			if err := client.StartTLS(l.tls); err != nil {
				return err
			}
		case c.RequireStartTLS || c.Encryption == lib.EncMethods.ExplicitTLS:
			return staying{errors.New("the server offers no STARTTLS")}
		}
	}
	if l.auth != nil {
		if offered, _ := client.Extension("AUTH"); !offered {
			return staying{errors.New("the server takes no password here")}
		}
		if err := client.Auth(l.auth); err != nil {
			var answer *textproto.Error
			if errors.As(err, &answer) || ctx.Err() != nil {
				return err
			}
			return staying{err} // net/smtp sends no password in the clear
		}
	}
	if err := client.Mail(l.from.Address); err != nil {
		return err
	}
	for _, to := range l.to {
		if err := client.Rcpt(to); err != nil {
			return err
		}
	}
	w, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(l.letter(m))); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_ = client.Quit() // it is taken already
	return nil
}

// letter is the mail itself, RFC 5322. The subject is the first line unless the address names one.
func (l *letters) letter(m Message) string {
	text := strings.ToValidUTF8(m.Text, "\uFFFD")
	head, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	subject := human.Line(human.Prefix(head, 120))
	if s := l.config.Subject; s != "" && !strings.HasPrefix(s, "Shoutrrr") { // the library's default
		subject = human.Line(s)
	}
	at := m.Time
	if at.IsZero() {
		at = time.Now()
	}
	var b strings.Builder
	for _, h := range [][2]string{
		{"From", l.from.String()}, {"To", strings.Join(l.to, ", ")}, {"Subject", mime.QEncoding.Encode("utf-8", subject)},
		{"Date", at.Format(time.RFC1123Z)}, {"MIME-Version", "1.0"}, {"Auto-Submitted", "auto-generated"},
		{"Content-Type", "text/plain; charset=utf-8"}, {"Content-Transfer-Encoding", "quoted-printable"},
	} {
		b.WriteString(h[0] + ": " + h[1] + "\r\n")
	}
	if m.Critical {
		b.WriteString("X-Priority: 1\r\nImportance: high\r\n")
	}
	b.WriteString("\r\n")
	q := quotedprintable.NewWriter(&b)
	_, _ = q.Write([]byte(text)) // a strings.Builder takes everything
	_ = q.Close()
	return b.String()
}
