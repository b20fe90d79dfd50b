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
	sink Sink

	mu      sync.Mutex
	newest  *presence.Record // nil when nothing is left to pass on
	wrong   error            // error of the last try
	waiters []chan struct{}  // closed when nothing is left to pass on

	work   chan struct{}
	stop   context.CancelFunc
	ended  chan struct{}
	urgent chan struct{} // Flush is waiting: skip the delay
}

// NewAsync starts the goroutine; Close ends it.
func NewAsync(s Sink) *Async {
	ctx, stop := context.WithCancel(context.Background())
	a := &Async{sink: s, work: make(chan struct{}, 1), urgent: make(chan struct{}, 1), stop: stop, ended: make(chan struct{})}
	go a.run(ctx)
	return a
}

// Tell takes the record and returns the error of the last try. It does not wait.
func (a *Async) Tell(_ context.Context, r presence.Record) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.newest = &r
	wake(a.work)
	return a.wrong
}

// Flush waits until the newest record has been passed on. If ctx ends first, the error says what went wrong.
func (a *Async) Flush(ctx context.Context) error {
	a.mu.Lock()
	if a.newest == nil {
		defer a.mu.Unlock()
		return a.wrong
	}
	done := make(chan struct{})
	a.waiters = append(a.waiters, done)
	a.mu.Unlock()
	wake(a.urgent)
	select {
	case <-done:
		return nil
	case <-a.ended:
	case <-ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return errors.Join(ctx.Err(), a.wrong)
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
		case <-a.work:
		}
		for a.pending() != nil {
			err := a.once(ctx)
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				failures = 0
				continue
			}
			failures++
			again := time.NewTimer(wait.Delay(failures, rand.Float64()))
			select {
			case <-ctx.Done():
				again.Stop()
				return
			case <-again.C:
			case <-a.urgent:
				again.Stop()
			}
		}
	}
}

func (a *Async) pending() *presence.Record {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.newest == nil {
		for _, w := range a.waiters {
			close(w)
		}
		a.waiters = nil
	}
	return a.newest
}

// once passes on the newest record.
func (a *Async) once(ctx context.Context) error {
	r := a.pending()
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
	return err
}
