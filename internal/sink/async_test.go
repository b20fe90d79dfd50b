package sink

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// slow is a place that waits, and fails, as told.
type slow struct {
	mu    sync.Mutex
	takes time.Duration
	wrong error
	heard []node.State
	at    []time.Time
	once  int
	most  int
}

func (s *slow) Tell(ctx context.Context, r presence.Record) error {
	s.mu.Lock()
	s.once++
	s.most = max(s.most, s.once)
	takes, wrong := s.takes, s.wrong
	s.at = append(s.at, time.Now())
	s.mu.Unlock()
	defer func() { s.mu.Lock(); s.once--; s.mu.Unlock() }()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(takes):
	}
	if wrong != nil {
		return wrong
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, r.State)
	return nil
}

func (s *slow) set(takes time.Duration, wrong error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takes, s.wrong = takes, wrong
}

func TestApartDoesNotWaitAndTellsTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{takes: 5 * time.Second}
		a := NewAsync(s)
		defer a.Close()
		start := time.Now()
		for _, state := range []node.State{node.Setup, node.InitDone, node.Working, node.Idle} {
			if err := a.Tell(t.Context(), presence.Record{State: state}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if time.Now() != start {
			t.Error("it waited")
		}
		if err := a.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(s.heard) != 2 || s.heard[1] != node.Idle || s.most != 1 {
			t.Errorf("told %v, %d at once", s.heard, s.most)
		}
	})
}

func TestApartOfAPlaceThatHangsAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{takes: 24 * time.Hour}
		a := NewAsync(s)
		defer a.Close()
		first := a.Tell(t.Context(), presence.Record{State: node.Wedged})
		<-time.After(3 * time.Hour)
		if err := a.Tell(t.Context(), presence.Record{State: node.Wedged}); first != nil || err == nil || err.Error() != "no answer within 15s" {
			t.Errorf("first %v, then %v", first, err)
		}
		if n := len(s.at); n < 12 || n > 40 {
			t.Errorf("%d tries in three hours", n)
		}
		s.set(0, nil)
		if err := a.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := a.Tell(t.Context(), presence.Record{State: node.Wedged}); err != nil {
			t.Errorf("it is well, and says %v", err)
		}
	})
}

func TestApartFlushEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{wrong: errors.New("refused")}
		a := NewAsync(s)
		defer a.Close()
		_ = a.Tell(t.Context(), presence.Record{State: node.Idle})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, s.wrong) {
			t.Errorf("flushed: %v", err)
		}
	})
}
