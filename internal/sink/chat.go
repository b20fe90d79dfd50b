package sink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/addagent/addagent/internal/chat"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// Room takes messages without waiting for them to arrive.
type Room interface {
	chat.Room
	// Trouble says why messages do not arrive; nil if they do.
	Trouble() error
	Flusher
}

// Chat announces the node's states in one room. A file remembers what the room heard, so that a restarted agent
// repeats nothing and forgets no reminder.
type Chat struct {
	Room
	onlyCritical bool
	file         files.Remembered[Heard]
	heard        Heard
	known        bool // the file has been read
}

// NewChat returns the sink of a room, which wants all lines or only critical ones; path is the file that remembers what
// the room heard.
func NewChat(room Room, onlyCritical bool, path string) *Chat {
	return &Chat{Room: room, onlyCritical: onlyCritical, file: files.Remembered[Heard]{Path: path, What: "chat memory"}}
}

// Tell announces what is new in the record. The error says why lines do not arrive, or that the file cannot be written.
func (c *Chat) Tell(ctx context.Context, r presence.Record) error {
	if err := node.ValidID(r.InstanceID); err != nil {
		return fmt.Errorf("presence record: %w", err)
	}
	var recalled error
	if !c.known {
		c.known = true
		c.heard, _, recalled = c.file.Recall() // a broken one at worst repeats a line
	}
	heard, lines := Compose(c.heard, r, c.onlyCritical, r.BeatSeen)
	var errs []error
	for _, l := range lines {
		errs = append(errs, c.Say(ctx, l))
	}
	if heard != c.heard {
		c.heard = heard
		errs = append(errs, c.file.Save(heard))
	}
	return errors.Join(append(errs, recalled, c.Trouble())...)
}

// Alarm wraps a sink whose error may be critical, such as a clash, and announces it in rooms: at once, each hour while
// it lasts, and when it is over. A file remembers the announcement, so that an agent which is restarted often, or
// started by cron for each beat, does not repeat it.
type Alarm struct {
	Sink
	rooms func() []Room
	file  files.Remembered[alarmed]

	mu    sync.Mutex      // Flush may be called during a beat, when the machine ends itself
	last  presence.Record // given last
	known bool            // the file has been read
	said  time.Time       // when it was announced; zero when nothing is critical
	seen  bool            // this process has seen the error itself
}

// alarmed is the file of an Alarm.
type alarmed struct {
	ID   string    `json:"id"` // of the node; under another name the node starts afresh
	Said time.Time `json:"said"`
}

// NewAlarm returns the sink; rooms lists where to announce, path is the file that remembers the announcement.
func NewAlarm(s Sink, rooms func() []Room, path string) *Alarm {
	return &Alarm{Sink: s, rooms: rooms, file: files.Remembered[alarmed]{Path: path, What: "presence alarm"}}
}

// Tell passes the record on and announces a critical error.
func (a *Alarm) Tell(ctx context.Context, r presence.Record) error {
	err := a.Sink.Tell(ctx, r)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = r
	var recalled error
	if !a.known {
		var heard alarmed
		a.known = true
		if heard, _, recalled = a.file.Recall(); heard.ID == r.InstanceID { // a broken one at worst repeats a line
			a.said = heard.Said
		}
	}
	// Before the first try of the sink, the absence of an error does not mean that an earlier process's alarm is over.
	arrives, tells := a.Sink.(interface{ Arrived() bool })
	return errors.Join(a.hear(err, err == nil && (a.seen || tells && arrives.Arrived())), recalled)
}

// Flush flushes the wrapped sink, if it can be flushed.
func (a *Alarm) Flush(ctx context.Context) error {
	err := Flush(ctx, a.Sink)
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.hear(err, err == nil)
}

// hear announces a critical error, or that it is over.
func (a *Alarm) hear(err error, over bool) error {
	var c interface{ Critical() bool }
	switch now := a.last.BeatSeen; {
	case errors.As(err, &c) && c.Critical():
		a.seen = true
		if since := now.Sub(a.said); since >= remindEach || since < 0 {
			a.said = now
			return errors.Join(err, a.say(chat.Message{Text: own(a.last, err.Error()), Colour: "red", Critical: true, Time: now}), a.remember())
		}
	case over && !a.said.IsZero():
		a.said, a.seen = time.Time{}, false
		return errors.Join(a.say(chat.Message{Text: own(a.last, "resolved: the presence repository accepts this node again"), Colour: "green", Critical: true, Time: now}), a.remember())
	}
	return err
}

func (a *Alarm) say(m chat.Message) error {
	var errs []error
	for _, v := range a.rooms() {
		errs = append(errs, v.Say(context.Background(), m)) // it does not wait for the network
	}
	return errors.Join(errs...)
}

func (a *Alarm) remember() error {
	if a.said.IsZero() {
		return a.file.Forget()
	}
	return a.file.Save(alarmed{a.last.InstanceID, a.said})
}
