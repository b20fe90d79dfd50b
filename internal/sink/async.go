package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/retry"
	"github.com/addagent/addagent/presence"
)

const (
	// asyncTimeout bounds one call of the wrapped sink.
	asyncTimeout = 15 * time.Second
	// asyncHangs is when a call that is cut off counts as a failure: a single beat gives it ten seconds, and an answer
	// takes one.
	asyncHangs = 5 * time.Second
)

// asyncWait is how long to wait after so many failures in a row.
func asyncWait() retry.Backoff {
	return retry.Backoff{First: 5 * time.Second, Most: 15 * time.Minute, Low: 0.75, High: 1}
}

// Async wraps a sink that waits for a network, so that Tell does not. A goroutine passes on the newest record, with a
// deadline for each try and growing, jittered delays between tries, which outlive the process. A record that is
// replaced by a newer one meanwhile is dropped. A service that is down costs the node nothing but a reported trouble.
type Async struct {
	sink  Sink
	file  files.Remembered[retry.Pause]
	stop  context.CancelFunc
	ended chan struct{}
	told  chan struct{} // there is something to pass on

	mu     sync.Mutex
	newest *presence.Record // nil when nothing is left to pass on
	leaves bool             // the last record said that the machine leaves
	pause  retry.Pause      // after the last try, also of an earlier process
	tried  chan struct{}    // closed and replaced after each try
}

// NewAsync starts the goroutine; Close ends it. path is the file that remembers, for the next process, that the sink
// fails.
func NewAsync(s Sink, path string) *Async {
	ctx, stop := context.WithCancel(context.Background())
	a := &Async{sink: s, file: files.Remembered[retry.Pause]{Path: path, What: "retries: " + path}, stop: stop,
		ended: make(chan struct{}), tried: make(chan struct{}), told: make(chan struct{}, 1)}
	var err error
	if a.pause, _, err = a.file.Recall(); err != nil {
		a.pause = retry.Pause{}.After(err, time.Now(), 0) // reported until the first try
	}
	go a.run(ctx)
	return a
}

// Tell takes the record and returns the error of the last try. It does not wait. The last record of a machine that
// leaves is passed on at once.
func (a *Async) Tell(_ context.Context, r presence.Record) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.newest = &r
	if leaves := r.State == node.Leaving; leaves != a.leaves {
		a.leaves = leaves
		if leaves {
			a.pause.Until = a.pause.From
		}
	}
	select {
	case a.told <- struct{}{}:
	default:
	}
	return a.pause.Because()
}

// Flush waits until the newest record has been passed on. The error says why it was not: ctx ended, or the next try
// comes after its deadline.
func (a *Async) Flush(ctx context.Context) error {
	for {
		a.mu.Lock()
		left, wrong, tried := a.newest != nil, a.pause.Because(), a.tried
		until, bounded := ctx.Deadline()
		late := bounded && a.pause.Left(time.Now()) > time.Until(until)
		a.mu.Unlock()
		if !left {
			return nil
		}
		if late {
			return wrong
		}
		select {
		case <-tried:
		case <-a.ended:
			return wrong
		case <-ctx.Done():
			return cmp.Or(wrong, ctx.Err())
		}
	}
}

// Close drops a record that has not been passed on.
func (a *Async) Close() {
	a.stop()
	<-a.ended
}

func (a *Async) run(ctx context.Context) {
	defer close(a.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.told:
		case <-timer.C:
		}
		a.mu.Lock()
		r, wait := a.newest, a.pause.Left(time.Now())
		a.mu.Unlock()
		if r != nil && wait == 0 {
			wait = a.once(ctx, r)
		}
		if wait > 0 {
			timer.Reset(wait)
		}
	}
}

// once passes on a record, and returns how long to wait for the next try.
func (a *Async) once(ctx context.Context, r *presence.Record) time.Duration {
	late := fmt.Errorf("no answer within %s", human.Setting(asyncTimeout))
	try, cancel := context.WithTimeoutCause(ctx, asyncTimeout, late)
	defer cancel()
	began := time.Now()
	err := a.sink.Tell(try, *r)
	now := time.Now()
	switch {
	case err == nil:
	case errors.Is(context.Cause(try), late):
		err = late
	case ctx.Err() != nil && now.Sub(began) < asyncHangs:
		return 0 // being closed says nothing of the service
	case ctx.Err() != nil:
		err = fmt.Errorf("no answer within %s", human.Duration(now.Sub(began)))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	// Where its file cannot be written or removed, this process knows the pause all the same.
	if before := a.pause; err != nil {
		a.pause = before.After(err, now, asyncWait().Delay(before.Failures+1, rand.Float64()))
		_ = a.file.Save(a.pause)
	} else if a.pause = (retry.Pause{}); before.Failures > 0 {
		_ = a.file.Forget()
	}
	if err == nil && a.newest == r {
		a.newest = nil
	}
	close(a.tried)
	a.tried = make(chan struct{})
	return a.pause.Left(now)
}
