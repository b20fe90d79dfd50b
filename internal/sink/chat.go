package sink

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// Room is what carries a line into a room, without waiting for it to arrive.
type Room interface {
	Say(l Line, at time.Time) error
	// Trouble is why lines do not arrive; nil = they do.
	Trouble() error
	Flush(ctx context.Context) error
}

// Chat is the sink that tells one room. What the room was told is remembered in a file, so that a restarted agent
// repeats nothing and forgets no reminder.
type Chat struct {
	room      Room
	file      files.Remembered[Announced]
	announced Announced
	known     bool // spoken is what the file says
}

// NewChat returns the sink of a room; path is where it remembers what it said.
func NewChat(v Room, path string) *Chat {
	return &Chat{room: v, file: files.Remembered[Announced]{Path: path, What: "chat memory"}}
}

// Tell says what is news in the record. The error is why lines do not arrive, or that the memory cannot be kept.
func (c *Chat) Tell(_ context.Context, r presence.Record) error {
	if err := node.ValidID(r.InstanceID); err != nil {
		return fmt.Errorf("presence record: %w", err)
	}
	var recalled error
	if !c.known {
		c.known = true
		c.announced, _, recalled = c.file.Recall() // a broken one at worst repeats a line
	}
	now := r.BeatSeen
	spoken, lines := Compose(c.announced, r, now)
	var errs []error
	for _, l := range lines {
		errs = append(errs, c.room.Say(l, now))
	}
	if !reflect.DeepEqual(spoken, c.announced) {
		c.announced = spoken
		errs = append(errs, c.file.Save(spoken))
	}
	return errors.Join(append(errs, recalled, c.room.Trouble())...)
}

// Flush waits until what was said has arrived.
func (c *Chat) Flush(ctx context.Context) error { return c.room.Flush(ctx) }

// Room is what carries the lines of this room.
func (c *Chat) Room() Room { return c.room }

// Alarm wraps a sink whose trouble may be critical, such as a clash: then rooms hear of it, once, each hour while it
// stays, and when it is over. What they heard is remembered in a file: an agent that is started again and again, or
// by cron for each beat, must not say it each time.
type Alarm struct {
	Sink
	rooms func() []Room
	file  files.Remembered[alarmed]

	mu    sync.Mutex      // who ends this machine flushes beside the beats
	last  presence.Record // as told last
	known bool            // said is what the file says
	said  time.Time       // when rooms heard of it; zero = nothing is critical
	seen  bool            // this process has seen it, too
}

// alarmed is the file of an Alarm.
type alarmed struct {
	ID   string    `json:"id"` // whose record it is about: another name is another matter
	Said time.Time `json:"said"`
}

// NewAlarm returns the sink; rooms are the voices to speak with, path is where it remembers what they heard.
func NewAlarm(s Sink, rooms func() []Room, path string) *Alarm {
	return &Alarm{Sink: s, rooms: rooms, file: files.Remembered[alarmed]{Path: path, What: "presence alarm"}}
}

// Tell is that of the sink within.
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
	// As long as the sink has not tried, that nothing is wrong yet says nothing about what an earlier process saw.
	arrives, tells := a.Sink.(interface{ Arrived() bool })
	return errors.Join(a.hear(err, err == nil && (a.seen || tells && arrives.Arrived())), recalled)
}

// Flush is that of the sink within, if it has one.
func (a *Alarm) Flush(ctx context.Context) error {
	f, ok := a.Sink.(Flusher)
	if !ok {
		return nil
	}
	err := f.Flush(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.hear(err, err == nil)
}

// hear tells the rooms what there is to be told of how telling went.
func (a *Alarm) hear(err error, over bool) error {
	var c interface{ Critical() bool }
	switch now := a.last.BeatSeen; {
	case errors.As(err, &c) && c.Critical():
		a.seen = true
		if since := now.Sub(a.said); since >= remindEach || since < 0 {
			a.said = now
			return errors.Join(err, a.say(own(a.last, Line{Text: err.Error(), Colour: "red", Critical: true}), now), a.remember())
		}
	case over && !a.said.IsZero():
		a.said, a.seen = time.Time{}, false
		return errors.Join(a.say(own(a.last, Line{Text: "what was critical is over: told in the presence repository again", Colour: "green", Critical: true}), now), a.remember())
	}
	return err
}

func (a *Alarm) say(l Line, at time.Time) error {
	var errs []error
	for _, v := range a.rooms() {
		errs = append(errs, v.Say(l, at))
	}
	return errors.Join(errs...)
}

func (a *Alarm) remember() error {
	if a.said.IsZero() {
		return a.file.Forget()
	}
	return a.file.Save(alarmed{a.last.InstanceID, a.said})
}
