package sink

import (
	"context"
	"errors"
	"fmt"
	"reflect"

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
	if !reflect.DeepEqual(heard, c.heard) {
		c.heard = heard
		errs = append(errs, c.file.Save(heard))
	}
	return errors.Join(append(errs, recalled, c.Trouble())...)
}
