package retry

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func TestDelay(t *testing.T) {
	b := Backoff{time.Second, 10 * time.Second, 0.8, 1.2}
	for failures, want := range map[int]time.Duration{
		-1: 0, 0: 0, 1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 4: 8 * time.Second, 5: 10 * time.Second,
		math.MaxInt: 10 * time.Second,
	} {
		if got := b.Delay(failures, 0.5).Round(time.Microsecond); got != want {
			t.Errorf("%d failures: %s, want %s", failures, got, want)
		}
		for chance, share := range map[float64]float64{0: 0.8, 1: 1.2} {
			got, want := b.Delay(failures, chance).Round(time.Microsecond), time.Duration(share*float64(want))
			if got != want.Round(time.Microsecond) {
				t.Errorf("%d failures, a chance of %v: %s, want %s", failures, chance, got, want)
			}
		}
	}
	if got := (Backoff{time.Hour, time.Minute, 1, 1}).Delay(1, 0); got != time.Minute {
		t.Errorf("the first above the most: %s", got)
	}
	if got := (Backoff{0, time.Minute, 1, 1}).Delay(5, 0); got != 0 {
		t.Errorf("no first: %s", got)
	}
	if got := (Backoff{1, math.MaxInt64 / 2, 1, 1}).Delay(math.MaxInt, 0); got < math.MaxInt64/4 {
		t.Errorf("a most without a bound: %s", got)
	}
	if got := b.Asked(time.Minute, 0.5); got != time.Minute+500*time.Millisecond {
		t.Errorf("asked for a minute: %s", got)
	}
}

func TestChance(t *testing.T) {
	least, most, sum := 1.0, 0.0, 0.0
	for i := range 1000 {
		c := Chance(fmt.Sprintf("i-%04d", i))
		least, most, sum = min(least, c), max(most, c), sum+c
	}
	if least < 0 || least > 0.01 || most >= 1 || most < 0.99 || math.Abs(sum/1000-0.5) > 0.05 {
		t.Errorf("a thousand names: %v to %v, on average %v", least, most, sum/1000)
	}
	if Chance("a") != Chance("a") {
		t.Error("a name has two chances")
	}
}

func TestAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "soon": 0, "0": 0, "-5": 0, "NaN": 0, "-Inf": 0,
		"7": 7 * time.Second, "0.25": 250 * time.Millisecond, "1e300": 24 * time.Hour, "Inf": 24 * time.Hour,
		now.Add(time.Minute).Format(http.TimeFormat):    time.Minute,
		now.Add(-time.Minute).Format(http.TimeFormat):   0,
		now.AddDate(300, 0, 0).Format(http.TimeFormat):  24 * time.Hour,
		now.AddDate(-300, 0, 0).Format(http.TimeFormat): 0,
	} {
		if got := After(value, now); got != want {
			t.Errorf("After(%q) = %s, want %s", value, got, want)
		}
	}
}

func TestReset(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for value, want := range map[string]time.Duration{
		"": 0, "soon": 0, "1.5": 0, "1800000060": time.Minute, "1799999999": 0, "60": 0, "-1": 0,
		"9223372036854775808": 0, "99999999999999": math.MaxInt64,
	} {
		if got := Reset(value, now); got != want {
			t.Errorf("Reset(%q) = %s, want %s", value, got, want)
		}
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		if !Wait(t.Context(), time.Hour) || time.Since(begun) != time.Hour {
			t.Errorf("waited %s of an hour", time.Since(begun))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if Wait(ctx, time.Hour) || time.Since(begun) != time.Hour+time.Minute {
			t.Errorf("waited on after its context ended")
		}
	})
}
