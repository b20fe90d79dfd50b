package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
	"github.com/addagent/addagent/presence/gitstore"
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
	Local  []string      // the addresses of this machine
	Lease  time.Duration // of a claim; what is not done by then is left to the next round; 0 = 5 min
	DryRun bool          // it says what it would do
	Say    func(text string)
	Alarm  func(ctx context.Context, text string) // tells people elsewhere; nil = no alarm
}

// Doctor makes due actions happen, a round at a time. Use it from one goroutine at a time.
type Doctor struct {
	Options
	provider event.Provider // as the cloud said last
	unheard  error          // why it did not answer since
}

const (
	defaultLease = 5 * time.Minute
	// askEach is how often the cloud is asked at most.
	askEach = time.Minute
	// sideBySide is how many calls to the cloud go on at once.
	sideBySide = 8
)

// New makes a doctor; it asks nothing.
func New(o Options) *Doctor {
	o.Lease = cmp.Or(o.Lease, defaultLease)
	return &Doctor{Options: o}
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

// Round takes in what happened, claims what is due in the same push, does it, and writes down what became of it.
func (d *Doctor) Round(ctx context.Context, now time.Time) error {
	began := time.Now()
	// present is the time now: a claim is short, and reading may take minutes.
	present := func() time.Time { return now.Add(time.Since(began)) }
	s, err := d.Status(ctx, now)
	if err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	var claimed []event.Entry
	q, err := d.Store.change(ctx, now, d.DryRun, func(q event.Queue) (event.Queue, []event.Line, error) {
		list, end, err := d.Fleet.Since(ctx, q.History)
		if err != nil {
			return q, nil, err
		}
		events := event.FromHistory(list, s)
		var seen []event.Line
		for _, e := range q.News(s) {
			events = append(events, e)
			seen = append(seen, event.Line{Time: e.At, Event: &e})
		}
		next := q.TakeIn(events, end, s, now).StartFirst(d.Expect, s, now)
		next, claimed = next.Claim(d.Me, s, d.Lease, present())
		return next, seen, nil
	})
	if err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	d.alarm(ctx)
	if d.DryRun {
		for _, e := range claimed {
			d.Say("would do " + e.ID + ": " + e.String())
		}
		return nil
	}
	if len(claimed) > 0 {
		if err := d.act(ctx, claimed, s, present()); err != nil {
			return fmt.Errorf("doctor: %w", err)
		}
	}
	if err := errors.Join(d.sweep(ctx, q, s, now), d.unheard); err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	return nil
}

// act does what was claimed, for three quarters of what is left of the first claim to end, and writes down what became
// of it.
func (d *Doctor) act(ctx context.Context, claimed []event.Entry, s event.Status, now time.Time) error {
	outcomes := make([]event.Outcome, len(claimed))
	left := slices.MinFunc(claimed, func(a, b event.Entry) int { return a.Until.Compare(b.Until) }).Until.Sub(now)
	acting, stop := context.WithTimeoutCause(ctx, left-left/4, errors.New("not finished while the claim lasted"))
	defer stop()
	var going sync.WaitGroup
	free := make(chan struct{}, sideBySide)
	var ask []int
	for i, e := range claimed {
		if e.DoLevel != event.Instances {
			ask = append(ask, i)
			continue
		}
		going.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			outcomes[i] = d.instances(acting, e, s)
		})
	}
	d.ask(acting, claimed, ask, outcomes, s, now)
	going.Wait()
	if ctx.Err() != nil {
		return nil // told to end: another doctor takes over what is not written down
	}
	_, err := d.Store.Change(ctx, now, func(q event.Queue) (event.Queue, []event.Line, error) {
		return q.End(d.Me, outcomes, now), nil, nil
	})
	d.alarm(ctx)
	for i, e := range claimed {
		switch o := outcomes[i]; {
		case o.Err != nil:
			d.Say(e.ID + ": " + e.String() + ": " + o.Err.Error())
		case len(o.Asked) > 0:
			d.Say(e.ID + ": " + e.String() + ": asked " + human.Some(o.Asked, 5))
		default:
			d.Say(strings.TrimSuffix(e.ID+": "+e.String()+": "+o.Result, ": "))
		}
	}
	return err
}

// alarm tells people of the actions that the last change of the queue ended without success. Only the doctor whose push
// landed does.
func (d *Doctor) alarm(ctx context.Context) {
	for _, l := range d.Store.landed {
		if (l.Phase == event.Failed || l.Phase == event.Expired) && d.Alarm != nil {
			d.Alarm(ctx, l.ID+": "+l.Action+" "+string(l.Phase)+": "+l.Result)
		}
	}
	d.Store.landed = nil
}

// ask asks nodes, all in one push. The id of a request is the same whenever this try is repeated, so that a node obeys
// it once.
func (d *Doctor) ask(ctx context.Context, claimed []event.Entry, which []int, outcomes []event.Outcome, s event.Status, now time.Time) {
	if len(which) == 0 {
		return
	}
	for _, i := range which {
		e := claimed[i]
		outcomes[i] = event.Outcome{ID: e.ID, Asked: e.Targets(s, d.Local), Request: e.ID + "-" + strconv.Itoa(e.Tries+1)}
		if len(outcomes[i].Asked) == 0 {
			outcomes[i].Err = fmt.Errorf("no present node %s %s", map[bool]string{true: "offers", false: "matches"}[e.DoLevel == event.Services], human.Quote(e.DoGroup))
		}
	}
	for {
		want := map[string][]gitstore.Request{}
		for _, i := range which {
			for _, target := range outcomes[i].Asked {
				if e := claimed[i]; outcomes[i].Err == nil {
					id, service := event.Target(target)
					want[id] = append(want[id], gitstore.Request{ID: event.RequestID(outcomes[i].Request, target), Action: e.DoAction, Target: service, By: requester, Until: e.End()})
				}
			}
		}
		err := d.Store.request(ctx, want, nil, nil, now)
		full, only := errors.AsType[*gitstore.FullError](err) // the other nodes are asked all the same
		for _, i := range which {
			of := func(target string) bool { id, _ := event.Target(target); return only && id == full.Node }
			if outcomes[i].Err == nil && (!only || slices.ContainsFunc(outcomes[i].Asked, of)) {
				outcomes[i].Err = err
			}
		}
		if !only {
			return
		}
	}
}

// requester is in the requests that a doctor removes again.
const requester = "doctor"

// sweep removes the requests of doctors whose answers are taken in, and those that have expired. Another doctor may
// have asked since the queue was read, so no action may seem to stand behind a request: its answer alone decides.
func (d *Doctor) sweep(ctx context.Context, q event.Queue, s event.Status, now time.Time) error {
	done := map[string]bool{}  // node and request
	waits := map[string]bool{} // nodes whose requests all stay, so that their refs are not read
	for _, e := range q.Actions {
		for target, answer := range e.Nodes {
			id, _ := event.Target(target)
			waits[id] = waits[id] || answer == ""
		}
	}
	for _, n := range s.Nodes {
		for _, a := range n.Answers {
			done[n.InstanceID+" "+a.ID] = a.Code != presence.AnswerAccepted
			waits[n.InstanceID] = waits[n.InstanceID] && a.Code == presence.AnswerAccepted
		}
	}
	for _, e := range q.Actions {
		for target, answer := range e.Nodes {
			if id, _ := event.Target(target); answer == "" {
				delete(done, id+" "+event.RequestID(e.Request, target))
			}
		}
	}
	return d.Store.request(ctx, nil, func(id string, r gitstore.Request) bool {
		return r.By != requester || !done[id+" "+r.ID] && now.Before(r.Until)
	}, waits, now)
}

// request adds requests to the refs of nodes, or keeps of those that are there what keep says, but of the nodes in
// spare all; in one push.
func (s *Store) request(ctx context.Context, want map[string][]gitstore.Request, keep func(id string, r gitstore.Request) bool, spare map[string]bool, now time.Time) error {
	for try := 1; ; try++ {
		tips, err := gitstore.RequestsOf(ctx, s.repo)
		if err != nil {
			return err
		}
		ids := slices.Collect(maps.Keys(want))
		if keep != nil {
			ids = slices.Collect(maps.Keys(tips))
		}
		slices.Sort(ids)
		var updates []remote.Update
		for _, id := range ids {
			var list []gitstore.Request
			if spare[id] {
				continue
			}
			if tips[id] != "" {
				list, err = gitstore.ReadRequests(ctx, s.repo, tips[id])
				_, garbage := errors.AsType[*gitstore.MalformedError](err)
				switch {
				case err != nil && keep != nil:
					continue // it stays
				case err != nil && !garbage:
					return err // what a person asks is not lost
				}
			}
			was := slices.Clone(list)
			if keep != nil {
				list = slices.DeleteFunc(list, func(r gitstore.Request) bool { return !keep(id, r) })
			}
			for _, r := range want[id] {
				if !slices.ContainsFunc(list, func(o gitstore.Request) bool { return o.ID == r.ID }) {
					list = append(list, r)
				}
			}
			if len(list) > gitstore.MostRequests { // those of people stand until room is needed
				list = slices.DeleteFunc(list, func(r gitstore.Request) bool { return !now.Before(r.Until) })
			}
			if slices.Equal(list, was) || keep != nil && len(list) > gitstore.MostRequests {
				continue
			}
			u, err := gitstore.RequestsUpdate(id, tips[id], list, s.who, now)
			if err != nil {
				return err
			}
			updates = append(updates, u)
		}
		if len(updates) == 0 {
			return nil
		}
		err = s.repo.Push(ctx, updates...)
		if _, raced := errors.AsType[*remote.Rejected](err); !raced || try == races || !pause(ctx, try) {
			return err
		}
	}
}

// instances does an action on the instances that its group means.
func (d *Doctor) instances(ctx context.Context, e event.Entry, s event.Status) event.Outcome {
	o := event.Outcome{ID: e.ID}
	if d.Cloud == nil {
		o.Err, o.Final = errors.New("this doctor has no credentials for EC2"), false
		return o
	}
	if e.DoAction == "launch" {
		i := slices.IndexFunc(d.Expect, func(x event.Expected) bool { return x.Name == e.DoGroup || x.IP == e.DoGroup })
		if i < 0 || d.Expect[i].Launch.Template == "" {
			o.Err, o.Final = fmt.Errorf("%s has no launch in --expect", human.Quote(e.DoGroup)), true
			return o
		}
		l := d.Expect[i].Launch
		l.Token, l.IP, l.Name = e.ID, d.Expect[i].IP, d.Expect[i].Name
		if e.Launches > 0 {
			l.Token += "-" + strconv.Itoa(e.Launches)
		}
		o.Result, o.Err = d.Cloud.Do(ctx, e.DoAction, "", l)
		o.Relaunch = errors.Is(o.Err, ErrGone)
		return o
	}
	var done []string
	for _, id := range s.InstancesOf(e.DoGroup) {
		if !slices.ContainsFunc(d.provider.Instances, func(p event.Provided) bool { return p.ID == id }) {
			continue // a node that is no instance of this provider
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
