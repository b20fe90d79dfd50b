package chattest

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/chat"
)

var hello = chat.Message{Text: "i-1:fed1/app1: wedged", Colour: "red", Critical: true}

// answers checks the one rule: 2xx done, 429 and 5xx again, the rest never.
func answers(t *testing.T, p Place) {
	for _, code := range []int{200, 201, 202, 204, 206, 250, 299} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			s := newStage(t, p, nil)
			s.fault = func(w http.ResponseWriter, r *http.Request) { s.serve(&instead{w, code}, r) }
			err := s.open().Say(t.Context(), hello)
			if code == 204 && p.Reads { // it has no words
				s.class(err, false)
				return
			}
			if err != nil {
				t.Error(err)
			}
			if got := s.said(); len(got) == 0 || got[0].Text != hello.Text {
				t.Errorf("heard %+v", got)
			}
		})
	}
	for _, code := range []int{301, 302, 303, 307, 308} {
		for _, to := range []string{"another host", "the same host"} {
			t.Run(strconv.Itoa(code)+" to "+to, func(t *testing.T) {
				thief := newStage(t, p, nil)
				s := newStage(t, p, nil)
				s.fault = func(w http.ResponseWriter, r *http.Request) {
					target := "/elsewhere"
					if to == "another host" {
						target = thief.server.URL + r.URL.RequestURI()
					}
					w.Header().Set("Location", target)
					w.WriteHeader(code)
				}
				trouble := s.class(s.open().Say(t.Context(), hello), true)
				if trouble.Status != code || thief.count() != 0 || s.count() != 1 {
					t.Errorf("%v; %d requests, %d of them to another host", trouble, s.count()+thief.count(), thief.count())
				}
			})
		}
	}
	for _, code := range []int{400, 401, 403, 404, 405, 409, 410, 413, 422, 451, 429, 500, 502, 503, 504, 529} {
		for name, echo := range echoes(p) {
			t.Run(fmt.Sprintf("%d with %s", code, name), func(t *testing.T) {
				s := newStage(t, p, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("X-Said", "no")
					w.WriteHeader(code)
					echo(w, r)
				})
				trouble := s.class(s.open().Say(t.Context(), hello), code < 500 && code != 429)
				if trouble.Status != code || !strings.Contains(trouble.Error(), strconv.Itoa(code)) || trouble.RetryAfter != 0 {
					t.Errorf("%+v", trouble)
				}
				if len(trouble.Error()) > 500 || strings.ContainsAny(trouble.Error(), "\n\r\x00\x1b") {
					t.Errorf("no line for a log: %q", trouble.Error())
				}
			})
		}
	}
	for _, code := range []int{429, 503} {
		for value, want := range map[string]time.Duration{"7": 7 * time.Second, "1.5": 1500 * time.Millisecond, "-3": 0, "soon": 0, "": 0, "NaN": 0, "1e300": 24 * time.Hour,
			"Mon, 02 Jan 2006 15:04:05 GMT": 0} {
			t.Run(fmt.Sprintf("%d, Retry-After %s", code, value), func(t *testing.T) {
				s := newStage(t, p, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Retry-After", value)
					w.WriteHeader(code)
				})
				if trouble := s.class(s.open().Say(t.Context(), hello), false); trouble.RetryAfter != want {
					t.Errorf("to be tried again after %s, want %s", trouble.RetryAfter, want)
				}
			})
		}
		t.Run(fmt.Sprintf("%d, Retry-After a date", code), func(t *testing.T) {
			at := time.Now().Add(12 * time.Hour)
			s := newStage(t, p, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", at.UTC().Format(http.TimeFormat))
				w.WriteHeader(code)
			})
			// Neither the day before nor the day after: a minute's rounding does not matter to it.
			if got := s.class(s.open().Say(t.Context(), hello), false).RetryAfter; got.Round(time.Hour) != 12*time.Hour {
				t.Errorf("to be tried again after %s, want 12 hours", got)
			}
		})
	}
}

// limits checks how services without Retry-After say that it was too much, and until when.
func limits(t *testing.T, p Place) {
	for name, c := range map[string]struct {
		code      int
		left      string
		reset     time.Duration
		permanent bool
		want      time.Duration
	}{
		"429 until in ten hours":          {429, "0", 10 * time.Hour, false, 10 * time.Hour},
		"403 with nothing left":           {403, "0", 10 * time.Hour, false, 10 * time.Hour},
		"403 with something left":         {403, "17", 10 * time.Hour, true, 0},
		"429 until an hour ago":           {429, "0", -time.Hour, false, 0},
		"429 until the year after":        {429, "0", 9000 * time.Hour, false, 0},
		"503 is no question of the limit": {503, "17", 10 * time.Hour, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, p, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-RateLimit-Remaining", c.left)
				w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(time.Now().Add(c.reset).Unix(), 10))
				w.WriteHeader(c.code)
			})
			if got := s.class(s.open().Say(t.Context(), hello), c.permanent).RetryAfter; got.Round(time.Hour) != c.want {
				t.Errorf("to be tried again after %s, want %s", got, c.want)
			}
		})
	}
	for words, want := range map[string]time.Duration{`{"retry_after": 1.5}`: 1500 * time.Millisecond, `{"parameters":{"retry_after":35}}`: 35 * time.Second, `{"retry_after_ms":2000}`: 2 * time.Second, `{"retry_after":"x"}`: 0} {
		t.Run("429 with "+words, func(t *testing.T) {
			s := newStage(t, p, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusTooManyRequests)
				_, _ = io.WriteString(w, words)
			})
			if got := s.class(s.open().Say(t.Context(), hello), false).RetryAfter; got != want {
				t.Errorf("to be tried again after %s, want %s", got, want)
			}
		})
	}
}

// instead answers with another status than the service does.
type instead struct {
	http.ResponseWriter
	code int
}

func (i *instead) WriteHeader(code int) {
	if code < 300 {
		code = i.code
	}
	i.ResponseWriter.WriteHeader(code)
}

func (i *instead) Write(b []byte) (int, error) {
	if i.code == http.StatusNoContent {
		i.ResponseWriter.WriteHeader(i.code)
		return len(b), nil
	}
	return i.ResponseWriter.Write(b)
}

func (i *instead) Unwrap() http.ResponseWriter { return i.ResponseWriter }

// echoes are the bodies of servers that print what they were sent.
func echoes(p Place) map[string]func(http.ResponseWriter, *http.Request) {
	all := map[string]func(http.ResponseWriter, *http.Request){
		"nothing": func(http.ResponseWriter, *http.Request) {},
		"words":   func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "no such\r\nroom \x1b[31m\x00") },
		"a page": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<html><body>"+strings.Join(p.Secrets, " "))
		},
		"the whole request": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Method+" "+r.URL.String()+" ")
			_ = r.Header.Write(w)
			_, _ = io.Copy(w, r.Body)
		},
		"the request as JSON": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{"ok": false, "error": r.URL.String(), "headers": r.Header})
		},
	}
	for _, secret := range p.Secrets {
		for i, form := range append(encodings(secret), secret, strings.ToUpper(secret), secret[:len(secret)*2/3], secret[len(secret)/3:]) {
			all[fmt.Sprintf("%.3s..., form %d", secret, i)] = func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, strings.Repeat("x ", 80)+form+strings.Repeat(" y", 80))
			}
		}
	}
	return all
}

// encodings are forms of a secret that do not show it at first sight.
func encodings(secret string) []string {
	return []string{
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.URLEncoding.EncodeToString([]byte("user:" + secret)),
		base64.StdEncoding.EncodeToString([]byte("ab" + secret + "cd")), hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))),
	}
}

// faults checks what happens below HTTP: all of it is worth another try, and nothing of it keeps anybody.
func faults(t *testing.T, p Place) {
	raw := func(answer string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}
	}
	for name, answer := range map[string]string{
		"closed without an answer": "", "cut in the status line": "HTTP/1.1 2", "cut in the header": "HTTP/1.1 200 OK\r\nContent-Le",
		"garbage": "\x00\x01\x02 what is this\r\n\r\n", "not even HTTP": "220 mail.example.org ESMTP\r\n",
		"a refusal cut in the middle": "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 1000\r\n\r\n" + strings.Join(p.Secrets, " "),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, p, raw(answer))
			s.class(s.open().Say(t.Context(), hello), false)
		})
	}
	for name, fault := range map[string]http.HandlerFunc{
		"a 200 cut in the middle": raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"ok\":tr"),
		"a 200 with garbage":      raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\x00garbage!"),
		"a 200 without end": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat("and so on ", 4096)); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, p, fault)
			err := s.open().Say(t.Context(), hello)
			if p.Reads {
				s.class(err, false)
			} else if err != nil {
				t.Errorf("the status said done: %v", err)
			}
		})
	}
	t.Run("not listening", func(t *testing.T) {
		s := newStage(t, p, nil)
		r := s.open()
		s.server.Close()
		s.class(r.Say(t.Context(), hello), false)
	})
	t.Run("the network fails with words that hold the address", func(t *testing.T) {
		s := newStage(t, p, nil)
		r, err := chat.Open(p.Address(s.host()), chat.Options{Transport: through(func(r *http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("%s %v", r.URL, r.Header)}
		})})
		if err != nil {
			t.Fatal(err)
		}
		s.class(r.Say(t.Context(), hello), false)
	})
	t.Run("hangs", func(t *testing.T) {
		arrived, left := make(chan struct{}), make(chan struct{})
		s := newStage(t, p, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then the server watches the connection
			close(arrived)
			<-r.Context().Done()
			close(left)
		})
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		go func() {
			<-arrived
			cancel(errors.New("the node leaves"))
		}()
		err := s.open().Say(ctx, hello)
		if s.class(err, false); !strings.Contains(err.Error(), "the node leaves") {
			t.Errorf("the error does not say why: %v", err)
		}
		<-left // nothing is left behind: the server saw the connection go
	})
	t.Run("hangs in the middle of an answer", func(t *testing.T) {
		s := newStage(t, p, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		s.class(s.open().Say(ctx, hello), false)
	})
	t.Run("cancelled before", func(t *testing.T) {
		s := newStage(t, p, nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.open().Say(ctx, hello); !errors.Is(err, context.Canceled) || len(s.said()) != 0 {
			t.Errorf("%v; heard %+v", err, s.said())
		}
	})
	t.Run("mended", func(t *testing.T) {
		s := newStage(t, p, nil)
		var down atomic.Int32
		s.fault = func(w http.ResponseWriter, r *http.Request) {
			if code := int(down.Load()); code != http.StatusOK {
				w.WriteHeader(code)
				return
			}
			s.serve(w, r)
		}
		r := s.open()
		for _, code := range []int{503, 401, 200} {
			down.Store(int32(code))
			if err := r.Say(t.Context(), hello); (err == nil) != (code == 200) {
				t.Errorf("%d: %v", code, err)
			}
		}
	})
}
