package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/addagent/addagent/internal/gitwire"
)

// backoff leaves a remote alone that asked for it. The zero value asks at once.
type backoff struct {
	failures int
	until    time.Time
	because  error
}

const (
	firstWait = 5 * time.Second
	maxWait   = 15 * time.Minute
)

// over is nil when the remote may be asked again.
func (b *backoff) over(now time.Time) error {
	if b.because == nil || !now.Before(b.until) {
		return nil
	}
	// In seconds always: but for the number it reads the same at every look, so it is said once.
	return fmt.Errorf("%w (asked again in %d s)", b.because, int(b.until.Sub(now).Seconds())+1)
}

// learn takes in how asking ended.
func (b *backoff) learn(err error, now time.Time) {
	var status *gitwire.StatusError
	if !errors.As(err, &status) || !busy(status) {
		*b = backoff{}
		return
	}
	wait := min(firstWait<<min(b.failures, 10), maxWait)
	// Only after a failure is there anything random: thousands of nodes met the same one at the same time.
	wait += rand.N(wait / 2)
	if status.RetryAfter > 0 {
		wait = status.RetryAfter + rand.N(firstWait)
	}
	b.failures++
	b.until, b.because = now.Add(wait), err
}

func busy(s *gitwire.StatusError) bool {
	return s.Code == http.StatusTooManyRequests || s.Code >= 500 || s.Code == http.StatusForbidden && s.RetryAfter > 0
}

// watch cuts off what does not advance, and what takes too long altogether.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	stall  time.Duration
	timer  *time.Timer
	total  *time.Timer
	told   func()
	last   time.Time
}

// errDeadline is in each error of a deadline of ours.
var errDeadline = errors.New("gave up")

func newWatch(ctx context.Context, l Limits, told func()) *watch {
	w := &watch{stall: l.Stall, told: told, last: time.Now()}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.timer = time.AfterFunc(l.Stall, func() { w.cancel(fmt.Errorf("%w: nothing advanced for %s", errDeadline, l.Stall)) })
	w.total = time.AfterFunc(l.Fetch, func() { w.cancel(fmt.Errorf("%w: not finished after %s", errDeadline, l.Fetch)) })
	return w
}

// advance says that something arrived. It is called for every few kilobytes, so most calls do nothing.
func (w *watch) advance() {
	now := time.Now()
	if now.Sub(w.last) < min(w.stall/10, 100*time.Millisecond) {
		return
	}
	w.last = now
	w.timer.Reset(w.stall)
	if w.told != nil {
		w.told()
	}
}

func (w *watch) stop() {
	w.timer.Stop()
	w.total.Stop()
	w.cancel(nil)
}

// explain replaces the trace that a deadline left ("context canceled", "use of closed connection") by the deadline.
func (w *watch) explain(err error) error {
	if cause := context.Cause(w.ctx); err != nil && errors.Is(cause, errDeadline) {
		return cause
	}
	return err
}
