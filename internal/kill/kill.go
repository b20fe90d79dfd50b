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

// Rules are from the config.
type Rules struct {
	Way   Way
	After time.Duration // how long a node must have been wedged
	Grid  bool          // there is a presence repository
}

// Means are the outside world. Each call ends with its context.
type Means struct {
	// Peers reads presence anew. nil = there is no presence.
	Peers func(ctx context.Context, now time.Time) ([]Peer, error)
	// Lease takes the right to end, which one node of a part can have; holder has it. nil = there is no presence.
	Lease func(ctx context.Context, c Case, until, now time.Time) (won bool, holder string, err error)
	// Tell announces what is about to happen, and returns once the announcement is out.
	Tell func(ctx context.Context, why string) error
	// Do ends the machine. It may not return.
	Do func(ctx context.Context, w Way) error
	// Say writes a line to the log.
	Say func(text string)
}

const (
	// pause is the time between two attempts: each reads the whole grid.
	pause = 5 * time.Minute
	// patience is the longest time for an attempt.
	patience = 3 * time.Minute
	// leaseLeast is the shortest lease: a replacement needs time to come up.
	leaseLeast = 15 * time.Minute
)

// Killer ends this machine when it is time. Call its methods from one goroutine; the attempt itself runs beside it.
type Killer struct {
	Means
	// Path is the file that records that this instance ended itself, and why. It does not do so twice for the same
	// failure: a machine that a person has switched on again, to look at it, must stay on.
	Path string

	mu       sync.Mutex // for the fields below
	known    Memory
	wrong    error
	cancel   context.CancelFunc // of the current attempt
	attempts sync.WaitGroup
}

// Memory is what a Killer knows of the time that passed. With it the next process of the same boot goes on. Its times
// are seconds since the boot.
type Memory struct {
	Items map[string]string `json:"items,omitempty"` // what was wedged in the last call
	Same  float64           `json:"same_up"`         // since when it has been the same
	Next  float64           `json:"next_up"`         // no attempt before this
	Said  string            `json:"said,omitempty"`
	Wrong string            `json:"wrong,omitempty"`
}

// Recall takes in what an earlier process knew.
func (k *Killer) Recall(m Memory) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known = m; m.Wrong != "" {
		k.wrong = errors.New(m.Wrong)
	}
}

// Known is what the next process is to Recall. One that finds an attempt cut short begins anew at once.
func (k *Killer) Known() Memory {
	k.mu.Lock()
	defer k.mu.Unlock()
	m := k.known
	if m.Wrong = ""; k.wrong != nil {
		m.Wrong = k.wrong.Error()
	}
	if k.cancel != nil {
		m.Next = 0
	}
	return m
}

// Consider is called at each beat. c is nil unless this node is wedged by its work; nil also cancels the current
// attempt. Consider does not wait. Its error is that of the last attempt. up is
// what the time is measured with: how long the machine has run. The clock may be set at any moment.
func (k *Killer) Consider(r Rules, c *Case, now time.Time, up time.Duration) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	off := c == nil || r.Way == None || r.Way == ""
	if off || !maps.Equal(k.known.Items, c.Items) {
		if k.cancel != nil {
			k.cancel() // its reason is gone
		}
		k.known.Same, k.known.Next = up.Seconds(), 0
	}
	if off {
		k.wrong, k.known = nil, Memory{}
		return nil
	}
	one := *c
	one.Items = maps.Clone(c.Items)
	k.known.Items = one.Items
	lasts := up - time.Duration(k.known.Same*float64(time.Second))
	if k.cancel != nil || lasts < r.After || up.Seconds() < k.known.Next {
		return k.wrong
	}
	k.known.Next = (up + pause).Seconds()
	if before, ok, _ := k.file().Recall(); ok && maps.Equal(before.Items, c.Items) {
		k.say(fmt.Sprintf("not terminating: this machine already terminated itself for the same failure at %s", human.Time(before.At)))
		return k.wrong
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	k.cancel = cancel
	k.attempts.Go(func() {
		defer cancel()
		held, err := k.attempt(ctx, r, one, lasts, now.UTC())
		if errors.Is(ctx.Err(), context.Canceled) {
			err = nil // the cancellation is why it failed
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		k.wrong, k.cancel = err, nil
		k.say(held)
	})
	return k.wrong
}

// Wait waits for the current attempt.
func (k *Killer) Wait() { k.attempts.Wait() }

// attempt goes through all guards and ends the machine, or says which guard prevents that.
func (k *Killer) attempt(ctx context.Context, r Rules, c Case, lasts time.Duration, now time.Time) (held string, err error) {
	if !r.Grid && !r.Way.alone() {
		return fmt.Sprintf("not terminating: %s needs presence", r.Way), nil
	}
	why := "no presence to compare with"
	if r.Grid {
		peers, err := k.Peers(ctx, now)
		if err != nil {
			return "", fmt.Errorf("kill: refusing to terminate: no fresh presence data: %w", err)
		}
		var ends bool
		if ends, why = Decide(c, peers); !ends {
			return "not terminating: " + why, nil
		}
		won, holder, err := k.Lease(ctx, c, now.Add(max(r.After, leaseLeast)), now)
		if err != nil {
			return "", fmt.Errorf("kill: lease: %w", err)
		}
		if !won {
			return "not terminating yet: lease of the part held by " + holder, nil
		}
	}
	text := fmt.Sprintf("terminating itself (%s) after %s wedged: %s", r.Way, human.Duration(lasts), why)
	if err := k.Tell(ctx, text); err != nil {
		return "", fmt.Errorf("kill: refusing to terminate unannounced: %w", err)
	}
	if ctx.Err() != nil {
		return "", nil // cancelled: the node is well again, or a person intervened
	}
	if err := k.file().Save(ended{At: now, Way: r.Way, Why: why, Items: c.Items}); err != nil {
		return "", fmt.Errorf("kill: %w", err)
	}
	if err := k.Do(ctx, r.Way); err != nil {
		return "", errors.Join(fmt.Errorf("kill: %s: %w", r.Way, err), k.file().Forget())
	}
	return "", nil
}

// say logs a text, unless it is empty or was the last one.
func (k *Killer) say(text string) {
	if text != "" && text != k.known.Said {
		k.known.Said = text
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

// file is the record at Path. A broken one counts as absent: it is one guard of many.
func (k *Killer) file() files.Remembered[ended] {
	return files.Remembered[ended]{Path: k.Path, Durable: true}
}
