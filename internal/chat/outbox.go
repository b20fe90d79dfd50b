package chat

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/retry"
)

// Limits are the bounds of an Outbox. A zero field means the default, see orDefault.
type Limits struct {
	Messages int           // waiting; the oldest chatty one is dropped first, critical ones last
	Bytes    int64         // of waiting messages on disk
	Age      time.Duration // older messages are dropped
	Late     time.Duration // older messages are said with their time
	Try      time.Duration // longest try
	Burst    int           // messages at once ...
	Every    time.Duration // ... and then one in this time
}

func (l Limits) orDefault() Limits {
	return Limits{
		Messages: cmp.Or(l.Messages, 500), Bytes: cmp.Or(l.Bytes, 256<<10), Age: cmp.Or(l.Age, 24*time.Hour), Late: cmp.Or(l.Late, 2*time.Minute),
		Try: cmp.Or(l.Try, 15*time.Second), Burst: cmp.Or(l.Burst, 10), Every: cmp.Or(l.Every, 6*time.Second),
	}
}

var errClosed = errors.New("chat outbox: closed")

const (
	firstDelay = 5 * time.Second
	mostDelay  = 15 * time.Minute
	// fixDelay is the first after a permanent trouble: by then a person may have fixed it.
	fixDelay = time.Minute
	// slowDelay bounds the delay that a server asks for, and the worker's sleep.
	slowDelay = time.Hour
	// hangs is when a try that Close cancels counts as a failure: a single beat gives it ten seconds, and an answer
	// takes one.
	hangs = 5 * time.Second
	// mostText is how many characters of a text are kept: more than any service takes.
	mostText = 16000
)

// Outbox is a room whose Say never waits for the network: it stores messages on disk, and one goroutine says them in
// order, with a deadline for each try, growing delays after failures, and a rate limit. It says a message at least
// once: twice if it is killed between the answer and its note of it.
type Outbox struct {
	room   Room
	limits Limits
	stop   context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	spool   *spool
	closed  bool
	taken   int // messages that the room took
	rate    retry.Bucket
	changed chan struct{} // closed and replaced whenever something above changes
}

// NewOutbox creates the folder if need be, and begins to say what an earlier process left in it. The folder belongs to
// this process until Close: another one gets an error.
func NewOutbox(room Room, folder string, l Limits) (*Outbox, error) {
	l = l.orDefault()
	s, err := openSpool(folder, time.Now(), l)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	o := &Outbox{room: room, limits: l, stop: stop, done: make(chan struct{}), spool: s, changed: make(chan struct{})}
	go o.run(ctx)
	return o, nil
}

// Say takes a message and returns at once; it waits for the disk, never for the network. It fails only for a blank text
// (ErrEmpty) and after Close. If the disk fails, the message is kept in memory, and Trouble says so.
func (o *Outbox) Say(_ context.Context, m Message) error {
	if empty(m) {
		return ErrEmpty
	}
	now := time.Now()
	if m.Time.IsZero() {
		m.Time = now
	}
	m.Time = now.Add(-now.Sub(m.Time)) // with a monotonic clock reading
	m.Text = human.Prefix(m.Text, mostText)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return errClosed
	}
	o.spool.put(m, now, o.limits)
	o.tell()
	return nil
}

// Trouble is what is wrong now: the room or the disk does not take messages, or the file of the spool was corrupt
// (reported until a message was sent).
func (o *Outbox) Trouble() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.wrong()
}

func (o *Outbox) wrong() error {
	failed := o.spool.failed
	if failed != nil {
		var trouble *Trouble
		again := "retrying with growing delay"
		switch {
		case errors.As(failed, &trouble) && trouble.Unasked:
			again = "fix this; checked again every few seconds"
		case Permanent(failed):
			again = "fix this; retrying with growing delay"
		}
		failed = fmt.Errorf("chat: %w (%s; %d waiting)", failed, again, len(o.spool.waiting))
	}
	return errors.Join(failed, o.spool.trouble, o.spool.corrupt)
}

// Flush waits until all messages are said or dropped. If ctx ends first, the error tells how many wait, and why. It
// does not wait for a person to fix an address, nor for a try that comes after the deadline of ctx.
func (o *Outbox) Flush(ctx context.Context) error {
	for {
		o.mu.Lock()
		waiting, changed, wrong, closed := len(o.spool.waiting), o.changed, o.wrong(), o.closed
		until, bounded := ctx.Deadline()
		trouble := (*Trouble)(nil)
		hopeless := errors.As(o.spool.failed, &trouble) && trouble.Unasked || bounded && o.spool.pause.Left(time.Now()) > time.Until(until)
		if o.spool.lost > 0 {
			waiting++ // the line that tells it
		}
		o.mu.Unlock()
		if waiting == 0 {
			return nil
		}
		if hopeless {
			return wrong
		}
		if closed {
			return fmt.Errorf("chat: %d waiting: %w", waiting, errors.Join(errClosed, wrong))
		}
		select {
		case <-ctx.Done():
			return cmp.Or(wrong, fmt.Errorf("chat: %d waiting: %w", waiting, ctx.Err()))
		case <-changed:
		}
	}
}

// Close cancels the current try and unlocks the folder. Unsaid messages stay there for the next process. The error is
// about messages that could not be stored, and are lost now.
func (o *Outbox) Close() error {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return nil
	}
	o.closed = true
	o.tell()
	o.mu.Unlock()
	o.stop()
	<-o.done
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.spool.close(time.Now())
}

// tell wakes all that wait for a change.
func (o *Outbox) tell() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// run says messages, in its own goroutine.
func (o *Outbox) run(ctx context.Context) {
	defer close(o.done)
	for ctx.Err() == nil {
		next, wait, changed := o.next(time.Now())
		if next.entry == nil && next.lost == 0 {
			pause(ctx, wait, changed)
			continue
		}
		try, cancel := context.WithTimeoutCause(ctx, o.limits.Try, errors.New("no answer within "+human.Setting(o.limits.Try)))
		began := time.Now()
		err := o.room.Say(try, next.message)
		cancel()
		now, cut := time.Now(), ctx.Err() != nil
		if t := (*Trouble)(nil); cut && now.Sub(began) >= hangs && errors.As(err, &t) {
			cut, t.Err = false, fmt.Errorf("no answer within %s", human.Duration(now.Sub(began)))
		}
		o.settle(next, err, now, cut)
	}
}

// pause waits for the time, a change, or the end.
func pause(ctx context.Context, wait time.Duration, changed <-chan struct{}) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-changed:
	case <-timer.C:
	}
}

// turn is one try.
type turn struct {
	message Message
	entry   *entry // what the message says; nil = it only tells of lost ones
	lost    int    // how many lost ones the message tells of
}

// next is what to say now, or how long to wait when there is nothing or it is not time yet.
func (o *Outbox) next(now time.Time) (turn, time.Duration, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.spool.expire(now, o.limits.Age)
	o.spool.save(now)
	t := turn{entry: o.spool.first(), lost: o.spool.lost}
	if t.entry == nil && t.lost == 0 {
		return turn{}, slowDelay, o.changed
	}
	if wait := o.spool.pause.Left(now); wait > 0 {
		return turn{}, wait, o.changed
	}
	burst := float64(o.limits.Burst)
	if wait := o.rate.Wait(now, burst, o.limits.Every); wait > 0 {
		return turn{}, wait, o.changed
	}
	o.rate.Spend(now, burst, o.limits.Every)
	if t.entry != nil {
		t.entry.sending = true
	}
	t.message = t.text(now, o.limits.Late)
	return t, 0, o.changed
}

// text is the message of a turn: first how many were lost, then the time of a late message, then its text.
func (t turn) text(now time.Time, late time.Duration) Message {
	m := Message{Colour: "gray"}
	if e := t.entry; e != nil {
		m = e.Message
		if m.Time = e.when(now); now.Sub(e.Time) > late {
			m.Text = human.TimeUTC(m.Time) + " " + m.Text
		}
	}
	if t.lost > 0 {
		m.Text = strings.TrimSuffix(fmt.Sprintf("lost %s: too old or too many while the room could not be reached\n%s",
			human.Count(t.lost, "earlier message"), m.Text), "\n")
	}
	return m
}

// settle records how a try ended. If Close cancelled it, that says nothing about the room.
func (o *Outbox) settle(t turn, err error, now time.Time, cut bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.tell()
	var trouble *Trouble
	errors.As(err, &trouble)
	if e := t.entry; e != nil {
		e.sending = false
		switch {
		case err == nil:
			o.spool.remove(e)
		case trouble == nil || !ofContent(trouble.Status):
		case e.refused > 0 && o.taken > e.after:
			// The service has taken others since, so it refuses this one.
			o.spool.drop(e)
		default:
			if e.refused == 0 {
				e.after = o.taken
			}
			e.refused++
		}
	}
	switch {
	case err == nil:
		o.taken++
		o.spool.lost -= t.lost
		o.spool.corrupt = nil
		o.spool.failed, o.spool.pause, o.spool.changed = nil, retry.Pause{}, true
	case cut:
	default:
		pause := o.spool.pause
		if trouble != nil && trouble.Unasked {
			pause = retry.Pause{} // no server has failed
		}
		wait := delay(pause.Failures+1, trouble, rand.Float64())
		o.spool.failed, o.spool.pause, o.spool.changed = err, pause.After(err, now, wait), true
	}
	o.spool.save(now)
}

// ofContent are answers that may refuse this one message: many services say 400 to what they cannot parse, but
// Mattermost, Telegram and Pushover say it to a wrong token or room as well.
func ofContent(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge || status == http.StatusUnprocessableEntity
}

// delay is how long to wait after some failures in a row. chance, from 0 to 1, keeps the nodes that saw a server die
// from asking it again all at once.
func delay(tries int, t *Trouble, chance float64) time.Duration {
	b := retry.Backoff{First: firstDelay, Most: mostDelay, Low: 1, High: 0.75}
	switch {
	case t == nil:
	case t.RetryAfter > 0:
		return b.Asked(min(t.RetryAfter, slowDelay), chance)
	case t.Unasked:
		return firstDelay // reading a file is cheap, and the person who fixes it waits
	case t.Permanent:
		b.First = fixDelay
	}
	return b.Delay(tries, chance)
}
