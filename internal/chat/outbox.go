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

// Limits are the bounds of an Outbox. A zero in any field stands for what Limits{}.orDefault says.
type Limits struct {
	Messages int           // that wait; the oldest chatty one is dropped first, critical ones last
	Bytes    int64         // that they have on disk
	Age      time.Duration // after which a message is no news and is dropped
	Late     time.Duration // after which a message is said with its time
	Try      time.Duration // for one try
	Burst    int           // messages at once ...
	Every    time.Duration // ... and then one each so often
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
	// mendDelay is the first for a trouble that somebody has to mend: a minute later somebody may have.
	mendDelay = time.Minute
	// slowDelay bounds what a server may ask for, and how long the worker sleeps.
	slowDelay = time.Hour
	// mostText is what is kept of a text, in characters: more than any service takes.
	mostText = 16000
)

// Outbox is a room that never keeps anybody waiting: what is put into it is on disk, and is said when the room can be
// reached. One goroutine of its own says it, one message after the other, each try with a deadline, failures again with
// growing delay, no faster than the room bears. It is at least once: killed between the answer and its note, it says a
// message twice.
type Outbox struct {
	room   Room
	limits Limits
	stop   context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	spool   *spool
	closed  bool
	failed  error     // the last try, nil when it succeeded
	tries   int       // failures in a row
	notYet  time.Time // no try before
	taken   int       // messages that the room took
	rate    bucket
	changed chan struct{} // closed, and made anew, whenever something above changed
}

// NewOutbox takes what an earlier process left in the folder, which is made, and begins to say it. The folder belongs
// to this process until Close; a second one gets an error, and one that comes later goes on where this one ended.
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

// Say takes a message and returns at once; it waits for the disk, never for the network. The error is ErrEmpty, or that
// the Outbox is closed. A message that the disk does not take is kept in memory, and Trouble says so.
func (o *Outbox) Say(_ context.Context, m Message) error {
	if empty(m) {
		return ErrEmpty
	}
	now := time.Now()
	if m.Time.IsZero() {
		m.Time = now
	}
	m.Time = now.Add(-now.Sub(m.Time)) // with the reading of the monotonic clock
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

// Trouble is what is wrong now, nil when nothing is or when it is mended: the room does not take messages, the disk
// does not, or the file of the spool was corrupt (said until a message was sent).
func (o *Outbox) Trouble() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.wrong()
}

func (o *Outbox) wrong() error {
	failed := o.failed
	if failed != nil {
		var trouble *Trouble
		again := "tried again with growing delay"
		switch {
		case errors.As(failed, &trouble) && trouble.Unasked:
			again = "somebody must mend this; looked at again every few seconds"
		case Permanent(failed):
			again = "somebody must mend this; tried again with growing delay"
		}
		failed = fmt.Errorf("chat: %w (%s; %d waiting)", failed, again, len(o.spool.waiting))
	}
	return errors.Join(failed, o.spool.trouble, o.spool.corrupt)
}

// Flush waits until everything that was put is said or dropped. When ctx ends before, the error tells how many wait,
// and why.
func (o *Outbox) Flush(ctx context.Context) error {
	for {
		o.mu.Lock()
		waiting, changed, wrong, closed := len(o.spool.waiting), o.changed, o.wrong(), o.closed
		if o.spool.lost > 0 {
			waiting++ // the line that says so
		}
		o.mu.Unlock()
		if waiting == 0 {
			return nil
		}
		if closed {
			return fmt.Errorf("chat: %d waiting: %w", waiting, errors.Join(errClosed, wrong))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("chat: %d waiting: %w", waiting, errors.Join(ctx.Err(), wrong))
		case <-changed:
		}
	}
}

// Close ends the try that is under way and gives the folder free. What was not said stays there for the next process;
// the error is about messages that the disk never took, which are lost now.
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

// tell wakes whoever waits for a change.
func (o *Outbox) tell() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// run is the one goroutine that says things.
func (o *Outbox) run(ctx context.Context) {
	defer close(o.done)
	for ctx.Err() == nil {
		next, wait, changed := o.next(time.Now())
		if next.entry == nil && next.lost == 0 {
			rest(ctx, wait, changed)
			continue
		}
		try, cancel := context.WithTimeoutCause(ctx, o.limits.Try, unanswered(o.limits.Try))
		err := o.room.Say(try, next.message)
		cancel()
		o.settle(next, err, time.Now(), ctx.Err() != nil)
	}
}

// unanswered is a try that took so long. It is context.DeadlineExceeded, whose own words would tell people nothing
// more.
type unanswered time.Duration

func (u unanswered) Error() string        { return "no answer within " + human.Setting(time.Duration(u)) }
func (u unanswered) Is(target error) bool { return target == context.DeadlineExceeded }

// rest waits: for the time, a change, or the end.
func rest(ctx context.Context, wait time.Duration, changed <-chan struct{}) {
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
	entry   *entry // that the message says; nil = it only tells of lost ones
	lost    int    // that the message tells of
}

// next is what to say now; nothing when there is nothing or it is not time yet, and then how long to wait.
func (o *Outbox) next(now time.Time) (turn, time.Duration, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.spool.expire(now, o.limits.Age)
	o.spool.save(now)
	t := turn{entry: o.spool.first(), lost: o.spool.lost}
	if t.entry == nil && t.lost == 0 {
		return turn{}, slowDelay, o.changed
	}
	if wait := o.notYet.Sub(now); wait > 0 {
		return turn{}, min(wait, slowDelay), o.changed
	}
	if wait := o.rate.take(now, o.limits); wait > 0 {
		return turn{}, wait, o.changed
	}
	if t.entry != nil {
		t.entry.sending = true
	}
	t.message = t.text(now, o.limits.Late)
	return t, 0, o.changed
}

// text is the message of a turn: its time stands before what comes late, and before all of it how many were lost.
func (t turn) text(now time.Time, late time.Duration) Message {
	m := Message{Colour: "gray"}
	if e := t.entry; e != nil {
		m = e.Message
		if m.Time = e.when(now); now.Sub(e.Time) > late {
			m.Text = human.TimeUTC(m.Time) + " " + m.Text
		}
	}
	if t.lost > 0 {
		m.Text = strings.TrimSuffix(fmt.Sprintf("%s %s lost: too old or too many while the room could not be reached\n%s",
			human.Count(t.lost, "earlier message"), map[bool]string{true: "was", false: "were"}[t.lost == 1], m.Text), "\n")
	}
	return m
}

// settle notes how a try ended. One that was cut by Close says nothing about the room.
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
			// Others were taken since, so it is this one that the service does not like.
			o.spool.drop(e)
		default:
			if e.refused == 0 {
				e.after = o.taken
			}
			e.refused++
		}
	}
	if err == nil {
		o.taken++
		o.spool.lost -= t.lost
		o.spool.changed = true
		o.spool.corrupt = nil
	}
	o.spool.save(now)
	if err == nil {
		o.failed, o.tries, o.notYet = nil, 0, time.Time{}
		return
	}
	if cut {
		return
	}
	o.failed = err
	o.tries++
	if trouble != nil && trouble.Unasked {
		o.tries = 0 // the server has not failed yet
	}
	o.notYet = now.Add(delay(o.tries, trouble, rand.Float64()))
}

// ofContent are the answers of a service that does not like this one message, perhaps: many say 400 to what they cannot
// parse, and Mattermost, Telegram and Pushover say it to a wrong token or room as well.
func ofContent(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge || status == http.StatusUnprocessableEntity
}

// delay is how long to wait after so many failures in a row; chance is from 0 to 1. Servers that nodes found dead
// together are not to be asked again together.
func delay(tries int, t *Trouble, chance float64) time.Duration {
	b := retry.Backoff{First: firstDelay, Most: mostDelay, Low: 1, High: 0.75}
	switch {
	case t == nil:
	case t.RetryAfter > 0:
		return b.Asked(min(t.RetryAfter, slowDelay), chance)
	case t.Unasked:
		return firstDelay // a look at a file: it costs nobody anything, and somebody who wrote it waits
	case t.Permanent:
		b.First = mendDelay
	}
	return b.Delay(tries, chance)
}
