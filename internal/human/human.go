// Package human words values for people: durations, times, counts, sizes, short ids, one line of text.
//
// Texts in logs, chat and commands look alike because all packages word their values here; a house rule keeps it so.
package human

import (
	"fmt"
	"strings"
	"time"
)

// Duration is a duration in at most two units: 12 ms, 5.1 s, 40 s, 3 min, 2 h 5 min, 3 days.
func Duration(d time.Duration) string {
	if d < time.Second {
		d = d.Round(time.Millisecond)
	}
	switch {
	case d < 0:
		return "0 s"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second && d%time.Second != 0:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		if m := int(d.Minutes()) % 60; m != 0 {
			return fmt.Sprintf("%d h %d min", int(d.Hours()), m)
		}
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}

// Seconds is Duration without fractions of a second, for what was measured between two beats.
func Seconds(d time.Duration) string {
	if d = d.Round(time.Second); d < time.Second {
		return "0 s"
	}
	return Duration(d)
}

// Coarse is a duration in one unit, for a message in a chat room: 90 s, 90 min, 40 h, 3 days.
func Coarse(d time.Duration) string {
	n, unit := coarse(d)
	return fmt.Sprintf("%d %s", n, unit)
}

// Column is a duration in one unit of one letter, for a table: 90s, 90m, 40h, 3d.
func Column(d time.Duration) string {
	n, unit := coarse(d)
	return fmt.Sprintf("%d%c", n, unit[0])
}

func coarse(d time.Duration) (int, string) {
	switch {
	case d < 2*time.Minute:
		return int(max(d, 0).Seconds()), "s"
	case d < 2*time.Hour:
		return int(d.Minutes()), "min"
	case d < 48*time.Hour:
		return int(d.Hours()), "h"
	}
	return int(d.Hours()) / 24, "days"
}

// Setting is a duration as the config has it, without the zeros that Go writes: 15s, 1h30m. It is for limits, so that
// a reader finds them in the config.
func Setting(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

const (
	clock  = "15:04:05Z"
	moment = "2006-01-02 15:04:05Z"
)

// Clock is a time of day: 18:30:00Z. It is for a time of this day.
func Clock(t time.Time) string { return t.UTC().Format(clock) }

// Time is a date and a time of day: 2026-03-01 18:30:00Z.
func Time(t time.Time) string { return t.UTC().Format(moment) }

// TimeUTC is Time as it is said in chat rooms, where a Z is not understood: 2026-03-01 18:30:00 UTC.
func TimeUTC(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// Date is a day: 2026-03-01.
func Date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// LocalTime is a time with the zone of this machine: 2026-03-01 19:30:00 CET. It is for times that a person typed, so
// that a wrong zone is noticed.
func LocalTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

// Stamp is a time as the JSON files have it: 2026-03-01T18:30:00Z. It keeps the zone that t has.
func Stamp(t time.Time) string { return t.Format(time.RFC3339) }

// CTime is a time as C's ctime words it, in UTC, for programs that read that: Sun Mar  1 12:00:00 2026.
func CTime(t time.Time) string { return t.UTC().Format(time.ANSIC) }

// Moment is a time as it reads at another one: without the date on the same day.
func Moment(t, now time.Time) string {
	if Date(t) == Date(now) {
		return Clock(t)
	}
	return Time(t)
}

// When is a time and its distance from now: 18:30:00Z (5 min ago). The date is left out today.
func When(t, now time.Time) string {
	at := Moment(t, now)
	switch d := now.Sub(t); {
	case d >= time.Second:
		return at + " (" + Seconds(d) + " ago)"
	case d <= -time.Second:
		return at + " (in " + Seconds(-d) + ")"
	}
	return at
}
