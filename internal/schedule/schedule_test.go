package schedule

import (
	"fmt"
	"testing"
	"time"
)

func TestEveryIsCountedFromTheEpoch(t *testing.T) {
	for _, d := range []time.Duration{2 * time.Second, 7 * time.Second, time.Minute, 90 * time.Minute} {
		for _, at := range []time.Time{time.Unix(0, 0), time.Unix(1700000000, 1), time.Unix(1700000000, 999999999)} {
			next := Every(d).Next(at)
			if !next.After(at) || next.Sub(at) > d {
				t.Errorf("Every(%s).Next(%s) = %s", d, at, next)
			}
			if next.UnixNano()%int64(d) != 0 {
				t.Errorf("Every(%s).Next(%s) = %s is no multiple", d, at, next)
			}
		}
	}
}

func TestShiftedKeepsItsSecond(t *testing.T) {
	s := Shifted{Every(time.Minute), 17 * time.Second}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 1000 {
		next := s.Next(at)
		if next.Second() != 17 || !next.After(at) {
			t.Fatalf("after %s comes %s", at, next)
		}
		at = next
	}
	if got := Interval(s, at); got != time.Minute {
		t.Errorf("interval %s", got)
	}
}

func TestOffset(t *testing.T) {
	if Offset("i-1", 0, time.Minute) != 0 || Offset("i-1", time.Minute, 0) != 0 {
		t.Error("nothing to spread over, and yet an offset")
	}
	if a, b := Offset("i-1", 50*time.Second, time.Minute), Offset("i-1", 50*time.Second, time.Minute); a != b {
		t.Error("the offset of one name moved")
	}
	for _, spread := range []time.Duration{time.Second, 50 * time.Second, time.Hour} {
		if got := Offset("i-1", spread, time.Minute); got < 0 || got >= min(spread, time.Minute) {
			t.Errorf("Offset over %s is %s", spread, got)
		}
	}
}

// TestOffsetSpreadsAFleet holds the contract's number: the busiest second of
// 10,000 nodes with names as clouds and people give them is at most 1.3 times
// the mean.
func TestOffsetSpreadsAFleet(t *testing.T) {
	for _, form := range []string{"i-%017x", "web-%d", "node%04d.example.org", "ip-10-0-%d"} {
		var seconds [60]int
		for n := range 10000 {
			seconds[Offset(fmt.Sprintf(form, n), time.Minute, time.Minute)/time.Second]++
		}
		peak := 0
		for _, s := range seconds {
			peak = max(peak, s)
		}
		if mean := 10000.0 / 60; float64(peak) > 1.3*mean {
			t.Errorf("%s: peak %d over a mean of %.0f", form, peak, mean)
		}
	}
}

func TestMissed(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 30, 0, time.UTC)
	s := Every(time.Minute)
	for d, want := range map[time.Duration]int{time.Second: 0, 29 * time.Second: 0, 31 * time.Second: 1, 10 * time.Minute: 10, -time.Hour: 0, 1e6 * time.Minute: 1000} {
		if got := Missed(s, at, at.Add(d)); got != want {
			t.Errorf("a beat of %s missed %d ticks, want %d", d, got, want)
		}
	}
}
