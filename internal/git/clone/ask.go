package clone

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/retry"
)

// backoff leaves a remote alone that asked for it, or that failed and has mirrors. The zero value asks at once.
type backoff struct {
	failures int
	until    time.Time
	because  error
	busy     bool // it said so itself
}

// busyWait is how long a remote is left alone that asked for it.
func busyWait() retry.Backoff {
	return retry.Backoff{First: 5 * time.Second, Most: 15 * time.Minute, Low: 1, High: 1.5}
}

// spareWait is for one that failed while a mirror can answer: it is missed, so it is tried again sooner.
func spareWait() retry.Backoff {
	return retry.Backoff{First: time.Minute, Most: 5 * time.Minute, Low: 1, High: 1.25}
}

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
	if !remote.Busy(err) {
		*b = backoff{}
		return
	}
	wait := busyWait().Delay(b.failures+1, rand.Float64())
	if after := remote.RetryAfter(err); after > 0 {
		wait = busyWait().Asked(after, rand.Float64())
	}
	*b = backoff{b.failures + 1, now.Add(wait), err, true}
}

// spare is learn for one of several: after any failure it is left alone.
func (b *backoff) spare(err error, now time.Time) {
	was := b.failures
	if b.learn(err, now); b.because == nil {
		*b = backoff{was + 1, now.Add(spareWait().Delay(was+1, rand.Float64())), err, false}
	}
}

// Ask asks the remote where the branch is. It writes nothing. After an answer that says "not now" (429, a rate-limited
// 403, 5xx) the remote is left alone for as long as it said, or for a time that doubles up to 15 minutes.
func (r *Repo) Ask(ctx context.Context) (remote.Tip, error) {
	m, err := r.dial()
	if err != nil {
		return remote.Tip{}, r.failed("ask", err)
	}
	slow := fmt.Errorf("no answer within %s", human.Setting(r.limits.Look))
	asking, cancel := context.WithTimeoutCause(ctx, r.limits.Look, slow)
	defer cancel()
	tip, err := m.tip(asking, r.source.Branch)
	if err != nil && len(m.list) == 1 && errors.Is(context.Cause(asking), slow) {
		err = slow
	}
	if err == nil {
		tip, err = r.keepsUp(asking, tip)
	}
	if err != nil {
		return remote.Tip{}, r.failed("ask", r.stays(err))
	}
	return tip, nil
}

// watch cuts off what does not advance, and what takes too long altogether.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	stall  time.Duration
	timer  *time.Timer
	total  *time.Timer
	told   func(Progress)
	so     Progress
	last   time.Time
}

// Progress is how far an Apply has come.
type Progress struct {
	Bytes   int64 // received
	Objects int   // received
	Files   int   // written and deleted in the tree
}

// errDeadline is in each error of a deadline of ours.
var errDeadline = errors.New("gave up")

func newWatch(ctx context.Context, l Limits, told func(Progress)) *watch {
	w := &watch{stall: l.Stall, told: told, last: time.Now()}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.timer = time.AfterFunc(l.Stall, func() { w.cancel(fmt.Errorf("%w: nothing advanced for %s", errDeadline, human.Setting(l.Stall))) })
	w.total = time.AfterFunc(l.Fetch, func() { w.cancel(fmt.Errorf("%w: not finished after %s", errDeadline, human.Setting(l.Fetch))) })
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
		w.told(w.so)
	}
}

// moved says how many files of a tree are done.
func (w *watch) moved(files int) {
	w.so.Files = files
	w.advance()
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
