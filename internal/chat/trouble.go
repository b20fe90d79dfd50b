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
)

// Trouble is why a room did not take a message. There is one rule for every kind: 2xx is done, 429 and 5xx and
// everything below HTTP (refused connections, time-outs, cut answers) is worth another try, all the rest is permanent.
// No token is in its text, whatever the server said.
type Trouble struct {
	// Room names the service and its server.
	Room string
	// Permanent is a trouble that stays until somebody changes something: a wrong token, an unknown room.
	Permanent bool
	// Unasked is a trouble of this machine's own: the file of the address is missing, or holds none. No server was asked.
	Unasked bool
	// RetryAfter is what the server asked for; 0 when it asked for nothing.
	RetryAfter time.Duration
	// Status is the server's answer, 0 when there was none. For mail it is the code of SMTP.
	Status int
	// Err is what happened.
	Err error
}

func (t *Trouble) Error() string { return t.Room + ": " + t.Err.Error() }

func (t *Trouble) Unwrap() error { return t.Err }

// Permanent tells whether an error of a Room stays until somebody changes something.
func Permanent(err error) bool {
	var t *Trouble
	return errors.As(err, &t) && t.Permanent || errors.Is(err, ErrEmpty)
}

// refusal judges an answer by its status: nil for 2xx. said is what the server wrote, without secrets; again is what
// its words have instead of a Retry-After.
func refusal(room string, answer *http.Response, said, again string, now time.Time) error {
	code := answer.StatusCode
	if code >= 200 && code < 300 {
		return nil
	}
	t := &Trouble{Room: room, Status: code, Permanent: code < 500 && !tooMany(answer)}
	if !t.Permanent {
		t.RetryAfter = retry.After(cmp.Or(answer.Header.Get("Retry-After"), again), now)
	}
	if t.RetryAfter == 0 && tooMany(answer) { // HipChat's way; a limit for more than a day is none
		if wait := retry.Reset(answer.Header.Get("X-RateLimit-Reset"), now); wait <= 24*time.Hour {
			t.RetryAfter = wait
		}
	}
	text := strings.TrimSpace(strconv.Itoa(code) + " " + http.StatusText(code))
	if code >= 300 && code < 400 {
		// The token would go wherever the server likes.
		text += ": redirects are not followed, put the new address into the config"
	} else if said != "" {
		text += ": " + said
	}
	t.Err = errors.New(text)
	return t
}

// tooMany is 429, or how HipChat's v1 says it: 403 with nothing left of the limit.
func tooMany(answer *http.Response) bool {
	return answer.StatusCode == http.StatusTooManyRequests ||
		answer.StatusCode == http.StatusForbidden && answer.Header.Get("X-RateLimit-Remaining") == "0"
}

// cut is a trouble below HTTP: nothing that anybody has to change.
func cut(ctx context.Context, room string, err error, s secrets) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // its text quotes the address
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return &Trouble{Room: room, Err: s.free(err)}
}

func empty(m Message) bool { return strings.TrimSpace(m.Text) == "" }
