package retry_test

import (
	"testing"
	"time"

	"github.com/addagent/addagent/internal/retry"
)

func TestBucket(t *testing.T) {
	start := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	var b retry.Bucket
	for i, step := range []struct {
		at   time.Duration
		want time.Duration
	}{
		{0, 0}, {0, 0}, {0, 0}, {0, 6 * time.Second}, {2 * time.Second, 4 * time.Second}, {6 * time.Second, 0}, {6 * time.Second, 6 * time.Second},
		{-time.Hour, 6 * time.Second}, // a clock that jumps back gives nothing
		{-time.Hour + 6*time.Second, 0},
		// At most the burst.
		{1000 * time.Hour, 0}, {1000 * time.Hour, 0}, {1000 * time.Hour, 0}, {1000 * time.Hour, 6 * time.Second},
	} {
		got := b.Wait(start.Add(step.at), 3, 6*time.Second)
		if got.Round(time.Millisecond) != step.want {
			t.Errorf("step %d: wait %s, want %s", i, got, step.want)
		}
		if got == 0 {
			b.Spend(start.Add(step.at), 3, 6*time.Second)
		}
	}
}
