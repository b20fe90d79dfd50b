// Package sink is where a node's presence record goes at each beat: the interface, and the places that need no git.
//
// Files is a file on the node, Chat a room, Tags the tags of a cloud machine. Async wraps a slow sink in a goroutine of
// its own; Compose in messages.go words what a room is told. The sink of the presence repository is in package
// gitstore.
package sink

import (
	"context"
	"sync"

	"github.com/addagent/addagent/presence"
)

// Sink is one place that records go to. Tell is called at each beat with the current record; a sink does nothing when
// it has published the same content recently enough for others not to count the node as late. Only the newest record
// matters: after a failure the next beat brings a newer one. Calls of Tell on one sink do not overlap.
type Sink interface {
	Tell(ctx context.Context, r presence.Record) error
}

// Named is a sink with the name under which its troubles are reported.
type Named struct {
	Name string // "files", "presence", "chat 1", "ec2"
	Sink
}

// FlushAll flushes every sink, side by side, and returns the errors in their order.
func FlushAll(ctx context.Context, all []Named) []error {
	errs := make([]error, len(all))
	var done sync.WaitGroup
	for i, s := range all {
		done.Go(func() { errs[i] = Flush(ctx, s.Sink) })
	}
	done.Wait()
	return errs
}

// Flush waits until the last record has arrived in a sink, or ctx ends.
func Flush(ctx context.Context, s Sink) error {
	if f, ok := s.(Flusher); ok {
		return f.Flush(ctx)
	}
	return nil
}

// Flusher is a sink whose Tell returns before the record has arrived.
type Flusher interface {
	// Flush waits until the last record has arrived, or ctx ends.
	Flush(ctx context.Context) error
}
