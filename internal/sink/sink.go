// Package sink is where a node's presence record goes at each beat: the interface of such a place, and the places that
// need no git: a file on the node, chat rooms, tags of a cloud machine. Async puts a slow one behind a goroutine of its
// own; Compose words what a room is told.
package sink

import (
	"context"

	"github.com/addagent/addagent/presence"
)

// Sink is one place where records are told. Tell is called at each beat with the record as it is now; what is told
// already, and not so long ago that others would think us late, costs a sink nothing. Only the newest record matters: a
// sink that failed is told again at the next beat. Calls of Tell on one sink do not overlap.
type Sink interface {
	Tell(ctx context.Context, r presence.Record) error
}

// Named is a sink with the name that its troubles have.
type Named struct {
	Name string // "files", "presence", "chat 1", "ec2"
	Sink
}

// Flusher is a sink that tells behind the back of who calls Tell.
type Flusher interface {
	// Flush waits until what Tell was given has arrived, or ctx ends.
	Flush(ctx context.Context) error
}
