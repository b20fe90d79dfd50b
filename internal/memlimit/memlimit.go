package memlimit

import (
	"fmt"
	"math"
	"runtime/debug"
	"runtime/metrics"

	"github.com/addagent/addagent/internal/human"
)

// ownMemory is what the agent should need at most: five times what the first clone of a large repository was measured
// to take (docs/performance.md). The unit has no MemoryMax=, which would fall on people's work in its cgroup.
const ownMemory = 256 << 20

// farAbove is how many times its bound the agent must still hold after a beat to leave for a restart.
const farAbove = 2

// Limit keeps the agent's memory small. It is of the goroutine of the beats.
type Limit struct {
	limit uint64
	// held is how much memory this process holds, in bytes; collect gives back what can be given back.
	held    func() uint64
	collect func()
}

// New makes the collector work harder as the process nears its limit. GOMEMLIMIT, which the runtime has obeyed
// already, is a person's choice and wins.
func New() *Limit {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		limit = ownMemory
		debug.SetMemoryLimit(limit)
	}
	return &Limit{limit: uint64(limit), held: heldMemory, collect: debug.FreeOSMemory}
}

// heldMemory is what the limit counts: mapped by the runtime and not given back.
func heldMemory() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}

// Over tells that this process holds far more than it should, though everything was given back that could be: something
// leaks, and only a new process repairs that. Dividing, since a limit may be as large as an integer.
func (b *Limit) Over() error {
	if b.held()/farAbove <= b.limit {
		return nil
	}
	b.collect()
	held := b.held()
	if held/farAbove <= b.limit {
		return nil
	}
	return fmt.Errorf("the agent holds %s after a beat, its bound is %s", human.BinarySize(int64(held)), human.BinarySize(int64(b.limit)))
}
