package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
)

// Fleet is where the nodes and the history are read: *fold.Reader.
type Fleet interface {
	Read(ctx context.Context, now time.Time) (presence.Fleet, error)
	Since(ctx context.Context, position string) (list []fold.Transition, end string, err error)
	Endpoints(ctx context.Context, now time.Time) (presence.Endpoints, error)
}

// Cloud is the provider of instances.
type Cloud interface {
	// Instances lists those that the doctor may act on.
	Instances(ctx context.Context) ([]event.Provided, error)
	// Do starts, stops, launches or terminates an instance. A launch with a token that it had before is that launch.
	Do(ctx context.Context, action, id string, l event.Launch) (result string, err error)
}

// Options are what a doctor needs; Cloud may be nil.
type Options struct {
	Me     string // in claims; another doctor has another name
	Fleet  Fleet
	Store  *Store
	Cloud  Cloud
	Expect []event.Expected

	Handlers Handlers // nil = this doctor runs none

	Local  []string      // the addresses of this machine
	Lease  time.Duration // of a claim, which each round renews; 0 = 5 min
	Wait   time.Duration // for how long a round waits for what it began; 0 = 10 s
	Once   bool          // a round waits for all that it began
	DryRun bool          // it says what it would do
	Say    func(text string)
	Alarm  func(ctx context.Context, text string) // tells people elsewhere; nil = no alarm
}

// Doctor makes due actions happen, a round at a time. Use it from one goroutine at a time.
type Doctor struct {
	Options
	provider event.Provider // as the cloud said last
	unheard  error          // why it did not answer since
	jobs     []*job         // what goes on, also between rounds
	free     chan struct{}  // bounds how many calls to the cloud go on at once
	types    []string       // of events that have handlers
	looked   time.Time      // at the handlers; zero = never with success
}

const (
	defaultLease = 5 * time.Minute
	// askEach is how often the cloud is asked at most.
	askEach = time.Minute
	// sideBySide is how many calls to the cloud go on at once, and how many events are given to handlers.
	sideBySide  = 8
	defaultWait = 10 * time.Second
	// lookEach is after how long the handlers are looked at although events wait: no script may be replaced while it
	// runs.
	lookEach = 5 * time.Minute
)

// New makes a doctor; it asks nothing.
func New(o Options) *Doctor {
	o.Lease, o.Wait = cmp.Or(o.Lease, defaultLease), cmp.Or(o.Wait, defaultWait)
	return &Doctor{Options: o, free: make(chan struct{}, sideBySide)}
}

// Status is the status of the fleet as it is now.
func (d *Doctor) Status(ctx context.Context, now time.Time) (event.Status, error) {
	f, err := d.Fleet.Read(ctx, now)
	if err != nil {
		return event.Status{}, err
	}
	if since := now.Sub(d.provider.At); d.Cloud != nil && (since >= askEach || since < 0) {
		list, err := d.Cloud.Instances(ctx)
		// Without an answer the last one stays: else each instance would look as if it was terminated.
		if d.unheard = err; err == nil {
			d.provider = event.Provider{At: now, Instances: list}
		}
	}
	// Read after the nodes: a user that has worked with other endpoints than the newest counts as behind.
	ends, err := d.Fleet.Endpoints(ctx, now)
	if err != nil {
		return event.Status{}, err
	}
	return event.StatusOf(f, d.provider, now).With(d.Expect).WithSets(ends), nil
}

// look looks at the handlers, and says how many events may be given to them.
func (d *Doctor) look(ctx context.Context, now time.Time) (most int, err error) {
	if d.Handlers == nil {
		return 0, nil
	}
	running := d.handling()
	if running == 0 {
		types, failed := d.Handlers.Look(ctx)
		if d.types = types; failed == nil {
			d.looked = now
		}
		err = failed
	}
	if since := now.Sub(d.looked); d.looked.IsZero() || running > 0 && since > lookEach {
		return 0, err
	}
	return sideBySide - running, err
}

// Round takes in what happened, claims what is due in the same push, does it, and writes down what became of it. What
// takes longer goes on while later rounds renew its claim.
func (d *Doctor) Round(ctx context.Context, now time.Time) error {
	began := time.Now()
	// present is the time now: a claim is short, and reading may take minutes.
	present := func() time.Time { return now.Add(time.Since(began)) }
	var at instant // of the claim
	s, err := d.Status(ctx, now)
	if err != nil {
		// What goes on needs its claim all the same.
		return fmt.Errorf("doctor: %w", errors.Join(err, d.write(ctx, present())))
	}
	most, troubled := d.look(ctx, now)
	var claimed []event.Entry
	var given []event.Delivery
	ended := d.endedJobs()
	q, err := d.Store.change(ctx, now, d.DryRun, func(q event.Queue) (event.Queue, []event.Line, error) {
		list, end, err := d.Fleet.Since(ctx, q.History)
		if err != nil {
			return q, nil, err
		}
		events := event.FromHistory(list, s)
		var lines []event.Line
		for _, e := range q.News(s) {
			events = append(events, e)
			lines = append(lines, event.Line{Time: e.At, Event: &e})
		}
		at = instant{present(), time.Now()}
		next, of := d.takeJobs(q, ended, at.now)
		lines = append(lines, of...)
		next, of = next.TakeIn(events, end, s, now).StartFirst(d.Expect, s, now).Handle(d.types).Deliver(events, now)
		lines = append(lines, of...)
		next, claimed = next.Claim(d.Me, s, d.Lease, at.now)
		next, given = next.ClaimHandlers(d.Me, d.types, most, d.Lease, at.now)
		for _, one := range given {
			lines = append(lines, one.Line(event.Runs, "", at.now))
		}
		return next, lines, nil
	})
	if err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	if d.DryRun {
		for _, e := range claimed {
			d.Say("would do " + e.ID + ": " + e.String())
		}
		for _, one := range given {
			d.Say("would run the handlers of " + one.Event.Type + " " + one.Event.Name + " " + one.Event.State)
		}
		return nil
	}
	d.landed(q, ended, at)
	d.alarm(ctx, ended)
	for _, one := range given {
		d.beginHandlers(ctx, one, at)
	}
	if err := d.act(ctx, claimed, s, at); err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	for d.Once && len(d.jobs) > 0 && ctx.Err() == nil {
		d.await(ctx, d.Lease/3)
		if err := d.write(ctx, present()); err != nil {
			return fmt.Errorf("doctor: %w", err)
		}
	}
	if err := errors.Join(d.sweep(ctx, q, s, now), d.unheard, troubled); err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	return nil
}

// act begins what was claimed, waits for it a moment, and writes down what became of it.
func (d *Doctor) act(ctx context.Context, claimed []event.Entry, s event.Status, at instant) error {
	var ask []event.Entry
	for _, e := range claimed {
		if e.DoLevel == event.Instances {
			d.beginAction(ctx, e, s, at)
		} else {
			ask = append(ask, e)
		}
	}
	d.ask(ctx, ask, s, at)
	d.await(ctx, d.Wait)
	if ctx.Err() != nil {
		return nil // told to end: Close gives up the claims
	}
	return d.write(ctx, at.now.Add(time.Since(at.real)))
}

// alarm tells people of the actions and handlers that the last change of the queue ended without success. Only the
// doctor whose push landed does. What it did itself and ended is said already.
func (d *Doctor) alarm(ctx context.Context, ended []*job) {
	for _, l := range d.Store.landed {
		if l.Phase != event.Failed && l.Phase != event.Expired {
			continue
		}
		text := l.ID + ": " + l.Action + " " + string(l.Phase) + ": " + l.Result
		if !slices.ContainsFunc(ended, func(j *job) bool { return j.id == l.ID }) {
			d.Say(text)
		}
		if d.Alarm != nil {
			d.Alarm(ctx, text)
		}
	}
	d.Store.landed = nil
}

// instances does an action on the instances that its group means.
func (d *Doctor) instances(ctx *lease, e event.Entry, s event.Status, provided []event.Provided) event.Outcome {
	o := event.Outcome{ID: e.ID}
	if d.Cloud == nil {
		o.Err, o.Final = errors.New("this doctor has no credentials for EC2"), false
		return o
	}
	if o.Err = ctx.lost(); o.Err != nil {
		return o
	}
	if e.DoAction == "launch" {
		i := slices.IndexFunc(d.Expect, func(x event.Expected) bool { return x.Name == e.DoGroup || x.IP == e.DoGroup })
		if i < 0 || d.Expect[i].Launch.Template == "" {
			o.Err, o.Final = fmt.Errorf("%s has no launch in --expect", human.Quote(e.DoGroup)), true
			return o
		}
		l := d.Expect[i].Launch
		l.Token, l.IP, l.Name = e.Token(), d.Expect[i].IP, d.Expect[i].Name
		o.Result, o.Err = d.Cloud.Do(ctx, e.DoAction, "", l)
		o.Relaunch = errors.Is(o.Err, ErrGone)
		return o
	}
	var done []string
	for _, id := range s.InstancesOf(e.DoGroup) {
		if !slices.ContainsFunc(provided, func(p event.Provided) bool { return p.ID == id }) {
			continue // a node that is no instance of this provider
		}
		if err := ctx.lost(); err != nil { // another doctor may be doing it
			o.Err = errors.Join(o.Err, err)
			break
		}
		if _, err := d.Cloud.Do(ctx, e.DoAction, id, event.Launch{}); err != nil {
			o.Err = errors.Join(o.Err, fmt.Errorf("%s: %w", id, err))
		}
		done = append(done, id)
	}
	if len(done) == 0 {
		o.Err = fmt.Errorf("no instance %s with the tag add:deployment", human.Quote(e.DoGroup))
	}
	o.Result = human.Some(done, 5)
	return o
}

// ErrGone is in the error of a launch whose token belongs to an instance that was terminated since.
var ErrGone = errors.New("what this token launched is terminated")
