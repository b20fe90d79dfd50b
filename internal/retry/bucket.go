package retry

import "time"

// Bucket is a rate limit: some at once, then one in each interval. It has no clock of its own.
type Bucket struct {
	tokens float64
	at     time.Time
}

// Take returns how long to wait until one more may pass; 0 means now, and counts it. Burst is how many may pass at
// once.
func (b *Bucket) Take(now time.Time, burst int, every time.Duration) time.Duration {
	most := float64(burst)
	if b.at.IsZero() {
		b.tokens = most
	} else if d := now.Sub(b.at); d > 0 { // a clock that jumps back changes nothing
		b.tokens = min(most, b.tokens+d.Seconds()/every.Seconds())
	}
	b.at = now
	// A sum of fractions may be slightly below a whole number.
	if b.tokens < 1-1e-6 {
		return time.Duration((1 - b.tokens) * float64(every))
	}
	b.tokens--
	return 0
}
