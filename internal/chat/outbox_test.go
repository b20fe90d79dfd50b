package chat

import (
	"context"
	"errors"
	"os"
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
	if err := o.Say(t.Context(), m); err != nil {
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
		if f.Name() != "lock" { // it stays
			all = append(all, f.Name())
		}
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
			if err := o.Say(t.Context(), Message{Text: text}); !errors.Is(err, ErrEmpty) {
				t.Errorf("%q: %v", text, err)
			}
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
		if err := o.Say(t.Context(), Message{Text: "late"}); err == nil {
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
			t.Errorf("fixed, but %v", err)
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
		if tries := len(p.tried()); tries < 22 || tries > 32 { // at once, after 1, 2, 4, 8 minutes, then every 11 to 15
			t.Errorf("%d tries in five hours", tries)
		}
		if err := o.Trouble(); err == nil || !strings.Contains(err.Error(), "fix this; retrying") {
			t.Errorf("trouble: %v", err)
		}
		mended.Store(true)
		flushed(t, o)
		if err := o.Trouble(); err != nil {
			t.Errorf("fixed, but %v", err)
		}
	})
}

// A file that is written late is found in seconds, however long it was missing: the server was not asked until then.
func TestOutboxFindsAnAddressThatComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &parrot{}
		var written atomic.Bool
		p.answer = func(n int, _ Message) error {
			if !written.Load() {
				return &Trouble{Room: "room 1", Permanent: true, Unasked: true, Err: errors.New("no such file")}
			}
			return nil
		}
		o := newOutbox(t, p, t.TempDir(), Limits{})
		put(t, o, Message{Text: "one"})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := o.Flush(ctx); err == nil || ctx.Err() != nil {
			t.Errorf("it waited for a person: %v", err)
		}
		after(5 * time.Hour)
		if err := o.Trouble(); err == nil || !strings.Contains(err.Error(), "checked again every few seconds") {
			t.Errorf("trouble: %v", err)
		}
		written.Store(true)
		after(firstDelay + time.Second)
		if err := o.Trouble(); err != nil {
			t.Errorf("it is there, but %v", err)
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
		o := newOutbox(t, p, t.TempDir(), Limits{Late: 24 * time.Hour})
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
		if !strings.Contains(all, "lost 1 earlier message") {
			t.Errorf("nothing tells of the lost one: %q", all)
		}
	})
}

// A wrong room says 400 as well, to everything: then nothing is given up.
func TestOutboxKeepsWhatIsRefusedWithoutExceptions(t *testing.T) {
	for _, n := range []int{1, 3, 12} {
		synctest.Test(t, func(t *testing.T) {
			p := &parrot{}
			var mended atomic.Bool
			p.answer = func(int, Message) error {
				if !mended.Load() {
					return &Trouble{Room: "parrot", Status: 400, Permanent: true, Err: errors.New("400 Bad Request: chat not found")}
				}
				return nil
			}
			o := newOutbox(t, p, t.TempDir(), Limits{Late: 24 * time.Hour})
			for i := range n {
				put(t, o, Message{Text: strings.Repeat("x", i+1)})
			}
			after(20 * time.Hour)
			mended.Store(true)
			flushed(t, o)
			lines := strings.Split(strings.Join(p.texts(), "\n"), "\n")
			slices.Sort(lines)
			if len(slices.Compact(lines)) != n {
				t.Errorf("of %d messages came %q", n, lines)
			}
		})
	}
}

func TestOutboxDeadlineOfATry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &parrot{hangs: true}
		o := newOutbox(t, p, t.TempDir(), Limits{})
		put(t, o, Message{Text: "one"})
		after(16 * time.Second)
		if err := o.Trouble(); err == nil || !strings.Contains(err.Error(), "no answer within 15s (") {
			t.Errorf("trouble: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		// It need not wait for its deadline when the next try comes later.
		if err := o.Flush(ctx); err == nil || !strings.Contains(err.Error(), "1 waiting") {
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
