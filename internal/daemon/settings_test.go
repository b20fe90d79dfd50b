package daemon

import (
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/schedule"
)

func TestSchedules(t *testing.T) {
	for text, want := range map[string]string{
		"0 0 30 2 *":                "never comes due",
		"TZ=Europe/Paris 0 3 * * *": "times are in UTC; remove TZ= and convert the hours",
		" CRON_TZ=UTC 0 3 * * *":    "times are in UTC; remove CRON_TZ= and convert the hours",
		"@every 10":                 "@every needs a duration",
	} {
		if _, err := ParseSchedule(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestTheOffsetIsTheSameForEver: whenever a node starts, on a schedule with pauses of any length.
func TestTheOffsetIsTheSameForEver(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"* 17 * * *": time.Minute, "0,4,30 3,5 * * *": 4 * time.Minute, "0 3 * * 1": 7 * 24 * time.Hour, "0 0 29 2 *": 4 * 366 * 24 * time.Hour, "@every 90s": 90 * time.Second,
	} {
		s, err := ParseSchedule(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := schedule.Shortest(s); got > want || got < want*9/10 {
			t.Errorf("%q: the shortest pause is %s, want %s", text, got, want)
		}
		cfg := &config.Config{Beat: config.Beat{Schedule: text, Spread: time.Hour}}
		if offset := OwnOffset(cfg, s, "i-1"); offset >= min(want, time.Hour) {
			t.Errorf("%q: an offset of %s", text, offset)
		}
	}
}
