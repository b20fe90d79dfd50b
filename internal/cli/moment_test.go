package cli

import (
	"testing"
	"time"
)

func TestMoment(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"90m": noon.Add(-90 * time.Minute), "7d": noon.AddDate(0, 0, -7), "2026-02-28": time.Date(2026, 2, 28, 0, 0, 0, 0, time.UTC),
		"2026-02-28T10:00:00+01:00": time.Date(2026, 2, 28, 9, 0, 0, 0, time.UTC), "2026-02-28 10:00:00Z": time.Date(2026, 2, 28, 10, 0, 0, 0, time.UTC),
		"2026-02-28T10:00": time.Date(2026, 2, 28, 10, 0, 0, 0, time.UTC),
	} {
		if got, err := Moment(text, noon); err != nil || !got.Equal(want) {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "yesterday", "-2h", "0d", "d", "99999999d", "2026-13-01", "0s"} {
		if got, err := Moment(text, noon); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}
