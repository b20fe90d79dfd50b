package control

import (
	"context"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/trouble"
)

// Stream is a list that grows, each item of which is printed once.
type Stream[T any, K comparable] struct {
	Since time.Time
	Every time.Duration // between two readings; 0 = it is read once
	Read  func(ctx context.Context, since time.Time) ([]T, error)
	Key   func(T) K // the same in every reading
	At    func(T) time.Time
	Print func(T) error
	Say   func(text string) // tells people about troubles
	None  string            // what is said when the first reading has nothing, before the time
}

// overlap is how far a reading goes back before the one before: a report may be late, and a node's clock behind.
const overlap = time.Hour

// Run prints what there is, and with Every what comes until ctx ends.
func (s Stream[T, K]) Run(ctx context.Context) error {
	list, err := s.Read(ctx, s.Since)
	if err != nil {
		return err
	}
	told := map[K]time.Time{}
	if err := s.news(list, told); err != nil {
		return err
	}
	if len(told) == 0 {
		s.Say(s.None + " since " + human.Time(s.Since))
	}
	if s.Every == 0 {
		return nil
	}
	tick := time.NewTicker(s.Every)
	defer tick.Stop()
	var wrong trouble.Trouble
	for {
		select {
		case <-ctx.Done():
			return &cli.Exit{Code: cli.ExitInterrupted}
		case <-tick.C:
		}
		now := time.Now()
		back := now.Add(-overlap)
		list, err := s.Read(ctx, back)
		if ctx.Err() != nil {
			continue
		}
		text := ""
		if wrong, text = wrong.NextOf(err, now); text != "" {
			s.Say(text)
		}
		if err := s.news(list, told); err != nil {
			return err
		}
		for key, at := range told {
			if at.Before(back.Add(-time.Minute)) { // it cannot come again
				delete(told, key)
			}
		}
	}
}

func (s Stream[T, K]) news(list []T, told map[K]time.Time) error {
	for _, item := range list {
		at, key := s.At(item), s.Key(item)
		if _, known := told[key]; known || at.Before(s.Since) {
			continue
		}
		if err := s.Print(item); err != nil {
			return err
		}
		told[key] = at
	}
	return nil
}
