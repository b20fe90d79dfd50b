package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/internal/human"
)

// Handlers are the scripts that get events: *handler.Repository.
type Handlers interface {
	// Look takes in the newest version, and returns the types of events that have a handler. It is not called while one
	// runs.
	Look(ctx context.Context) (types []string, err error)
	// Run runs the handlers of an event but for those that are done, and returns those that are done now. left is for
	// how long they may still run. Several events are handled at once.
	Run(ctx context.Context, e event.Event, done []string, left func() time.Duration) (did []string, err error)
}

// lease is a context that ends when it is not renewed.
type lease struct {
	context.Context
	stop  context.CancelCauseFunc
	timer *time.Timer
	until atomic.Int64 // unix nanoseconds
}

var (
	errLeaseEnded = errors.New("its claim ended before it did, and could not be renewed")
	errTold       = errors.New("the doctor was told to end")
)

// instant is one moment by the clock of the queue and by that of this process, so that the time between a claim and
// what follows from it counts, also when the process was stopped meanwhile.
type instant struct{ now, real time.Time }

// end is until when what is claimed until some time may go on: a quarter less than the claim, for what is stopped needs
// time to end.
func (i instant) end(until time.Time) time.Time {
	claim := until.Sub(i.now)
	return i.real.Add(claim - claim/4)
}

func newLease(ctx context.Context, end time.Time) *lease {
	ctx, stop := context.WithCancelCause(ctx)
	l := &lease{Context: ctx, stop: stop}
	l.until.Store(end.UnixNano())
	if l.left() <= 0 {
		stop(errLeaseEnded)
	}
	l.timer = time.AfterFunc(time.Until(end), func() { stop(errLeaseEnded) })
	return l
}

func (l *lease) renew(end time.Time) {
	l.until.Store(end.UnixNano())
	l.timer.Reset(time.Until(end))
}

// Deadline is until when it was renewed.
func (l *lease) Deadline() (time.Time, bool) { return time.Unix(0, l.until.Load()), true }

// left is by the wall clock: a process that was stopped, or a machine that was suspended, has lost that time.
func (l *lease) left() time.Duration { return time.Duration(l.until.Load() - time.Now().UnixNano()) }

// released says that it ended because the doctor was told to end.
func (l *lease) released() bool {
	cause := context.Cause(l)
	return errors.Is(cause, errTold) || errors.Is(cause, context.Canceled)
}

// lost says why what goes on under a lease must not begin another step; nil = it may.
func (l *lease) lost() error {
	if l.Err() == nil && l.left() <= 0 {
		l.stop(errLeaseEnded)
	}
	return context.Cause(l)
}

// job is something that a doctor is doing: the call of an instance action, or the handlers of an event.
type job struct {
	id    string // of the action, or of the event
	what  string
	lease *lease
	over  chan struct{} // closed once the outcome is there

	outcome event.Outcome  // of an action
	handled *event.Handled // of an event
}

func (j *job) ended() bool {
	select {
	case <-j.over:
		return true
	default:
		return false
	}
}

// begin does something while its claim lasts.
func (d *Doctor) begin(ctx context.Context, j *job, end time.Time, do func(*job)) {
	j.lease, j.over = newLease(ctx, end), make(chan struct{})
	d.jobs = append(d.jobs, j)
	go func() {
		defer close(j.over)
		do(j)
		j.lease.timer.Stop()
	}()
}

// beginAction does an action on instances.
func (d *Doctor) beginAction(ctx context.Context, e event.Entry, s event.Status, at instant) {
	provided := d.provider.Instances
	d.begin(ctx, &job{id: e.ID, what: e.String()}, at.end(e.Until), func(j *job) {
		d.free <- struct{}{}
		defer func() { <-d.free }()
		j.outcome = d.instances(j.lease, e, s, provided)
		j.outcome.Released = j.outcome.Err != nil && j.lease.released()
	})
}

// beginHandlers runs the handlers of an event.
func (d *Doctor) beginHandlers(ctx context.Context, one event.Delivery, at instant) {
	e := one.Event
	j := &job{id: e.ID, what: "handlers of " + strings.Join(strings.Fields(e.Type+" "+e.Name+" "+e.State), " "), handled: &event.Handled{ID: e.ID}}
	d.begin(ctx, j, at.end(one.Until), func(j *job) {
		j.handled.Done = one.Done
		if j.handled.Err = j.lease.lost(); j.handled.Err == nil {
			j.handled.Done, j.handled.Err = d.Handlers.Run(j.lease, e, one.Done, j.lease.left)
		}
		j.handled.Released = j.handled.Err != nil && j.lease.released()
	})
}

// doing are the ids of what goes on.
func (d *Doctor) doing() (ids []string) {
	for _, j := range d.jobs {
		if !j.ended() {
			ids = append(ids, j.id)
		}
	}
	return ids
}

// handling is how many events are handled now.
func (d *Doctor) handling() (n int) {
	for _, j := range d.jobs {
		if j.handled != nil {
			n++
		}
	}
	return n
}

// takeJobs takes the outcomes of jobs that ended into the queue, and renews the claims of the others.
func (d *Doctor) takeJobs(q event.Queue, ended []*job, now time.Time) (event.Queue, []event.Line) {
	var outcomes []event.Outcome
	var handled []event.Handled
	for _, j := range ended {
		if j.handled != nil {
			handled = append(handled, *j.handled)
		} else {
			outcomes = append(outcomes, j.outcome)
		}
	}
	q, lines := q.End(d.Me, outcomes, now).EndHandlers(d.Me, handled, now)
	return q.Renew(d.Me, d.doing(), d.Lease, now), lines
}

// endedJobs are those whose outcome is there.
func (d *Doctor) endedJobs() (list []*job) {
	for _, j := range d.jobs {
		if j.ended() {
			list = append(list, j)
		}
	}
	return list
}

// landed is called when the queue is written: what ended is forgotten, what is claimed goes on, and what is no longer
// claimed by this doctor is stopped.
func (d *Doctor) landed(q event.Queue, ended []*job, at instant) {
	for _, j := range ended {
		d.Say(j.says())
	}
	d.jobs = slices.DeleteFunc(d.jobs, func(j *job) bool { return slices.Contains(ended, j) })
	untils := q.Untils(d.Me)
	for _, j := range d.jobs {
		if until, mine := untils[j.id]; mine {
			j.lease.renew(at.end(until))
		} else {
			j.lease.stop(errors.New("cancelled, or another doctor has taken over"))
		}
	}
}

// says words how a job ended, for people.
func (j *job) says() string {
	text := j.id + ": " + j.what
	switch {
	case j.handled != nil && j.handled.Err != nil:
		text += ": " + human.Lines(j.handled.Err.Error())
	case j.handled != nil:
		text += ": " + human.Count(len(j.handled.Done), "handler") + " done"
	case j.outcome.Err != nil:
		text += ": " + human.Lines(j.outcome.Err.Error())
	case len(j.outcome.Asked) > 0:
		text += ": asked " + human.Some(j.outcome.Asked, 5)
	case j.outcome.Result != "":
		text += ": " + j.outcome.Result
	}
	return text
}

// await waits until all jobs have ended, for so long at most.
func (d *Doctor) await(ctx context.Context, most time.Duration) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	for _, j := range d.jobs {
		select {
		case <-j.over:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// write writes down what ended, and renews the claims of what goes on.
func (d *Doctor) write(ctx context.Context, now time.Time) error {
	if len(d.jobs) == 0 {
		return nil
	}
	ended, at := d.endedJobs(), instant{now, time.Now()}
	q, err := d.Store.Change(ctx, now, func(q event.Queue) (event.Queue, []event.Line, error) {
		q, lines := d.takeJobs(q, ended, now)
		return q, lines, nil
	})
	if err != nil {
		return err
	}
	d.landed(q, ended, at)
	d.alarm(ctx, ended)
	return nil
}

// stopMost is how long Close waits for what it stops, and then for the push that says so.
const stopMost = 20 * time.Second

// Close ends what goes on, and gives up the claims, so that another doctor need not wait until they end. Its rounds
// have ended, and so has their context.
func (d *Doctor) Close(now time.Time) error {
	ctx, stop := context.WithTimeout(context.Background(), stopMost)
	defer stop()
	for _, j := range d.jobs {
		j.lease.stop(errTold)
	}
	d.await(ctx, stopMost/2)
	return d.write(ctx, now)
}
