package chat_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"strings"
	"sync"
	"testing"

	"github.com/addagent/addagent/internal/chat"
)

const mailWord = "m4ilW0rdQzX81vLk"

// postOffice is a mail server that takes letters, or fails at a verb.
type postOffice struct {
	at      string            // host:port
	answers map[string]string // what it says to a verb instead; "hang" and "cut" are no words
	tls     *tls.Config
	hidden  string // an extension that it does not offer

	mu      sync.Mutex
	letters []string
	users   []string
	to      []string
	secure  bool
	hangs   chan struct{} // closed when a client waits for good
	left    chan struct{} // closed when that client is gone
}

func newPostOffice(t *testing.T, atOnce bool, answers map[string]string) (*postOffice, http.RoundTripper) {
	return newPostOfficeAt(t, "127.0.0.1:0", atOnce, answers)
}

func newPostOfficeAt(t *testing.T, at string, atOnce bool, answers map[string]string) (*postOffice, http.RoundTripper) {
	web := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(web.Close)
	trusting := web.Client().Transport.(*http.Transport)
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	p := &postOffice{at: l.Addr().String(), answers: answers, tls: &tls.Config{Certificates: web.TLS.Certificates}, hangs: make(chan struct{}), left: make(chan struct{})}
	if atOnce {
		l = tls.NewListener(l, p.tls)
		p.secure = true
	}
	var all sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { p.serve(conn) })
		}
	})
	return p, trusting
}

func (p *postOffice) taken() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.letters)
}

func (p *postOffice) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	say := func(verb, otherwise string) bool {
		words := otherwise
		if w, ok := p.answers[verb]; ok {
			words = w
		}
		switch words {
		case "cut":
			return false
		case "hang":
			close(p.hangs)
			_, _ = io.Copy(io.Discard, in)
			close(p.left)
			return false
		}
		_, err := io.WriteString(conn, words+"\r\n")
		return err == nil
	}
	if !say("CONNECT", "220 mail.example.org ESMTP") {
		return
	}
	for {
		text, err := in.ReadString('\n')
		if err != nil {
			return
		}
		text = strings.TrimSpace(text)
		verb := strings.ToUpper(strings.FieldsFunc(text+" ", func(r rune) bool { return r == ' ' || r == ':' })[0])
		p.mu.Lock()
		more := "250-mail.example.org\r\n250-8BITMIME\r\n250-AUTH PLAIN\r\n250 STARTTLS"
		if p.secure || p.hidden == "STARTTLS" {
			more = strings.Replace(more, "250-AUTH PLAIN\r\n250 STARTTLS", "250 AUTH PLAIN", 1)
		}
		if p.hidden == "AUTH" {
			more = "250 mail.example.org"
		}
		p.mu.Unlock()
		ok := true
		switch verb {
		case "EHLO":
			ok = say(verb, more)
		case "STARTTLS":
			if ok = say(verb, "220 go ahead"); ok {
				conn = tls.Server(conn, p.tls)
				in = bufio.NewReader(conn)
				p.mu.Lock()
				p.secure = true
				p.mu.Unlock()
			}
		case "AUTH":
			word, _ := base64.StdEncoding.DecodeString(text[len("AUTH PLAIN "):])
			p.mu.Lock()
			p.users = append(p.users, string(word))
			p.mu.Unlock()
			if strings.HasSuffix(string(word), "\x00"+mailWord) {
				ok = say(verb, "235 ok")
			} else {
				ok = say(verb, "535 5.7.8 wrong password "+text)
			}
		case "RCPT":
			p.mu.Lock()
			p.to = append(p.to, text)
			p.mu.Unlock()
			ok = say(verb, "250 ok")
		case "DATA":
			if ok = say(verb, "354 go on"); !ok || p.answers[verb] != "" {
				break
			}
			var letter strings.Builder
			for {
				text, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if text == ".\r\n" {
					break
				}
				letter.WriteString(strings.TrimPrefix(text, "."))
			}
			if ok = say("END", "250 taken"); ok && p.answers["END"] == "" {
				p.mu.Lock()
				p.letters = append(p.letters, letter.String())
				p.mu.Unlock()
			}
		case "QUIT":
			say(verb, "221 bye")
			return
		default:
			ok = say(verb, "250 ok")
		}
		if !ok {
			return
		}
	}
}

func mailRoom(t *testing.T, p *postOffice, word, more string, transport http.RoundTripper) chat.Room {
	t.Helper()
	r, err := chat.Open("smtp://robot:"+word+"@"+p.at+"/?from=add@example.org&to=ops@example.org,boss+x@example.org"+more, chat.Options{Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestMail(t *testing.T) {
	for name, c := range map[string]struct {
		more   string
		atOnce bool
		secure bool
	}{
		"STARTTLS when it is offered": {"", false, true},
		"TLS from the start":          {"&encryption=ImplicitTLS", true, true},
		"in the clear, to this host":  {"&encryption=None", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			p, transport := newPostOffice(t, c.atOnce, nil)
			r := mailRoom(t, p, mailWord, c.more, transport)
			text := "größe: wedged\n.\n..dots\nand a long line " + strings.Repeat("x", 2000)
			if err := r.Say(t.Context(), chat.Message{Text: text, Critical: true}); err != nil {
				t.Fatal(err)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if len(p.letters) != 1 || p.secure != c.secure || len(p.to) != 2 || !strings.Contains(p.to[1], "<boss+x@example.org>") {
				t.Fatalf("%d letters, secure %v, to %q", len(p.letters), p.secure, p.to)
			}
			letter, err := mail.ReadMessage(strings.NewReader(p.letters[0]))
			if err != nil {
				t.Fatal(err)
			}
			subject, _ := new(mime.WordDecoder).DecodeHeader(letter.Header.Get("Subject"))
			if subject != "größe: wedged" || letter.Header.Get("Importance") != "high" || letter.Header.Get("From") != "<add@example.org>" {
				t.Errorf("%q: %v", subject, letter.Header)
			}
			if _, err := letter.Header.Date(); err != nil {
				t.Error(err)
			}
			body, err := io.ReadAll(quotedprintable.NewReader(letter.Body))
			if got := strings.TrimSuffix(strings.ReplaceAll(string(body), "\r\n", "\n"), "\n"); err != nil || got != text {
				t.Errorf("%v: %.100q", err, got)
			}
		})
	}
}

func TestMailFails(t *testing.T) {
	coded := base64.StdEncoding.EncodeToString([]byte("\x00robot\x00" + mailWord))
	for name, c := range map[string]struct {
		word, more, hidden string
		answers            map[string]string
		permanent          bool
		status             int
		want               string
	}{
		"wrong password":              {word: "Wr0ngW0rdWr0ng", permanent: true, status: 535},
		"it echoes the password":      {answers: map[string]string{"AUTH": "535 " + coded}, permanent: true, status: 535, want: "not shown"},
		"unknown recipient":           {answers: map[string]string{"RCPT": "550 5.1.1 no such user"}, permanent: true, status: 550, want: "no such user"},
		"too busy at the door":        {answers: map[string]string{"CONNECT": "421 4.3.2 later"}, status: 421},
		"grey listed":                 {answers: map[string]string{"RCPT": "451 4.7.1 greylisted, come again"}, status: 451},
		"refused at the end":          {answers: map[string]string{"END": "554 5.7.1 spam"}, permanent: true, status: 554},
		"full at the end":             {answers: map[string]string{"END": "452 4.3.1 no space"}, status: 452},
		"sender refused":              {answers: map[string]string{"MAIL": "553 5.1.8 who are you"}, permanent: true, status: 553},
		"garbage":                     {answers: map[string]string{"MAIL": "\x00\x01 what"}},
		"cut at the door":             {answers: map[string]string{"CONNECT": "cut"}},
		"cut at the greeting":         {answers: map[string]string{"EHLO": "cut"}},
		"cut at the data":             {answers: map[string]string{"DATA": "cut"}},
		"cut at the end":              {answers: map[string]string{"END": "cut"}},
		"no STARTTLS and it is asked": {more: "&requirestarttls=yes", hidden: "STARTTLS", permanent: true, want: "no STARTTLS"},
		"no passwords here":           {hidden: "AUTH", permanent: true, want: "offers no authentication"},
	} {
		t.Run(name, func(t *testing.T) {
			p, transport := newPostOffice(t, false, c.answers)
			p.hidden = c.hidden
			word := mailWord
			if c.word != "" {
				word = c.word
			}
			err := mailRoom(t, p, word, c.more, transport).Say(t.Context(), chat.Message{Text: "hello"})
			var trouble *chat.Trouble
			if !errors.As(err, &trouble) || trouble.Permanent != c.permanent || trouble.Status != c.status || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%+v", err)
			}
			for _, secret := range []string{word, coded, base64.StdEncoding.EncodeToString([]byte("\x00robot\x00" + word))} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error tells the password: %v", err)
				}
			}
			if n := p.taken(); n != 0 {
				t.Errorf("%d letters were taken", n)
			}
		})
	}
	t.Run("the goodbye does not matter", func(t *testing.T) {
		p, transport := newPostOffice(t, false, map[string]string{"QUIT": "cut"})
		if err := mailRoom(t, p, mailWord, "", transport).Say(t.Context(), chat.Message{Text: "hello"}); err != nil || p.taken() != 1 {
			t.Errorf("%v, %d letters", err, p.taken())
		}
	})
	t.Run("an unknown certificate", func(t *testing.T) {
		p, _ := newPostOffice(t, false, nil)
		err := mailRoom(t, p, mailWord, "", nil).Say(t.Context(), chat.Message{Text: "hello"})
		p.mu.Lock()
		defer p.mu.Unlock()
		if err == nil || !strings.Contains(err.Error(), "certificate") || len(p.users) != 0 {
			t.Errorf("%v; passwords sent: %d", err, len(p.users))
		}
	})
}

// TestMailInTheClear: no method sends what it has over a connection that others can read.
func TestMailInTheClear(t *testing.T) {
	for _, more := range []string{"&auth=Plain", "&auth=CRAMMD5", "&auth=OAuth2", "&auth=Unknown", "&auth=OAuth2&encryption=None", "&auth=CRAMMD5&usestarttls=no"} {
		p, transport := newPostOfficeAt(t, "127.0.0.2:0", false, nil) // not one of the names of this machine
		p.hidden = "STARTTLS"
		err := mailRoom(t, p, mailWord, more, transport).Say(t.Context(), chat.Message{Text: "hello"})
		p.mu.Lock()
		if !chat.Permanent(err) || !strings.Contains(err.Error(), "not encrypted") || len(p.users) != 0 {
			t.Errorf("%s: %v; %d answers sent", more, err, len(p.users))
		}
		p.mu.Unlock()
	}
}

func TestMailHangs(t *testing.T) {
	for _, verb := range []string{"CONNECT", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "END"} {
		t.Run(verb, func(t *testing.T) {
			p, transport := newPostOffice(t, false, map[string]string{verb: "hang"})
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			go func() {
				<-p.hangs
				cancel(errors.New("the node leaves"))
			}()
			err := mailRoom(t, p, mailWord, "", transport).Say(ctx, chat.Message{Text: "hello"})
			if err == nil || chat.Permanent(err) || !strings.Contains(err.Error(), "the node leaves") {
				t.Errorf("%v", err)
			}
			<-p.left
		})
	}
}

func TestMailAddress(t *testing.T) {
	for address, want := range map[string]string{
		"smtp://robot:" + mailWord + "@mail.example.org:587/?from=a@example.org&to=b@example.org": "smtp://mail.example.org:587",
		"smtp://mail.example.org/?from=a@example.org&to=b@example.org":                            "smtp://mail.example.org:25",
	} {
		if err := chat.Check(address); err != nil || chat.Redact(address) != want {
			t.Errorf("%v; shown as %q, want %q", err, chat.Redact(address), want)
		}
	}
	for _, address := range []string{
		"smtp://robot:" + mailWord + "@mail.example.org/?from=a@example.org", "smtp://robot:" + mailWord + "@/?from=a@example.org&to=b@example.org",
		"smtp://robot:" + mailWord + "@mail.example.org/?from=nobody&to=b@example.org", "smtp://robot:" + mailWord + "@mail.example.org/?from=a@example.org&to=nobody",
		"smtp://robot:" + mailWord + "@mail.example.org/?from=a@example.org&to=b@example.org&skiptlsverify=yes",
	} {
		if err := chat.Check(address); err == nil || strings.Contains(err.Error(), mailWord) {
			t.Errorf("%s: %v", address, err)
		}
	}
}
