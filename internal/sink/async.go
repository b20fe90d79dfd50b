package sink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/retry"
	"github.com/addagent/addagent/presence"
)

// asyncTimeout bounds one call of the wrapped sink.
const asyncTimeout = 15 * time.Second

// Async wraps a sink that waits for a network, so that Tell does not. A goroutine passes on the newest record, with a
// deadline for each try and growing, jittered delays between tries. A record that is replaced by a newer one meanwhile
// is dropped. A service that is down costs the node nothing but a reported trouble.
type Async struct {
	sink   Sink
	stop   context.CancelFunc
	ended  chan struct{}
	told   chan struct{} // there is something to pass on
	urgent chan struct{} // Flush is waiting: skip the delay

	mu     sync.Mutex
	newest *presence.Record // nil when nothing is left to pass on
	wrong  error            // error of the last try
	tried  chan struct{}    // closed and replaced after each try
}

// NewAsync starts the goroutine; Close ends it.
func NewAsync(s Sink) *Async {
	ctx, stop := context.WithCancel(context.Background())
	a := &Async{sink: s, stop: stop, ended: make(chan struct{}), tried: make(chan struct{}), told: make(chan struct{}, 1), urgent: make(chan struct{}, 1)}
	go a.run(ctx)
	return a
}

// Tell takes the record and returns the error of the last try. It does not wait.
func (a *Async) Tell(_ context.Context, r presence.Record) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.newest = &r
	wake(a.told)
	return a.wrong
}

// Flush waits until the newest record has been passed on. If ctx ends first, the error says what went wrong.
func (a *Async) Flush(ctx context.Context) error {
	wake(a.urgent)
	for {
		a.mu.Lock()
		left, wrong, tried := a.newest != nil, a.wrong, a.tried
		a.mu.Unlock()
		if !left {
			return nil
		}
		select {
		case <-tried:
		case <-a.ended:
			return wrong
		case <-ctx.Done():
			return errors.Join(ctx.Err(), wrong)
		}
	}
}

// Close drops a record that has not been passed on.
func (a *Async) Close() {
	a.stop()
	<-a.ended
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (a *Async) run(ctx context.Context) {
	defer close(a.ended)
	failures, wait := 0, retry.Backoff{First: 2 * time.Second, Most: 15 * time.Minute, Low: 0.5, High: 1}
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.told:
		}
		if a.once(ctx) == nil {
			failures = 0
			continue
		}
		failures++
		wake(a.told)
		again := time.NewTimer(wait.Delay(failures, rand.Float64()))
		select {
		case <-ctx.Done():
		case <-again.C:
		case <-a.urgent:
		}
		again.Stop()
	}
}

// once passes on the newest record.
func (a *Async) once(ctx context.Context) error {
	a.mu.Lock()
	r := a.newest
	a.mu.Unlock()
	if r == nil {
		return nil
	}
	late := fmt.Errorf("no answer within %s", human.Setting(asyncTimeout))
	ctx, cancel := context.WithTimeoutCause(ctx, asyncTimeout, late)
	defer cancel()
	err := a.sink.Tell(ctx, *r)
	if err != nil && errors.Is(context.Cause(ctx), late) {
		err = late
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.wrong = err
	if err == nil && a.newest == r {
		a.newest = nil
	}
	close(a.tried)
	a.tried = make(chan struct{})
	return err
}
