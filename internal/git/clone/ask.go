package clone

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/human"
)

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
