// Package retry says how long to wait before something that failed is tried again.
//
// Backoff is the delay, Wait waits for it, Bucket limits a rate. Only this package multiplies a delay or reads
// Retry-After. What is random, and what the time is, are arguments. When to give up is the caller's.
package retry

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"strconv"
	"time"
)

// Backoff is a delay that doubles with each failure in a row, from First up to Most. What is waited is a share of it
// between Low and High, because what failed for one failed for many in the same second.
type Backoff struct {
	First, Most time.Duration
	Low, High   float64
}

// Delay is how long to wait after so many failures in a row, none being no wait. The chance, from 0 to below 1, chooses
// the share: a random number, or Chance of a name where the same question must get the same answer.
func (b Backoff) Delay(failures int, chance float64) time.Duration {
	if failures <= 0 {
		return 0
	}
	d := min(b.First, b.Most)
	for range min(failures-1, 62) {
		if d >= b.Most/2 {
			d = b.Most
			break
		}
		d *= 2
	}
	return time.Duration(float64(d) * (b.Low + (b.High-b.Low)*chance))
}

// Asked is how long to wait when the server asked for a time: not less, and up to First more.
func (b Backoff) Asked(wait time.Duration, chance float64) time.Duration {
	return wait + time.Duration(chance*float64(b.First))
}

// Chance is a number from 0 to below 1, always the same for a name.
func Chance(name string) float64 {
	sum := sha256.Sum256([]byte(name))
	return float64(binary.BigEndian.Uint32(sum[:])) / (1 << 32)
}

// mostAsked bounds what a server may ask for.
const mostAsked = 24 * time.Hour

// After reads the value of a Retry-After header: seconds (some servers send fractions) or a date. It is 0 when there is
// none. https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
func After(value string, now time.Time) time.Duration {
	if s, err := strconv.ParseFloat(value, 64); err == nil && s > 0 {
		return time.Duration(min(s, mostAsked.Seconds()) * float64(time.Second))
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), mostAsked)
	}
	return 0
}

// Reset reads the value of an X-RateLimit-Reset header: when the limit ends, in seconds of Unix. It is 0 when there is
// none or it is past.
func Reset(value string, now time.Time) time.Duration {
	at, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0
	}
	return max(time.Unix(at, 0).Sub(now), 0)
}

// Wait returns true after a time, and false when ctx ends before.
func Wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
