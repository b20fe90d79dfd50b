package remote

import (
	"errors"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/protocol"
)

func TestBackoffDoubles(t *testing.T) {
	var b Backoff
	now := time.Unix(1_700_000_000, 0)
	last := time.Duration(0)
	for i := range 20 {
		b.Learn(&protocol.StatusError{Code: 500}, now)
		wait := b.Until.Sub(now)
		if wait < busyWait().Delay(i+1, 0) || wait >= busyWait().Delay(i+1, 1) {
			t.Fatalf("wait %d is %s after %s", i, wait, last)
		}
		last = wait
	}
	if b.Over(now) == nil || b.Over(now.Add(time.Hour)) != nil {
		t.Error("over")
	}
	if b.Over(now.Add(-time.Second)) != nil {
		t.Error("a clock that was set back")
	}
	b.Learn(errors.New("refused"), now)
	if b.Over(now) != nil {
		t.Error("another failure needs no patience")
	}
}

func TestSpareDoubles(t *testing.T) {
	var b Backoff
	now := time.Unix(1_700_000_000, 0)
	for i := range 10 {
		b.Spare(errors.New("refused"), now)
		wait := b.Until.Sub(now)
		if least := spareWait().Delay(i+1, 0); wait < least || wait > spareWait().Delay(i+1, 1) || b.Busy {
			t.Fatalf("wait %d is %s", i, wait)
		}
	}
}
