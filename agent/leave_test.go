package agent

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/sink"
	"github.com/addagent/addagent/presence"
)

// hanging is a place that answers nothing before who asks gives up.
type hanging struct{ tells, flushes bool }

func (h hanging) Tell(ctx context.Context, r presence.Record) error {
	if h.tells && r.State == node.Leaving {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (h hanging) Flush(ctx context.Context) error {
	if h.flushes {
		<-ctx.Done()
	}
	return ctx.Err()
}

// TestTheFarewellIsBounded: telling and arriving have one deadline between them, whatever hangs, and the places that
// are well hear that the node leaves.
func TestTheFarewellIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		down  bool
		place hanging
		want  time.Duration
	}{
		"all is well":                          {true, hanging{}, 0},
		"arriving hangs":                       {true, hanging{flushes: true}, farewell},
		"telling hangs":                        {true, hanging{tells: true}, farewell},
		"both hang":                            {true, hanging{tells: true, flushes: true}, farewell},
		"the agent is restarted, and it hangs": {false, hanging{tells: true, flushes: true}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, e := newBench(t, "common"), &ear{}
				b.down, b.Sinks = c.down, []sink.Named{{Name: "presence", Sink: c.place}, {Name: "chat 1", Sink: e}}
				start := time.Now()
				const life = 3*time.Minute + 30*time.Second
				b.live(life, nil)
				if took := time.Since(start) - life; took != c.want {
					t.Errorf("the end took %s, want %s", took, c.want)
				}
				if last := e.heard[len(e.heard)-1]; (last.State == node.Leaving) != c.down || (e.flushed == 1) != c.down {
					t.Errorf("the place that is well heard %s, flushed %d times", last.State, e.flushed)
				}
			})
		})
	}
}
