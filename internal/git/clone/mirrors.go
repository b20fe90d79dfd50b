package clone

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/protocol"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/git/transport"
	"github.com/addagent/addagent/internal/human"
)

// mirrors are where one repository is: its URL, and its mirrors in their order. The URL is asked first at each look;
// one that fails is left alone for a while, so that it does not cost each look its time while the next can answer.
type mirrors struct {
	list  []*endpoint
	stall time.Duration
	told  *endpoint  // who told the last tip
	tips  remote.Tip // and which
	gives *endpoint  // whom the last pack comes from
	said  []string
	waits remote.Waits
	// behind says, as long as it is so, that only a mirror answers and that it is not ahead: nothing new can be seen.
	behind string
}

// endpoint is one address.
type endpoint struct {
	*remote.Repository
	url  string // redacted
	wait remote.Backoff
}

func newMirrors(s remote.Source, l Limits) (*mirrors, error) {
	p := &mirrors{stall: l.Stall, waits: remote.Waits{Path: l.Waits}}
	waits, err := p.waits.Recall()
	if err != nil {
		p.say("%v", err)
	}
	for _, url := range append([]string{s.URL}, s.Mirrors...) {
		at := s
		at.URL, at.Mirrors = url, nil
		m, err := remote.New(at)
		if err != nil {
			return nil, err
		}
		p.list = append(p.list, &endpoint{Repository: m, url: at.Redacted(), wait: waits[at.Redacted()]})
	}
	return p, nil
}

// remember brings the file of waits up to date after something was asked.
func (p *mirrors) remember() {
	var waits map[string]remote.Backoff
	for _, at := range p.list {
		if at.wait.Failures == 0 {
			continue
		}
		if waits == nil {
			waits = map[string]remote.Backoff{}
		}
		waits[at.url] = at.wait
	}
	p.waits.Save(waits)
}

func (p *mirrors) close() {
	for _, at := range p.list {
		_ = at.Close()
	}
}

// due are the endpoints to try now. When all are left alone, those are tried that did not ask for that.
func (p *mirrors) due(now time.Time) []*endpoint {
	var free, failed []*endpoint
	for _, at := range p.list {
		switch {
		case at.wait.Over(now) == nil:
			free = append(free, at)
		case !at.wait.Busy:
			failed = append(failed, at)
		}
	}
	if len(free) == 0 {
		return failed
	}
	return free
}

// tip asks one endpoint after the other. Each gets its share of the time that is left.
func (p *mirrors) tip(ctx context.Context, branch string) (remote.Tip, error) {
	defer p.remember()
	due := p.due(time.Now())
	for i, at := range due {
		tip, err := at.share(ctx, branch, len(due)-i)
		var absent *remote.NoBranchError
		// That a branch is not there is an answer; of a mirror it may only mean that it lags.
		if answer := errors.As(err, &absent) && at == p.list[0]; err == nil || answer {
			at.wait = remote.Backoff{}
			p.heard(at, tip)
			return tip, err
		}
		if errors.Is(ctx.Err(), context.Canceled) {
			return remote.Tip{}, err // we are the ones who go
		}
		at.wait.Spare(err, time.Now())
	}
	var errs []error
	now := time.Now()
	for i, at := range p.list {
		// One that was just asked needs no word on when it is asked again: at the next look, when none answers.
		err := at.wait.Because()
		if held := at.wait.Over(now); at.wait.Busy && held != nil {
			err = held
		}
		if err != nil && i > 0 {
			err = fmt.Errorf("mirror %s: %w", at.url, err)
		}
		errs = append(errs, err)
	}
	return remote.Tip{}, transport.OneLine(errs...)
}

// share asks one of so many endpoints that are still to be tried.
func (at *endpoint) share(ctx context.Context, branch string, left int) (remote.Tip, error) {
	deadline, ok := ctx.Deadline()
	if !ok || left == 1 {
		tip, err := at.Tip(ctx, branch)
		if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = context.Cause(ctx)
		}
		return tip, err
	}
	tip, end, err := within(ctx, time.Until(deadline)/time.Duration(left), func(ctx context.Context) (remote.Tip, error) {
		return at.Tip(ctx, branch)
	})
	end()
	return tip, err
}

// within gives up what takes longer than its share of the time, so that an endpoint that hangs leaves time for the
// others. What it returns is good until end is called.
func within[T any](ctx context.Context, share time.Duration, do func(context.Context) (T, error)) (got T, end func(), err error) {
	slow := fmt.Errorf("no answer within %s", human.Setting(share.Round(min(time.Second, max(share/10, 1)))))
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(share, func() { cancel(slow) })
	got, err = do(ctx)
	timer.Stop()
	if err != nil && errors.Is(context.Cause(ctx), slow) {
		err = slow
	}
	return got, func() { cancel(nil) }, err
}

// heard notes who answered, and says so when it is another than before.
func (p *mirrors) heard(at *endpoint, tip remote.Tip) {
	first := p.list[0]
	switch {
	case at == p.told || p.told == nil && at == first:
	case at == first:
		p.say("%s answers again: it is asked, and no mirror", first.url)
	default:
		p.say("the mirror %s is asked: %s cannot be: %v", at.url, first.url, first.wait.Because())
	}
	p.told, p.tips = at, tip
}

func (p *mirrors) say(format string, args ...any) {
	p.said = append(p.said, fmt.Sprintf(format, args...))
}

// fromMirror says whether a tip is what a mirror told.
func (p *mirrors) fromMirror(tip remote.Tip) bool {
	return p.told != nil && p.told != p.list[0] && p.tips == tip
}

// fetch asks the endpoint that told the tip first, then the others. One that fails is left alone for a while.
func (p *mirrors) fetch(ctx context.Context, f protocol.FetchRequest) (*protocol.Pack, error) {
	defer p.remember()
	if len(p.list) == 1 {
		at := p.list[0]
		pack, err := at.Fetch(ctx, f)
		if remote.Busy(err) {
			at.wait.Learn(err, time.Now())
		}
		return pack, err
	}
	due := p.due(time.Now())
	slices.SortStableFunc(due, func(a, b *endpoint) int {
		switch {
		case a == p.told:
			return -1
		case b == p.told:
			return 1
		}
		return 0
	})
	var errs []error
	for i, at := range due {
		pack, err := p.begin(ctx, at, f, len(due)-i)
		if err == nil {
			p.gives = at
			return pack, nil
		}
		// What the server says of itself may be that it does not have this commit yet.
		if _, said := errors.AsType[*protocol.RemoteError](err); !said {
			at.wait.Spare(err, time.Now())
		}
		errs = append(errs, fmt.Errorf("%s: %w", at.url, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, transport.OneLine(errs...)
}

// begin waits for the beginning of a pack no longer than its share, so that an endpoint that hangs leaves time for the
// others.
func (p *mirrors) begin(ctx context.Context, at *endpoint, f protocol.FetchRequest, left int) (*protocol.Pack, error) {
	if left == 1 {
		return at.Fetch(ctx, f)
	}
	pack, end, err := within(ctx, p.stall/time.Duration(left), func(ctx context.Context) (*protocol.Pack, error) {
		return at.Fetch(ctx, f)
	})
	if err != nil {
		end()
		return nil, err
	}
	pack.AfterClose(end)
	return pack, nil
}

// elsewhere takes in that a pack did not arrive whole from where it was begun, and says whether another endpoint is to
// be tried.
func (p *mirrors) elsewhere(ctx context.Context, err error) bool {
	var path *fs.PathError
	var link *os.LinkError
	if err == nil || len(p.list) == 1 || p.gives == nil || errors.Is(err, protocol.ErrTooLarge) ||
		errors.As(err, &path) || errors.As(err, &link) || errors.Is(err, syscall.ENOSPC) {
		return false // a bound of ours, and a fault of our disk, are the same everywhere
	}
	now := time.Now()
	p.gives.wait.Spare(err, now)
	p.remember()
	return ctx.Err() == nil && slices.ContainsFunc(p.list, func(at *endpoint) bool { return at.wait.Over(now) == nil })
}

// Notices are what a person should know of the asking since the last call: which endpoint answers.
func (r *Repo) Notices() []string {
	if r.mirrors == nil || len(r.mirrors.said) == 0 {
		return nil
	}
	said := r.mirrors.said
	r.mirrors.said = nil
	return said
}

// keepsUp is a mirror's tip when it is a step forward from what is applied, or being applied; else it is that. A
// mirror that lags, or was changed, does not move the clone back, whatever rewind says: it is believed only when it
// proves, before anything is fetched, that what is here leads to what it tells.
func (r *Repo) keepsUp(ctx context.Context, tip remote.Tip) (remote.Tip, error) {
	r.mirrors.behind = ""
	if !r.mirrors.fromMirror(tip) {
		return tip, nil
	}
	found, err := r.inspect()
	if err != nil {
		return tip, err
	}
	at := found.head
	if found.unfinished && !found.mark.To.IsZero() {
		at.ID = found.mark.To.String()
	}
	// Another remote is a person's wish, and so is another branch, unless it is the mirror that chooses it.
	if found.reason != "" || found.other != "" || at.ID == "" || at == tip || at.Branch != tip.Branch && r.source.Branch != "" {
		return tip, nil
	}
	from, _ := objects.ParseID(at.ID)
	to, _ := objects.ParseID(tip.ID)
	if r.judged.from != from || r.judged.to != to {
		back := "it is the same commit on another branch"
		if from != to {
			w := newWatch(ctx, r.limits, nil)
			defer w.stop()
			if back, err = r.descent(w, from, to, true); err != nil {
				return tip, fmt.Errorf("mirror %s: %w", r.mirrors.told.url, w.explain(err))
			}
		}
		r.judged = judged{from, to, back}
	}
	if r.judged.back == "" {
		return tip, nil
	}
	r.mirrors.behind = fmt.Sprintf("%s cannot be asked, and what the mirror %s has (%s) does not follow %s: this node stays there",
		r.mirrors.list[0].url, r.mirrors.told.url, human.ID(tip.ID), human.ID(at.ID))
	return at, nil
}

// Behind says that the last Ask saw nothing but a mirror that is not ahead of what is here; "" = it saw the tip.
func (r *Repo) Behind() string {
	if r.mirrors == nil {
		return ""
	}
	return r.mirrors.behind
}
