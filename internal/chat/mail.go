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
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	lib "github.com/nicholas-fedor/shoutrrr/pkg/services/email/smtp"
)

// mailRoom says a message as a letter: smtp://USER:PASSWORD@HOST:PORT/?from=A&to=B,C. It authenticates over TLS only,
// whatever the method, except to this machine itself.
func mailRoom(s *lib.Service) *web {
	c := s.Config
	c.FixEmailTags()
	from, err := mail.ParseAddress(c.FromAddress)
	if err != nil || c.Host == "" || c.UseHTML || c.SkipTLSVerify {
		return nil
	}
	l := &letters{config: c, from: mail.Address{Name: c.FromName, Address: from.Address}}
	for _, to := range c.ToAddresses {
		address, err := mail.ParseAddress(to)
		if err != nil {
			return nil
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
	return &web{server: net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))), secrets: secrets{c.Password}, limit: 1 << 20, say: l.say}
}

// letters is a room that is reached by mail.
type letters struct {
	config *lib.Config
	from   mail.Address
	to     []string
	auth   smtp.Auth // nil = none
}

// say has no time-out of its own: ctx ends the connection, whatever it waits for.
func (l *letters) say(ctx context.Context, c caller, m Message) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(l.config.Host, strconv.Itoa(int(l.config.Port))))
	if err != nil {
		return cut(ctx, c.room, err, c.secrets)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	secure := &tls.Config{}
	if t, ok := c.client.Transport.(*http.Transport); ok && t.TLSClientConfig != nil {
		secure = t.TLSClientConfig.Clone()
		secure.NextProtos = nil // those of HTTP
	}
	secure.ServerName, secure.MinVersion = l.config.Host, tls.VersionTLS12
	err = l.post(ctx, conn, secure, m)
	// SMTP's rule: 4xx is temporary, 5xx permanent, https://www.rfc-editor.org/rfc/rfc5321#section-4.2.1.
	var answer *textproto.Error
	var stays permanent
	switch {
	case err == nil:
		return nil
	case ctx.Err() == nil && errors.As(err, &answer):
		text := human.Prefix(c.secrets.Said(human.Line(answer.Msg)), mostSaid)
		return &Trouble{Room: c.room, Status: answer.Code, Permanent: answer.Code >= 500, Err: fmt.Errorf("%d %s", answer.Code, text)}
	case ctx.Err() == nil && errors.As(err, &stays):
		return &Trouble{Room: c.room, Permanent: true, Err: c.secrets.Free(err)}
	}
	return cut(ctx, c.room, err, c.secrets)
}

// permanent is an error that stays until a person changes something.
type permanent struct{ error }

func (l *letters) post(ctx context.Context, conn net.Conn, secure *tls.Config, m Message) error {
	c := l.config
	atOnce := c.Encryption == lib.EncMethods.ImplicitTLS || c.Encryption == lib.EncMethods.Auto && c.Port == lib.ImplicitTLSPort
	if atOnce {
		conn = tls.Client(conn, secure)
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
			if err := client.StartTLS(secure); err != nil {
				return err
			}
		case c.RequireStartTLS || c.Encryption == lib.EncMethods.ExplicitTLS:
			return permanent{errors.New("the server offers no STARTTLS")}
		}
	}
	if l.auth != nil {
		// net/smtp looks at this for a password, and not for a token or for an answer from which one can be guessed.
		_, secret := client.TLSConnectionState()
		switch offered, _ := client.Extension("AUTH"); {
		case !secret && !slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, c.Host):
			return permanent{errors.New("the connection is not encrypted, so no password and no token is sent (the server offers no STARTTLS, or the address says encryption=None)")}
		case !offered:
			return permanent{errors.New("the server offers no authentication")}
		}
		if err := client.Auth(l.auth); err != nil {
			var answer *textproto.Error
			if errors.As(err, &answer) || ctx.Err() != nil {
				return err
			}
			return permanent{err} // what the server asks for cannot be answered
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
	_ = client.Quit() // the server has taken it
	return nil
}

// letter is the mail, RFC 5322. The subject is the first line unless the address names one.
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
	_, _ = q.Write([]byte(text))
	_ = q.Close()
	return b.String()
}
