package sink

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/retry"
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
		a := NewAsync(s, filepath.Join(t.TempDir(), "pause.json"))
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
		a := NewAsync(s, filepath.Join(t.TempDir(), "pause.json"))
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

// TestAsyncOverProcesses lives by one process a minute, as under cron. A place that refuses, or hangs, is tried with
// the delays that one process has, is in trouble at each beat all the same, and costs a beat no time when it is not
// tried. A clock that was set ends the pause.
func TestAsyncOverProcesses(t *testing.T) {
	for how, place := range map[string]*slow{"refuses": {wrong: errors.New("refused")}, "hangs": {takes: 24 * time.Hour}} {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "pauses", "tags.json")
			beat := func(state node.State) (took time.Duration, said, left error) {
				began := time.Now()
				a := NewAsync(place, path)
				defer a.Close()
				said = a.Tell(t.Context(), presence.Record{State: state})
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				left = a.Flush(ctx)
				return time.Since(began), said, left
			}
			quick := 0
			for i := range 120 {
				took, said, left := beat(node.Idle)
				if i > 0 && (said == nil || left == nil) {
					t.Errorf("%s: beat %d says %v and %v", how, i, said, left)
				}
				if took == 0 {
					quick++
				}
				<-time.After(time.Minute - took)
			}
			if n := len(place.at); n < 9 || n > 20 || quick < 100 {
				t.Errorf("%s: tried %d times in two hours, and %d of 120 beats did not wait", how, n, quick)
			}

			// What the file says was written on another clock.
			file := files.Remembered[retry.Pause]{Path: path}
			for _, set := range []time.Duration{-50 * 365 * 24 * time.Hour, 50 * 365 * 24 * time.Hour} {
				pause, _, err := file.Recall()
				pause.From, pause.Until = pause.From.Add(-set), pause.Until.Add(-set)
				if err := errors.Join(err, file.Save(pause)); err != nil {
					t.Fatal(err)
				}
				tries := len(place.at)
				if beat(node.Idle); len(place.at) != tries+1 {
					t.Errorf("%s: not tried after the clock was set by %s", how, set)
				}
			}
			tries := len(place.at)
			if beat(node.Leaving); len(place.at) != tries+1 {
				t.Errorf("%s: the last word of a machine was not tried", how)
			}
			place.set(0, nil)
			<-time.After(15 * time.Minute)
			if _, _, left := beat(node.Idle); left != nil {
				t.Errorf("%s: it is well, and says %v", how, left)
			}
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: the pause is remembered: %v", how, err)
			}
		})
	}
}

func TestApartFlushEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{wrong: errors.New("refused")}
		a := NewAsync(s, filepath.Join(t.TempDir(), "pause.json"))
		defer a.Close()
		_ = a.Tell(t.Context(), presence.Record{State: node.Idle})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Flush(ctx); !errors.Is(err, s.wrong) {
			t.Errorf("flushed: %v", err)
		}
	})
}
