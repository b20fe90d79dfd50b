package cli

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Moment understands a time, a day, or how long ago; days have the letter d.
func Moment(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05Z", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n < 100_000 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, errors.New("give a time such as 2026-03-01 or 2026-03-01T09:30:00Z, or an age such as 90m, 24h or 7d")
}
