package chat

import "time"

// bucket is a rate limit: some at once, then one in each interval. It has no clock of its own.
type bucket struct {
	tokens float64
	at     time.Time
}

// take returns how long to wait until one more may be said; 0 means now, and counts it as said.
func (b *bucket) take(now time.Time, l Limits) time.Duration {
	burst := float64(l.Burst)
	if b.at.IsZero() {
		b.tokens = burst
	} else if d := now.Sub(b.at); d > 0 { // a clock that jumps back changes nothing
		b.tokens = min(burst, b.tokens+d.Seconds()/l.Every.Seconds())
	}
	b.at = now
	// A sum of fractions may be slightly below a whole number.
	if b.tokens < 1-1e-6 {
		return time.Duration((1 - b.tokens) * float64(l.Every))
	}
	b.tokens--
	return 0
}
