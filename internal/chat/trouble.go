package chat

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/retry"
	"github.com/addagent/addagent/internal/secret"
)

type secrets = secret.Set

// Trouble is why a room did not take a message. One rule holds for every kind: 2xx is success; 429, 5xx and everything
// below HTTP (refused connections, time-outs, truncated answers) is temporary; all the rest is permanent. Its text
// never contains a token.
type Trouble struct {
	// Room names the service and its server; "" = Err does, which is that of an earlier process.
	Room string
	// Permanent troubles stay until a person changes something: a wrong token, an unknown room.
	Permanent bool
	// Unasked troubles are local: the file of the address is missing or has none. No server was asked.
	Unasked bool
	// RetryAfter is the delay that the server asked for, 0 if none.
	RetryAfter time.Duration
	// Status is that of the answer, 0 without one. For mail it is the code of SMTP.
	Status int
	// Err is the cause.
	Err error
}

func (t *Trouble) Error() string {
	if t.Room == "" {
		return t.Err.Error()
	}
	return t.Room + ": " + t.Err.Error()
}

func (t *Trouble) Unwrap() error { return t.Err }

// Permanent tells whether an error of a Room stays until a person changes something.
func Permanent(err error) bool {
	var t *Trouble
	return errors.As(err, &t) && t.Permanent || errors.Is(err, ErrEmpty)
}

// refusal judges an answer by its status: nil for 2xx. said is the server's text, without secrets; again is the delay
// in its body, for services without Retry-After.
func refusal(room string, answer *http.Response, said, again string, now time.Time) error {
	code := answer.StatusCode
	if code >= 200 && code < 300 {
		return nil
	}
	t := &Trouble{Room: room, Status: code, Permanent: code < 500 && !tooMany(answer)}
	if !t.Permanent {
		t.RetryAfter = retry.After(cmp.Or(answer.Header.Get("Retry-After"), again), now)
	}
	if t.RetryAfter == 0 && tooMany(answer) { // HipChat's header; more than a day is a mistake
		if wait := retry.Reset(answer.Header.Get("X-RateLimit-Reset"), now); wait <= 24*time.Hour {
			t.RetryAfter = wait
		}
	}
	text := strings.TrimSpace(strconv.Itoa(code) + " " + http.StatusText(code))
	if code >= 300 && code < 400 {
		// Otherwise the server could send the token anywhere.
		text += ": redirects are not followed: put the new address into the config"
	} else if said != "" {
		text += ": " + said
	}
	t.Err = errors.New(text)
	return t
}

// tooMany is 429, or in HipChat's v1 a 403 with nothing left of the limit.
func tooMany(answer *http.Response) bool {
	return answer.StatusCode == http.StatusTooManyRequests ||
		answer.StatusCode == http.StatusForbidden && answer.Header.Get("X-RateLimit-Remaining") == "0"
}

// cut is a trouble below HTTP, always temporary.
func cut(ctx context.Context, room string, err error, s secrets) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // u's own text quotes the address
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return &Trouble{Room: room, Err: s.Free(err)}
}

func empty(m Message) bool { return strings.TrimSpace(m.Text) == "" }
