// Package gitstore keeps a node's presence record in a git repository: one ref a node, moved by a compare-and-swap.
// It decides what to push when (a limit on the rate, which a large fleet shares), keeps each ref's history bounded,
// notices when two machines use one name, and holds leases, which only one of many nodes can win.
package gitstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/remote"
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
	// used by one goroutine, and by nobody else meanwhile; its Close, if it has one, hangs up after each push
	Remote Remote
	// names the repository in the memory, without a secret: what another one was told does not count here
	Source    string
	Prefix    string // ref_prefix of the config, with a slash at its end; "" = RefPrefix
	StateFile string // the file where the sink remembers its ref; it belongs to the hardware
	// a quiet node says that it lives at least this often, more seldom in a large fleet; 0 = 10 min
	Refresh time.Duration
	Pushes  int           // so many a minute the repository takes from all nodes together; 0 = 6
	Timeout time.Duration // of one question, and of one push; 0 = 20 s
}

const defaultRefresh, defaultTimeout = 10 * time.Minute, 20 * time.Second

// Sink is the sink that tells the record in the presence repository: one ref a node, moved as a compare-and-swap.
// Tell never waits for the network; one goroutine pushes.
type Sink struct {
	o    Options
	ctx  context.Context
	stop context.CancelFunc
	done chan struct{}
	wake chan struct{} // something is to be done, or another thing than before

	mu        sync.Mutex
	state     *publishState   // changed by the worker only, once it is loaded
	latest    presence.Record // as last taken
	queue     []queued
	held      int // so many of the queue are in a push, or in one of unknown end
	tokens    bucket
	tries     int           // failures in a row
	notBefore time.Time     // no push and no question until then
	countNext time.Time     // no counting until then
	refused   int           // moves back that the server refused, in a row
	unclear   bool          // where the ref is must be asked before the next push
	flushes   int           // how many wait in Flush
	rounds    int           // attempts that have ended
	changed   chan struct{} // closed, and made anew, when an attempt has ended
	trouble   error         // why the last attempt to push failed
	stuck     bool          // only a person mends that
	arrived   bool          // an attempt to push has succeeded
	unsaved   error         // why the memory could not be written
	uncounted error         // why the nodes could not be counted
}

var (
	errClosed = errors.New("presence repository: the sink is closed")
	errSlow   = errors.New("no answer in time")
)

// New returns the sink. It does no I/O before the first Tell. Close ends it.
func New(o Options) *Sink {
	if o.Prefix == "" {
		o.Prefix = RefPrefix
	}
	if o.Refresh <= 0 {
		o.Refresh = defaultRefresh
	}
	if o.Pushes <= 0 {
		o.Pushes = defaultPushes
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	g := &Sink{o: o, done: make(chan struct{}), wake: make(chan struct{}, 1), changed: make(chan struct{})}
	g.ctx, g.stop = context.WithCancel(context.Background())
	go g.work()
	return g
}

// Tell takes a record and returns what is wrong with telling as of now, in words that stay while it does; nil = all
// is well, or will be known at the next call. A *Clash needs a person. A record of another node than the first one is
// an error. What is pushed when, see gitpace.go.
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
		return fmt.Errorf("presence record: it is of %s, and this sink tells of %s", r.InstanceID, g.latest.InstanceID)
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
		g.state, said = loadState(g.o.StateFile, RefName(g.o.Prefix, r.InstanceID))
		g.state = g.state.of(g.o.Source)
		g.unclear = g.state.Pending != nil // an earlier agent died with a push in its hand
	}
	g.take()
	if do, wait := g.next(time.Now()); do != doNothing || fresh && wait >= 0 {
		g.nudge()
	}
	return joinErrors(said, g.trouble, g.unsaved, g.uncounted)
}

// joinErrors joins errors on one line.
func joinErrors(errs ...error) error {
	var all error
	for _, err := range errs {
		switch {
		case all == nil:
			all = err
		case err != nil:
			all = fmt.Errorf("%w; %w", all, err)
		}
	}
	return all
}

// take puts the latest record into the queue, if that says something.
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

// Flush pushes what waits, without regard to the rate, and returns when nothing waits any more. The error says why
// something still does: ctx ended, or a person must mend the trouble.
func (g *Sink) Flush(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.flushes++
	defer func() { g.flushes-- }()
	g.notBefore = time.Time{} // once, however long it was to rest
	for began := g.rounds; ; {
		do, _ := g.next(time.Now())
		switch {
		case do == doNothing && len(g.queue) == 0 && !g.unclear:
			return nil
		case g.stuck && g.rounds > began:
			return g.trouble
		case g.ctx.Err() != nil:
			return errClosed
		case ctx.Err() != nil && g.trouble != nil:
			return g.trouble
		case ctx.Err() != nil:
			return fmt.Errorf("presence repository: not all is told: %w", context.Cause(ctx))
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

// Arrived tells whether something that was told has arrived, or was found there, since NewGit.
func (g *Sink) Arrived() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.arrived
}

// Close ends the worker. A push that is under way is given up; the next agent asks what became of it. Call Flush
// before.
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

// next says what is to be done now or, when that is nothing, for how long; negative = until somebody says otherwise.
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
		if wait = g.tokens.wait(now, g.pace()); wait == 0 {
			return doPush, 0
		}
	}
	if pause <= 0 && !now.Before(g.countNext) && countDue(g.state.Counted, now, g.state.Ref) {
		return doCount, 0
	}
	return doNothing, wait
}

// promised says that readers were told to expect a push by now, so that what waits for a token waits no longer.
func (g *Sink) promised() bool {
	t := g.state.Told
	return t.Record != nil && g.pace().due(t, g.latest, g.latest.InstanceID)
}

// work is the worker: it does what is to be done and sleeps while that is nothing. It does not wake up for a refresh
// or a count: a beat must come first, for nobody else may say that the node lives.
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

// hangUp closes the connection. The next push is minutes away, and a server would rather greet a thousand nodes now
// and then than hold a thousand connections.
func (g *Sink) hangUp() {
	if c, ok := g.o.Remote.(io.Closer); ok {
		_ = c.Close() // what could fail is saying goodbye
	}
}

// ended takes note of how an attempt to push ended.
func (g *Sink) ended(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	g.trouble, g.stuck = nil, false
	var clash *Clash
	switch {
	case err == nil:
		g.tries, g.notBefore, g.arrived = 0, time.Time{}, true
	case errors.As(err, &clash) || errors.Is(err, remote.ErrAccess):
		g.tries++
		g.trouble, g.stuck = fmt.Errorf("presence repository: %w", err), true
		rest := slowly
		if clash == nil { // what a person mends in a minute is not to cost the node a quarter of an hour
			rest = retry.Backoff{First: soon, Most: slowly, Low: 1, High: 1}.Delay(g.tries, 0)
		}
		g.notBefore = now.Add(rest + backoff(1+g.tries, remote.RetryAfter(err)))
	default:
		g.tries++
		g.trouble = fmt.Errorf("presence repository: %w", err)
		g.notBefore = now.Add(backoff(g.tries, remote.RetryAfter(err)))
	}
	g.over()
}

// over tells those who wait that an attempt has ended.
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

// counted takes note of how counting ended.
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

// save writes the memory. A disk that is full must not keep the node from saying just that, so it goes on without; a
// commit of ours that is not remembered is recognised by its hardware.
func (g *Sink) save() {
	err := g.state.save(g.o.StateFile)
	g.mu.Lock()
	g.unsaved = err
	g.mu.Unlock()
}
