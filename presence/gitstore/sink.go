// Package gitstore publishes one node's presence record in a git repository: one ref a node, moved by a
// compare-and-swap.
//
// Begin with Sink in sink.go. ratelimit.go decides what is pushed when, within a limit that the whole fleet shares;
// commit.go keeps the history of a ref bounded; push.go notices when two machines use one name. lease.go holds leases,
// which only one of many nodes can win. It reads no other node.
package gitstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/git/transport"
	"github.com/addagent/addagent/internal/retry"
	"github.com/addagent/addagent/presence"
)

// Remote is what the sink and the leases need of a git repository without a clone; *remote.Repository is one.
type Remote interface {
	Refs(ctx context.Context, prefixes ...string) ([]remote.Ref, error)
	Read(ctx context.Context, ids []string, o remote.ReadOptions) (*objects.Content, error)
	Push(ctx context.Context, updates ...remote.Update) error
}

// Options say where a node's record goes in the presence repository.
type Options struct {
	Remote    Remote        // for this sink alone; it is closed after each push, if it has a Close
	Source    string        // names the repository in StateFile, without secrets
	Prefix    string        // ref_prefix of the config, with a slash at its end; "" = RefPrefix
	StateFile string        // remembers the ref; it belongs to the hardware
	Refresh   time.Duration // an unchanged record is pushed this often, less often in a large fleet; 0 = 10 min
	Pushes    int           // a minute, which the repository takes from all nodes together; 0 = 6
	Timeout   time.Duration // of one request for refs, and of one push; 0 = 20 s
}

const defaultRefresh, defaultTimeout = 10 * time.Minute, 20 * time.Second

// Sink pushes the record to the node's ref. Tell never waits for the network: one goroutine pushes.
type Sink struct {
	o    Options
	ctx  context.Context
	stop context.CancelFunc
	done chan struct{}
	wake chan struct{} // there may be something to do

	mu        sync.Mutex
	state     *publishState   // changed by the worker only, once it is loaded
	latest    presence.Record // as last taken
	queue     []queued
	held      int // how many of the queue are in a push, or in one whose end is unknown
	tokens    retry.Bucket
	tries     int           // failures in a row
	notBefore time.Time     // no request until then
	countNext time.Time     // no counting until then
	refused   int           // forced pushes that the server refused, in a row
	unclear   bool          // ask where the ref is before the next push
	flushes   int           // calls of Flush that wait
	rounds    int           // attempts that have ended
	changed   chan struct{} // closed, and made anew, when an attempt has ended
	trouble   error         // why the last attempt to push failed
	stuck     bool          // only a person can solve it, such as a file of ours that is missing
	unsaved   error         // why StateFile could not be written
	uncounted error         // why the nodes could not be counted
}

var (
	errClosed = errors.New("presence repository: the sink is closed")
	errSlow   = errors.New("no answer in time")
)

// New returns the sink. It does no I/O before the first Tell. Close ends it.
func New(o Options) *Sink {
	o.Prefix, o.Pushes = cmp.Or(o.Prefix, RefPrefix), cmp.Or(o.Pushes, defaultPushes)
	o.Refresh, o.Timeout = cmp.Or(o.Refresh, defaultRefresh), cmp.Or(o.Timeout, defaultTimeout)
	g := &Sink{o: o, done: make(chan struct{}), wake: make(chan struct{}, 1), changed: make(chan struct{})}
	g.ctx, g.stop = context.WithCancel(context.Background())
	go g.work()
	return g
}

// Tell takes a record and returns what is wrong with pushing so far, in the same words while it lasts. A *Clash needs a
// person. All records must be of one node. What is pushed when is decided in ratelimit.go.
func (g *Sink) Tell(ctx context.Context, r presence.Record) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("presence repository: %w", err)
	}
	if g.ctx.Err() != nil {
		return errClosed
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state != nil && g.latest.InstanceID != r.InstanceID {
		return fmt.Errorf("presence record: of %s, but this sink is for %s", r.InstanceID, g.latest.InstanceID)
	}
	r.Reason = cutReason(r.Reason)
	fresh := g.state == nil || !presence.SameContent(g.latest, r)
	if fresh {
		if _, err := presence.Encode(r); err != nil {
			return err
		}
		g.latest = presence.Normalize(r)
	}
	g.latest.BeatSeen, g.latest.BeatNextBy = presence.WholeSecond(r.BeatSeen), presence.WholeSecond(r.BeatNextBy)
	var said error
	if g.state == nil {
		g.state, said = loadState(g.o.StateFile, RefName(g.o.Prefix, r.InstanceID), g.o.Source)
		g.unclear = g.state.Pending != nil // an earlier agent died during a push
		if err := g.state.Asked.Over(time.Now()); err != nil {
			g.trouble, g.notBefore = fmt.Errorf("presence repository: %w", err), g.state.Asked.Until
		}
	}
	g.take()
	if do, wait := g.next(time.Now()); do != doNothing || fresh && wait >= 0 {
		g.nudge()
	}
	return transport.OneLine(said, g.trouble, g.unsaved, g.uncounted)
}

// take puts the latest record into the queue, if it says something new.
func (g *Sink) take() {
	g.queue = enqueue(g.queue, g.held, g.state.Told, g.latest, g.pace())
}

func (g *Sink) pace() pace { return pace{g.o.Refresh, g.state.Fleet, g.o.Pushes} }

func (g *Sink) nudge() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// Flush pushes what waits, whatever the rate, and returns when nothing waits. The error says why something still does:
// ctx ended, only a person can solve the trouble, or the server asked to be left alone.
func (g *Sink) Flush(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.flushes++
	defer func() { g.flushes-- }()
	asked := func() bool { return g.state != nil && g.state.Asked.Over(time.Now()) != nil }
	if !asked() {
		g.notBefore = time.Time{} // one try now, however long the pause was to be
	}
	for began := g.rounds; ; {
		do, _ := g.next(time.Now())
		switch {
		case do == doNothing && len(g.queue) == 0 && !g.unclear:
			return nil
		case g.stuck && g.rounds > began, asked():
			return g.trouble
		case g.ctx.Err() != nil:
			return errClosed
		case ctx.Err() != nil && g.trouble != nil:
			return g.trouble
		case ctx.Err() != nil:
			return fmt.Errorf("presence repository: not everything is pushed: %w", context.Cause(ctx))
		}
		changed := g.changed
		g.mu.Unlock()
		g.nudge()
		select {
		case <-changed:
		case <-g.done:
		case <-ctx.Done():
		}
		g.mu.Lock()
	}
}

// Published is the record that the repository has, as far as this sink knows; the zero value = none.
func (g *Sink) Published() (r presence.Record) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := g.state
	if m == nil { // before the first Tell
		if old, ok, _ := stateFile(g.o.StateFile).Peek(); ok && old.Source == g.o.Source {
			m = old
		}
	}
	if m != nil && m.Told.Record != nil {
		r = *m.Told.Record
	}
	return r
}

// Close ends the worker and aborts a push; the next agent finds out whether it landed. Call Flush before.
func (g *Sink) Close() {
	g.stop()
	<-g.done
}

// action is what the worker does next.
type action string

const (
	doNothing action = "nothing"
	doPush    action = "push"
	doCount   action = "count"
)

// next says what to do now or, if nothing, for how long; negative means until the next call of Tell or Flush.
func (g *Sink) next(now time.Time) (action, time.Duration) {
	if g.state == nil {
		return doNothing, -1
	}
	wait := time.Duration(-1)
	pause := g.notBefore.Sub(now)
	switch {
	case len(g.queue) == 0 && !g.unclear:
	case pause > 0:
		return doNothing, pause
	case g.flushes > 0 || g.unclear || g.tries > 0 || hurried(g.queue) || g.promised():
		return doPush, 0
	default:
		if wait = g.tokens.Wait(now, g.pace().burst(), g.pace().share()); wait == 0 {
			return doPush, 0
		}
	}
	if pause <= 0 && !now.Before(g.countNext) && countDue(g.state.Counted, now, g.state.Ref) {
		return doCount, 0
	}
	return doNothing, wait
}

// promised says that readers expect a push by now, so that what waits for a token waits no longer.
func (g *Sink) promised() bool {
	t := g.state.Told
	return t.Record != nil && g.pace().due(t, g.latest, g.latest.InstanceID)
}

// work is the worker: it does what next says, or sleeps. It does not wake up by itself for a refresh: only a beat
// proves that the node is alive.
func (g *Sink) work() {
	defer close(g.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	defer g.hangUp()
	used := false
	for g.ctx.Err() == nil {
		g.mu.Lock()
		do, wait := g.next(time.Now())
		g.mu.Unlock()
		switch do {
		case doPush:
			used = true
			g.ended(g.push(g.ctx))
			continue
		case doCount:
			used = true
			g.counted(g.count(g.ctx))
			continue
		}
		if used {
			g.hangUp()
			used = false
		}
		timer.Stop()
		if wait >= 0 {
			timer.Reset(wait)
		}
		select {
		case <-g.wake:
		case <-timer.C:
		case <-g.ctx.Done():
		}
	}
}

// hangUp closes the connection: the next push is minutes away, and a server should not hold one for each of 1,000
// nodes.
func (g *Sink) hangUp() {
	if c, ok := g.o.Remote.(io.Closer); ok {
		_ = c.Close() // only the farewell can fail
	}
}

// ended records how an attempt to push ended.
func (g *Sink) ended(err error) {
	g.mu.Lock()
	now := time.Now()
	asked := g.state.Asked.Failures > 0 || remote.RetryAfter(err) > 0
	if asked {
		g.state.Asked.Learn(err, now)
	}
	g.trouble, g.stuck = nil, false
	var clash *Clash
	switch {
	case err == nil:
		g.tries, g.notBefore = 0, time.Time{}
	case errors.As(err, &clash) || errors.Is(err, remote.ErrAccess) || errors.As(err, new(*fs.PathError)):
		g.tries++
		g.trouble, g.stuck = fmt.Errorf("presence repository: %w", err), true
		rest := slowly
		if clash == nil { // what a person solves in a minute must not cost a quarter of an hour
			rest = retry.Backoff{First: soon, Most: slowly, Low: 1, High: 1}.Delay(g.tries, 0)
		}
		g.notBefore = now.Add(rest + backoff(1+g.tries, remote.RetryAfter(err)))
	default:
		g.tries++
		g.trouble = fmt.Errorf("presence repository: %w", err)
		g.notBefore = now.Add(backoff(g.tries, remote.RetryAfter(err)))
	}
	g.over()
	g.mu.Unlock()
	if asked {
		g.save()
	}
}

// over wakes the calls of Flush: an attempt has ended.
func (g *Sink) over() {
	g.rounds++
	close(g.changed)
	g.changed = make(chan struct{})
}

// bounded gives one question or push its own deadline.
func (g *Sink) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, g.o.Timeout, errSlow)
}

// count asks how many nodes there are.
func (g *Sink) count(ctx context.Context) error {
	ctx, cancel := g.bounded(ctx)
	defer cancel()
	refs, err := g.o.Remote.Refs(ctx, g.o.Prefix)
	if err != nil {
		return err
	}
	n := 0
	for _, r := range refs {
		if _, ok := IDOf(g.o.Prefix, r.Name); ok {
			n++
		}
	}
	g.mu.Lock()
	g.state.Fleet, g.state.Counted = n, time.Now().UTC()
	g.mu.Unlock()
	g.save()
	return nil
}

// counted records how counting ended.
func (g *Sink) counted(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.uncounted = nil
	if err != nil {
		g.uncounted = fmt.Errorf("presence repository: count the nodes: %w", err)
		g.countNext = time.Now().Add(slowly + backoff(2, remote.RetryAfter(err)))
	}
	g.over()
}

// save writes StateFile. A failure does not stop the push: with a full disk the node must still be able to say so, and
// a forgotten commit is recognised by its hardware.
func (g *Sink) save() {
	file := stateFile(g.o.StateFile)
	g.mu.Lock()
	data, err := file.Encode(g.state)
	g.mu.Unlock()
	if err == nil {
		err = file.Put(data)
	}
	g.mu.Lock()
	g.unsaved = err
	g.mu.Unlock()
}
