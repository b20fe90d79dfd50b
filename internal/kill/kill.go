package kill

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
)

// Rules are what the config says.
type Rules struct {
	Way   Way
	After time.Duration // how long a node must have been wedged
	Grid  bool          // there is a presence repository
}

// Means are what the procedure needs of the world. Each call is bounded by its context.
type Means struct {
	// Peers reads presence, freshly: what was read before does not count. nil = there is none.
	Peers func(ctx context.Context, now time.Time) ([]Peer, error)
	// Lease takes, for all of a part at once, the right to end; holder says who has it. nil = there is no presence.
	Lease func(ctx context.Context, c Case, until, now time.Time) (won bool, holder string, err error)
	// Tell says to everybody what is about to happen, and returns when it was heard. An error: it was not told.
	Tell func(ctx context.Context, why string) error
	// Do ends the machine. It may not return.
	Do func(ctx context.Context, w Way) error
	// Say is a line in the log.
	Say func(text string)
}

const (
	// pause is how long after an attempt the next may be made: each reads the whole grid.
	pause = 5 * time.Minute
	// patience bounds a whole attempt.
	patience = 3 * time.Minute
	// leaseLeast bounds a lease from below: a replacement needs its time to come up.
	leaseLeast = 15 * time.Minute
)

// Killer ends this machine when it is time. Its methods are called from one goroutine; the attempt itself runs beside it.
type Killer struct {
	Means
	// Path is where it is remembered that this instance ended itself, and why: it does not do so twice for the same
	// failure, or a machine that a person has switched on to look at it would go off under his hands.
	Path string

	begun    time.Time         // the first time that it was asked: what an earlier process saw does not count
	items    map[string]string // what was wedged when it was asked last
	same     time.Time         // since when that is so
	next     time.Time
	said     string
	cancel   context.CancelFunc // of the attempt that is under way
	mu       sync.Mutex
	busy     bool
	wrong    error
	attempts sync.WaitGroup
}

// Consider is told at each beat whether this node is wedged by its work; c is nil when it is not, or not to end any more,
// which calls off an attempt that is under way. It does not wait. The error is what went wrong with the last attempt.
func (k *Killer) Consider(r Rules, c *Case, now time.Time) error {
	if k.begun.IsZero() || now.Before(k.begun) {
		k.begun = now
	}
	k.mu.Lock()
	busy, wrong := k.busy, k.wrong
	off := c == nil || r.Way == None || r.Way == ""
	if off || !maps.Equal(k.items, c.Items) {
		if k.cancel != nil {
			k.cancel() // what it was begun for is not so any more
		}
		k.same = now
	}
	if off {
		k.wrong, k.said, k.items = nil, "", nil
	} else {
		k.items = maps.Clone(c.Items)
	}
	k.mu.Unlock()
	switch {
	case off:
		k.next = time.Time{}
		return nil
	case busy:
		return wrong
	}
	since := c.Since
	for _, t := range []time.Time{k.begun, k.same} {
		if since.Before(t) {
			since = t
		}
	}
	if now.Sub(since) < r.After || now.Before(k.next) && k.next.Sub(now) <= pause {
		return wrong
	}
	k.next = now.Add(pause)
	if before, ok, _ := k.file().Recall(); ok && maps.Equal(before.Items, c.Items) {
		k.say(fmt.Sprintf("this machine ended itself for the same failure at %s: not again", human.Stamp(before.At.UTC())))
		return wrong
	}
	k.mu.Lock()
	k.busy = true
	k.mu.Unlock()
	one := *c
	one.Items = maps.Clone(c.Items)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	k.mu.Lock()
	k.cancel = cancel
	k.mu.Unlock()
	k.attempts.Go(func() {
		defer cancel()
		err := k.attempt(ctx, r, one, now)
		if errors.Is(ctx.Err(), context.Canceled) {
			err = nil // called off, which is why it went wrong
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		k.busy, k.wrong, k.cancel = false, err, nil
	})
	return wrong
}

// Wait waits for an attempt that is under way.
func (k *Killer) Wait() { k.attempts.Wait() }

// attempt goes through all guards; nil when one of them holds, which is said, or when it is done.
func (k *Killer) attempt(ctx context.Context, r Rules, c Case, now time.Time) error {
	why := "presence is not kept, so nobody can be compared with"
	switch {
	case r.Grid:
		peers, err := k.Peers(ctx, now)
		if err != nil {
			return fmt.Errorf("kill: nobody ends without having seen the others: %w", err)
		}
		ends, words := Decide(c, peers)
		if !ends {
			k.say("it does not end itself: " + words)
			return nil
		}
		why = words
	case !r.Way.alone():
		k.say(fmt.Sprintf("it does not end itself: %s needs presence", r.Way))
		return nil
	}
	if r.Grid {
		until := now.Add(max(r.After, leaseLeast))
		won, holder, err := k.Lease(ctx, c, until, now)
		if err != nil {
			return fmt.Errorf("kill: lease: %w", err)
		}
		if !won {
			k.say("it does not end itself yet: " + holder + " of the same part does")
			return nil
		}
	}
	text := fmt.Sprintf("ends itself (%s), wedged for %s: %s", r.Way, human.Minutes(now.Sub(c.Since)), why)
	if err := k.Tell(ctx, text); err != nil {
		return fmt.Errorf("kill: nobody ends without having told it: %w", err)
	}
	if ctx.Err() != nil {
		return nil // called off: it is well again, or a person said so
	}
	if err := k.file().Save(ended{At: now.UTC(), Way: r.Way, Why: why, Items: c.Items}); err != nil {
		return fmt.Errorf("kill: %w", err)
	}
	if err := k.Do(ctx, r.Way); err != nil {
		return errors.Join(fmt.Errorf("kill: %s: %w", r.Way, err), k.file().Forget())
	}
	return nil
}

// say says a line, unless it was the last one said.
func (k *Killer) say(text string) {
	k.mu.Lock()
	known := k.said == text
	k.said = text
	k.mu.Unlock()
	if !known {
		k.Say(text)
	}
}

// ended is the file at Path: JSON on one line.
type ended struct {
	At    time.Time         `json:"at"`
	Way   Way               `json:"way"`
	Why   string            `json:"why"`
	Items map[string]string `json:"items"` // what it failed at, as in Case
}

// file is what this instance remembers to have done. One that is broken counts as absent: it is one guard of many.
func (k *Killer) file() files.Remembered[ended] {
	return files.Remembered[ended]{Path: k.Path, Durable: true}
}
