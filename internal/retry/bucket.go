package retry

import "time"

// Bucket is a rate limit: some at once, then one in each interval. It has no clock of its own.
type Bucket struct {
	tokens float64
	at     time.Time
}

// Wait returns how long to wait until one more may pass; 0 means now. Burst is how many may pass at once.
func (b *Bucket) Wait(now time.Time, burst float64, every time.Duration) time.Duration {
	b.fill(now, burst, every)
	// A sum of fractions may be slightly below a whole number.
	if b.tokens < 1-1e-6 {
		return time.Duration((1 - b.tokens) * float64(every))
	}
	return 0
}

// Spend counts one that passes. One that did not wait makes no debt.
func (b *Bucket) Spend(now time.Time, burst float64, every time.Duration) {
	b.fill(now, burst, every)
	b.tokens = max(b.tokens-1, 0)
}

func (b *Bucket) fill(now time.Time, burst float64, every time.Duration) {
	if b.at.IsZero() {
		b.tokens = burst
	} else if d := now.Sub(b.at); d > 0 { // a clock that jumps back changes nothing
		b.tokens += d.Seconds() / every.Seconds()
	}
	b.tokens, b.at = min(b.tokens, burst), now
}
