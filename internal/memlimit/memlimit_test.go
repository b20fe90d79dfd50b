package memlimit

import (
	"math"
	"runtime/debug"
	"strings"
	"testing"
)

func TestBound(t *testing.T) {
	const limit = 100 << 20
	for _, c := range []struct {
		name          string
		before, after uint64 // held, before and after a collection
		collects      bool
		over          bool
	}{
		{"small", limit / 2, limit / 2, false, false},
		{"at the bound", limit, limit, false, false},
		{"twice the bound", 2 * limit, 2 * limit, false, false},
		{"garbage", 3 * limit, limit, true, false},
		{"a leak", 3 * limit, 3 * limit, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			held, collected := c.before, false
			b := &Limit{limit: limit, held: func() uint64 { return held }, collect: func() { held, collected = c.after, true }}
			err := b.Over()
			if (err != nil) != c.over || collected != c.collects {
				t.Errorf("over: %v, collected: %t", err, collected)
			}
			if err != nil && !strings.Contains(err.Error(), "holds 300 MB after a beat, its bound is 100 MB") {
				t.Errorf("over: %v", err)
			}
		})
	}
	b := &Limit{limit: math.MaxInt64, held: func() uint64 { return math.MaxUint64 / 4 }}
	if err := b.Over(); err != nil {
		t.Errorf("without a limit: %v", err)
	}
}

// TestNewBound: New sets the missing limit of this process. The test puts it back.
func TestNewBound(t *testing.T) {
	was := debug.SetMemoryLimit(math.MaxInt64)
	defer debug.SetMemoryLimit(was)
	b := New()
	if now := debug.SetMemoryLimit(-1); now != ownMemory || b.limit != ownMemory {
		t.Errorf("the runtime's limit is %d, the bound %d; want %d", now, b.limit, ownMemory)
	}
	debug.SetMemoryLimit(77 << 20)
	if b := New(); b.limit != 77<<20 {
		t.Errorf("a limit that was set became %d", b.limit)
	}
	block := make([]byte, 64<<20)
	for i := range block {
		block[i] = 1
	}
	if held := b.held(); held < uint64(len(block)) {
		t.Errorf("holds %d bytes with a block of %d", held, len(block))
	}
}
