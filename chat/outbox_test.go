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

// parrot is a room that keeps what it heard, and answers what it is told to.
type parrot struct {
	mu     sync.Mutex
	heard  []Message
	when   []time.Time
	tries  []time.Time
	answer func(n int, m Message) error // n counts tries from 1; nil takes everything
	hangs  bool                         // until ctx ends
}

func (p *parrot) Say(ctx context.Context, m Message) error {
	p.mu.Lock()
	p.tries = append(p.tries, time.Now())
	n, hangs := len(p.tries), p.hangs
	p.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return &Trouble{Room: "parrot", Err: context.Cause(ctx)}
	}
	if p.answer != nil {
		if err := p.answer(n, m); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard, p.when = append(p.heard, m), append(p.when, time.Now())
	return nil
}

func (p *parrot) texts() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, m := range p.heard {
		all = append(all, m.Text)
	}
	return all
}

func (p *parrot) tried() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.tries)
}

func newOutbox(t *testing.T, r Room, folder string, l Limits) *Outbox {
	t.Helper()
	o, err := NewOutbox(r, folder, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return o
}

func put(t *testing.T, o *Outbox, m Message) {
	t.Helper()
	if err := o.Put(m); err != nil {
		t.Fatal(err)
	}
}

func flushed(t *testing.T, o *Outbox) {
	t.Helper()
	if err := o.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, folder string) []string {
	t.Helper()
	list, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range list {
		all = append(all, f.Name())
	}
	return all
}

// after lets a bubble's clock go on.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestOutboxSaysWhatIsPutInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, folder := &parrot{}, t.TempDir()
		o := newOutbox(t, p, folder, Limits{})
		put(t, o, Message{Text: "one", Colour: "yellow"})
		put(t, o, Message{Text: "two", Colour: "red", Critical: true})
		put(t, o, Message{Text: "three\nwith two lines"})
		flushed(t, o)
		if got := p.texts(); !slices.Equal(got, []string{"one", "two", "three\nwith two lines"}) {
			t.Errorf("heard %q", got)
		}
		if m := p.heard[1]; m.Colour != "red" || !m.Critical {
			t.Errorf("heard %+v", m)
		}
		if got := names(t, folder); len(got) != 0 {
			t.Errorf("left on disk: %q", got)
		}
		if err := o.Trouble(); err != nil {
			t.Error(err)
		}
	})
}

func TestOutboxTakesNoEmptyMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(t, &parrot{}, t.TempDir(), Limits{})
		for _, text := range []string{"", " ", "\n\t"} {
			if err := o.Put(Message{Text: text}); !errors.Is(err, ErrEmpty) {
				t.Errorf("%q: %v", text, err)
			}
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
		if err := o.Put(Message{Text: "late"}); err == nil {
			t.Error("a closed outbox took a message")
		}
	})
}

func TestOutboxTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		p := &parrot{}
		p.answer = func(int, Message) error {
			if down.Load() {
				return &Trouble{Room: "parrot", Status: 503, Err: errors.New("503 Service Unavailable")}
			}
			return nil
		}
		o := newOutbox(t, p, t.TempDir(), Limits{Late: 24 * time.Hour})
		put(t, o, Message{Text: "hear me"})
		after(2 * time.Hour)
		err := o.Trouble()
		if err == nil || !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), "1 waiting") {
			t.Errorf("trouble: %v", err)
		}
		tries := p.tried()
		if len(tries) < 14 || len(tries) > 22 { // 8 or 9 doublings in half an hour, then every 11 to 15 minutes
			t.Errorf("%d tries in two hours", len(tries))
		}
		for i := 1; i < len(tries); i++ {
			gap, most := tries[i].Sub(tries[i-1]), min(firstDelay<<(i-1), mostDelay)
			if gap > most || gap < most*3/4 {
				t.Errorf("%s between try %d and the next, want at most %s", gap, i, most)
			}
		}
		down.Store(false)
		flushed(t, o)
		if err := o.Trouble(); err != nil {
			t.Errorf("mended, but %v", err)
		}
		if got := p.texts(); !slices.Equal(got, []string{"hear me"}) {
			t.Errorf("heard %q", got)
		}
	})
}

func TestOutboxHeedsRetryAfter(t *testing.T) {
	for _, asked := range []time.Duration{90 * time.Second, 30 * time.Minute, 5 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			p := &parrot{}
			p.answer = func(n int, _ Message) error {
				if n == 1 {
					return &Trouble{Room: "parrot", Status: 429, RetryAfter: asked, Err: errors.New("429 Too Many Requests")}
				}
				return nil
			}
			o := newOutbox(t, p, t.TempDir(), Limits{})
			put(t, o, Message{Text: "one"})
			synctest.Wait()
			put(t, o, Message{Text: "what is put meanwhile does not hurry it"})
			flushed(t, o)
			want := min(asked, slowDelay)
			if gap := p.tries[1].Sub(p.tries[0]); gap < want || gap > want+firstDelay {
				t.Errorf("asked for %s, tried after %s", asked, gap)
			}
		})
	}
}

func TestOutboxGoesOnSlowlyWhenSomebodyMustMend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &parrot{}
		var mended atomic.Bool
		p.answer = func(int, Message) error {
			if !mended.Load() {
				return &Trouble{Room: "parrot", Status: 401, Permanent: true, Err: errors.New("401 Unauthorized")}
			}
			return nil
		}
		o := newOutbox(t, p, t.TempDir(), Limits{})
		put(t, o, Message{Text: "one"})
		after(5*time.Hour + time.Second)
		if tries := len(p.tried()); tries < 6 || tries > 7 { // at once, then every 45 to 60 minutes
			t.Errorf("%d tries in five hours", tries)
		}
		if err := o.Trouble(); err == nil || !strings.Contains(err.Error(), "somebody must mend this") {
			t.Errorf("trouble: %v", err)
		}
		mended.Store(true)
		flushed(t, o)
		if err := o.Trouble(); err != nil {
			t.Errorf("mended, but %v", err)
		}
	})
}

// One message that a service cannot take must not keep the others from it.
func TestOutboxGivesUpWhatIsRefusedForItsContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &parrot{}
		p.answer = func(_ int, m Message) error {
			if strings.Contains(m.Text, "poison") {
				return &Trouble{Room: "parrot", Status: 400, Permanent: true, Err: errors.New("400 Bad Request: invalid_payload")}
			}
			return nil
		}
		o := newOutbox(t, p, t.TempDir(), Limits{Join: 2, Late: 24 * time.Hour})
		for _, text := range []string{"a", "poison", "b", "c", "d", "e", "f"} {
			put(t, o, Message{Text: text})
		}
		flushed(t, o)
		all := strings.Join(p.texts(), "\n")
		for _, text := range []string{"a", "b", "c", "d", "e", "f"} {
			if !slices.Contains(strings.Split(all, "\n"), text) {
				t.Errorf("%q was not said: %q", text, all)
			}
		}
		if !strings.Contains(all, "1 earlier message was lost") {
			t.Errorf("nothing tells of the lost one: %q", all)
		}
	})
}

func TestOutboxDeadlineOfATry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &parrot{hangs: true}
		o := newOutbox(t, p, t.TempDir(), Limits{})
		put(t, o, Message{Text: "one"})
		after(16 * time.Second)
		if err := o.Trouble(); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer within 15s") {
			t.Errorf("trouble: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := o.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 waiting") {
			t.Errorf("flush: %v", err)
		}
		// In the middle of a try.
		for len(p.tried())%2 == 0 {
			after(time.Second)
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
		if err := o.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("flush of a closed one: %v", err)
		}
	})
}

func TestOutboxStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &parrot{}
		o := newOutbox(t, p, t.TempDir(), Limits{Messages: 2000, Bytes: 1 << 20, Late: time.Hour})
		start := time.Now()
		for i := range 1000 {
			put(t, o, Message{Text: fmt.Sprintf("line %d", i), Colour: map[bool]string{true: "red", false: "green"}[i == 700], Critical: i == 700})
		}
		flushed(t, o)
		all := strings.Split(strings.Join(p.texts(), "\n"), "\n")
		if len(all) != 1000 || all[0] != "line 0" || all[999] != "line 999" {
			t.Errorf("%d lines were said", len(all))
		}
		if n := len(p.heard); n > 40 {
			t.Errorf("a thousand lines became %d messages", n)
		}
		for i := 10; i < len(p.when); i++ {
			// Never more than the burst and one each six seconds.
			if most := 10 + int(p.when[i].Sub(start)/(6*time.Second)); i+1 > most {
				t.Errorf("%d messages after %s", i+1, p.when[i].Sub(start))
			}
		}
		for _, m := range p.heard {
			if has := slices.Contains(strings.Split(m.Text, "\n"), "line 700"); m.Critical != has || (m.Colour == "red") != has {
				t.Errorf("critical %v, %q: %q", m.Critical, m.Colour, m.Text)
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
		if got := q.texts(); len(got) != 1 || !strings.HasPrefix(got[0], "3 earlier messages were lost") || !strings.HasSuffix(got[0], "UTC of today") {
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
		if got := names(t, folder); len(got) != 2 {
			t.Errorf("on disk: %q", got)
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
	o := newOutbox(t, p, t.TempDir(), Limits{Burst: 1000, Join: 3})
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			for j := range 10 {
				if err := o.Put(Message{Text: fmt.Sprintf("%d/%d", i, j)}); err != nil {
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

func TestCriticalHearsOnlyThat(t *testing.T) {
	p := &parrot{}
	c := Critical{p}
	for _, m := range []Message{{Text: "idle"}, {Text: "wedged", Critical: true}} {
		if err := c.Say(t.Context(), m); err != nil {
			t.Error(err)
		}
	}
	if got := p.texts(); !slices.Equal(got, []string{"wedged"}) {
		t.Errorf("heard %q", got)
	}
}
