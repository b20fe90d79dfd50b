package chat

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestOutboxStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &parrot{}
		o := newOutbox(t, p, t.TempDir(), Limits{Late: 24 * time.Hour})
		start := time.Now()
		for i := range 400 {
			put(t, o, Message{Text: fmt.Sprintf("line %d", i)})
		}
		flushed(t, o)
		all := p.texts()
		if len(all) != 400 || all[0] != "line 0" || all[399] != "line 399" {
			t.Errorf("%d messages were said", len(all))
		}
		for i := 10; i < len(p.when); i++ {
			// Never more than the burst and one each six seconds.
			if most := 10 + int(p.when[i].Sub(start)/(6*time.Second)); i+1 > most {
				t.Errorf("%d messages after %s", i+1, p.when[i].Sub(start))
			}
		}
	})
}

func TestOutboxLateMessagesAreSaidWithTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &parrot{}
		var down atomic.Bool
		down.Store(true)
		p.answer = func(int, Message) error {
			if down.Load() {
				return &Trouble{Room: "parrot", Err: errors.New("connection refused")}
			}
			return nil
		}
		o := newOutbox(t, p, t.TempDir(), Limits{})
		put(t, o, Message{Text: "early"})
		after(time.Hour)
		put(t, o, Message{Text: "fresh", Time: time.Now().In(time.FixedZone("", 3600))})
		put(t, o, Message{Text: "of before", Time: time.Now().Add(-10 * time.Minute)})
		down.Store(false)
		flushed(t, o)
		got := p.texts()
		want := []string{"2000-01-01 00:00:00 UTC early", "", "2000-01-01 00:50:00 UTC of before"}
		if len(got) != 3 || got[0] != want[0] || !strings.HasSuffix(got[1], "fresh") || got[2] != want[2] {
			t.Errorf("heard %q", got)
		}
	})
}

func TestOutboxTellsWhatWasTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, folder := &parrot{hangs: true}, t.TempDir()
		o := newOutbox(t, p, folder, Limits{})
		for i := range 3 {
			put(t, o, Message{Text: fmt.Sprint("old ", i)})
		}
		after(23 * time.Hour)
		put(t, o, Message{Text: "of today"})
		after(2 * time.Hour)
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
		// The next process knows how many were lost.
		q := &parrot{}
		o = newOutbox(t, q, folder, Limits{})
		flushed(t, o)
		if got := q.texts(); len(got) != 1 || !strings.HasPrefix(got[0], "lost 3 earlier messages") || !strings.HasSuffix(got[0], "UTC of today") {
			t.Errorf("heard %q", got)
		}
		if got := names(t, folder); len(got) != 0 {
			t.Errorf("left on disk: %q", got)
		}
	})
}

func TestOutboxNextProcessGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		o := newOutbox(t, &parrot{hangs: true}, folder, Limits{})
		if _, err := NewOutbox(&parrot{}, folder, Limits{}); err == nil || !strings.Contains(err.Error(), "another process") {
			t.Errorf("two outboxes on one folder: %v", err)
		}
		put(t, o, Message{Text: "one"})
		put(t, o, Message{Text: "two", Critical: true, Colour: "purple"})
		synctest.Wait()
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
		if err := o.Close(); err != nil {
			t.Errorf("closed twice: %v", err)
		}
		p := &parrot{}
		o = newOutbox(t, p, folder, Limits{})
		put(t, o, Message{Text: "three"})
		flushed(t, o)
		if got := p.texts(); !slices.Equal(got, []string{"one", "two", "three"}) {
			t.Errorf("heard %q", got)
		}
		if m := p.heard[1]; !m.Critical || m.Colour != "purple" {
			t.Errorf("heard %+v", m)
		}
	})
}

// Where each beat is a process, none of them tries before the time that the server asked for, and all say why.
func TestOutboxNextProcessWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, folder := &parrot{}, t.TempDir()
		p.answer = func(n int, _ Message) error {
			if n == 1 {
				return &Trouble{Room: "parrot", Status: 429, RetryAfter: 10 * time.Minute, Err: errors.New("429 Too Many Requests")}
			}
			return nil
		}
		for beat := 0; len(p.heard) == 0 && beat < 20; beat++ {
			o := newOutbox(t, p, folder, Limits{})
			put(t, o, Message{Text: fmt.Sprint(beat)})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			if err := o.Flush(ctx); len(p.heard) == 0 && (err == nil || !strings.Contains(err.Error(), "parrot: 429 Too Many Requests")) {
				t.Error(err)
			}
			if err := o.Trouble(); len(p.heard) == 0 && (err == nil || !strings.HasPrefix(err.Error(), "chat: parrot: 429 Too Many Requests (retrying")) {
				t.Error(err)
			}
			cancel()
			if err := o.Close(); err != nil {
				t.Error(err)
			}
			after(time.Minute)
		}
		if tries := p.tried(); len(tries) < 2 || tries[1].Sub(tries[0]) < 10*time.Minute || tries[1].Sub(tries[0]) > 12*time.Minute {
			t.Errorf("tried at %v", tries)
		}
	})
}

// A room that hangs costs most beats nothing, where each is a process.
func TestOutboxHangsOverProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, folder, quick := &parrot{hangs: true}, t.TempDir(), 0
		for beat := range 60 {
			o, began := newOutbox(t, p, folder, Limits{}), time.Now()
			put(t, o, Message{Text: fmt.Sprint(beat)})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			err := o.Flush(ctx)
			cancel()
			if beat > 0 && (err == nil || !strings.HasPrefix(err.Error(), "chat: parrot: no answer within ")) {
				t.Errorf("beat %d: %v", beat, err)
			}
			if time.Since(began) == 0 {
				quick++
			}
			if err := o.Close(); err != nil {
				t.Error(err)
			}
			after(time.Minute)
		}
		if n := len(p.tried()); n < 5 || n > 15 || quick < 45 {
			t.Errorf("tried %d times in an hour, and %d beats did not wait", n, quick)
		}
	})
}

func TestOutboxWithoutADisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, folder := &parrot{hangs: true}, filepath.Join(t.TempDir(), "spool")
		o := newOutbox(t, p, folder, Limits{})
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		put(t, o, Message{Text: "one"})
		if err := o.Trouble(); err == nil || !strings.Contains(err.Error(), "kept in memory only") {
			t.Errorf("trouble: %v", err)
		}
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, o, Message{Text: "two"})
		if err := o.Trouble(); err != nil && strings.Contains(err.Error(), "memory") {
			t.Errorf("the disk is back, but %v", err)
		}
		if n, _ := Waiting(folder); n != 2 {
			t.Errorf("%d on disk", n)
		}
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		put(t, o, Message{Text: "three"})
		if err := o.Close(); err == nil {
			t.Error("a message was lost by Close and it said nothing")
		}
	})
}

func TestOutboxFromManyGoroutines(t *testing.T) {
	p := &parrot{}
	o := newOutbox(t, p, t.TempDir(), Limits{Burst: 1000})
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			for j := range 10 {
				if err := o.Say(t.Context(), Message{Text: fmt.Sprintf("%d/%d", i, j)}); err != nil {
					t.Error(err)
				}
				_ = o.Trouble()
			}
		})
	}
	all.Wait()
	flushed(t, o)
	lines := strings.Split(strings.Join(p.texts(), "\n"), "\n")
	slices.Sort(lines)
	if len(slices.Compact(lines)) != 200 {
		t.Errorf("%d lines were said", len(lines))
	}
}
