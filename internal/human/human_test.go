package human

import (
	"strings"
	"testing"
	"time"
)

const (
	ms   = time.Millisecond
	day  = 24 * time.Hour
	year = 365 * day
)

func TestDurations(t *testing.T) {
	for _, c := range []struct {
		d                         time.Duration
		duration, seconds, coarse string
	}{
		{-90 * time.Second, "0 s", "0 s", "0 s"},
		{0, "0 ms", "0 s", "0 s"},
		{400 * time.Microsecond, "0 ms", "0 s", "0 s"},
		{12600 * time.Microsecond, "13 ms", "0 s", "0 s"},
		{499 * ms, "499 ms", "0 s", "0 s"},
		{600 * ms, "600 ms", "1 s", "0 s"},
		{time.Second - time.Nanosecond, "1 s", "1 s", "0 s"},
		{time.Second, "1 s", "1 s", "1 s"},
		{5100 * ms, "5.1 s", "5 s", "5 s"},
		{10400 * ms, "10 s", "10 s", "10 s"},
		{40 * time.Second, "40 s", "40 s", "40 s"},
		{2*time.Minute - time.Second, "119 s", "119 s", "119 s"},
		{2 * time.Minute, "2 min", "2 min", "2 min"},
		{59 * time.Minute, "59 min", "59 min", "59 min"},
		{time.Hour, "1 h", "1 h", "60 min"},
		{90 * time.Minute, "1 h 30 min", "1 h 30 min", "90 min"},
		{2 * time.Hour, "2 h", "2 h", "2 h"},
		{48*time.Hour - time.Minute, "47 h 59 min", "47 h 59 min", "47 h"},
		{2 * day, "2 days", "2 days", "2 days"},
		{2 * year, "730 days", "730 days", "730 days"},
	} {
		if got := Duration(c.d); got != c.duration {
			t.Errorf("Duration(%v) = %q, want %q", c.d, got, c.duration)
		}
		if got := Seconds(c.d); got != c.seconds {
			t.Errorf("Seconds(%v) = %q, want %q", c.d, got, c.seconds)
		}
		if got := Coarse(c.d); got != c.coarse {
			t.Errorf("Coarse(%v) = %q, want %q", c.d, got, c.coarse)
		}
		n, unit, _ := strings.Cut(c.coarse, " ")
		if got := Column(c.d); got != n+unit[:1] {
			t.Errorf("Column(%v) = %q, want %q", c.d, got, n+unit[:1])
		}
	}
}

func TestSetting(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": 0, "250ms": 250 * ms, "15s": 15 * time.Second, "1m": time.Minute, "1m30s": 90 * time.Second,
		"1h": time.Hour, "1h30m": 90 * time.Minute, "1h0m1s": time.Hour + time.Second, "48h": 2 * day,
	} {
		if got := Setting(d); got != want {
			t.Errorf("Setting(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestTimes(t *testing.T) {
	cet := time.FixedZone("CET", 3600)
	at := time.Date(2026, 3, 1, 0, 30, 5, 999, cet)
	for name, c := range map[string]struct{ got, want string }{
		"Clock":     {Clock(at), "23:30:05Z"},
		"Time":      {Time(at), "2026-02-28 23:30:05Z"},
		"TimeUTC":   {TimeUTC(at), "2026-02-28 23:30:05 UTC"},
		"Date":      {Date(at), "2026-02-28"},
		"Stamp":     {Stamp(at), "2026-03-01T00:30:05+01:00"},
		"Stamp UTC": {Stamp(at.UTC()), "2026-02-28T23:30:05Z"},
		"LocalTime": {LocalTime(at), at.Local().Format("2006-01-02 15:04:05 MST")},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", name, c.got, c.want)
		}
	}
	for want, now := range map[string]time.Time{
		"23:30:05Z":                             at,
		"23:30:05Z (20 s ago)":                  at.Add(20 * time.Second),
		"23:30:05Z (in 2 h 5 min)":              at.Add(-125 * time.Minute),
		"2026-02-28 23:30:05Z (40 min ago)":     at.Add(40 * time.Minute),
		"2026-02-28 23:30:05Z (3 days ago)":     at.Add(3 * day),
		"2026-02-28 23:30:05Z (in 23 h 31 min)": at.Add(-23*time.Hour - 31*time.Minute),
	} {
		if got := When(at, now); got != want {
			t.Errorf("When(%v) = %q, want %q", now, got, want)
		}
	}
}

func TestCounts(t *testing.T) {
	for want, got := range map[string]string{
		"0 files":        Count(0, "file"),
		"1 file":         Count(1, "file"),
		"2 files":        Count(2, "file"),
		"1 process":      Count(1, "process"),
		"2 processes":    Count(2, "process"),
		"2 repositories": Count(2, "repository"),
		"2 keys":         Count(2, "key"),
		"2 branches":     Count(2, "branch"),

		"0 bytes":    Size(0),
		"1 byte":     Size(1),
		"9999 bytes": Size(9_999),
		"10 KB":      Size(10_999),
		"9999 KB":    Size(9_999_999),
		"10 MB":      Size(10_000_000),
		"64 KB":      BinarySize(64 << 10),
		"1 MB":       BinarySize(1 << 20),
		"1023 KB":    BinarySize(1<<20 - 1),
		"4 MB":       BinarySize(4 << 20),
		"10239 MB":   BinarySize(10<<30 - 1),
		"10 GB":      BinarySize(10 << 30),

		"nothing": ID(""),
		"abc":     ID("abc"),
		"0123456": ID("0123456789012345678901234567890123456789"),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestText(t *testing.T) {
	strange := " a\tb\r\n\n\x1b[31mc\u202e\u2028d\xff\u00a0 "
	for name, c := range map[string]struct{ got, want string }{
		"Line":        {Line(strange), "a b [31mc d"},
		"Safe":        {Safe(strange), " a b   ?[31mc? d\ufffd\u00a0 "},
		"Printable":   {Printable(strange), " a?b????[31mc??d?? "},
		"Lines":       {Lines("one\ntwo\r\n\nthree\n"), "one; two; three"},
		"Lines, one":  {Lines("one"), "one"},
		"Lines, none": {Lines(""), ""},

		"Truncate short": {Truncate("äöü", 3), "äöü"},
		"Truncate":       {Truncate("äöüß", 3), "äö…"},
		"Truncate to 1":  {Truncate("äöüß", 1), "…"},
		"Truncate to 0":  {Truncate("äöüß", 0), ""},
		"Truncate below": {Truncate("äöüß", -1), ""},
		"Prefix short":   {Prefix("äö", 2), "äö"},
		"Prefix":         {Prefix("äöü", 2), "äö"},
		"Bytes short":    {PrefixBytes("äö", 4), "äö"},
		"Bytes":          {PrefixBytes("äöü", 5), "äö"},
		"Bytes, odd":     {PrefixBytes("\xbf\xbf\xbf", 2), ""},

		"Quote":      {Quote("a\"b\n"), `"a\"b\n"`},
		"Quote long": {Quote(strings.Repeat("ü", 61)), `"` + strings.Repeat("ü", 59) + `…"`},

		"List of 0":      {List(nil, "and"), ""},
		"List of 1":      {List([]string{"a"}, "and"), "a"},
		"List of 2":      {List([]string{"a", "b"}, "or"), "a or b"},
		"List of 3":      {List([]string{"a", "b", "c"}, "and"), "a, b and c"},
		"Some":           {Some([]string{"a", "b"}, 2), "a, b"},
		"Examples":       {Examples([]string{"a", "b"}, 2), "a, b"},
		"Examples, more": {Examples([]string{"a", "b", "c"}, 2), "a, b, ..."},
		"Some more":      {Some([]string{"a", "b", "c", "d"}, 2), "a, b and 2 more"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", name, c.got, c.want)
		}
	}
}

func TestSafe(t *testing.T) {
	for text, want := range map[string]string{
		"plain größe": "plain größe", "a\nb\tc\rd": "a b c d", "\x1b[2J\x07": "?[2J?", "\u009b31m": "?31m", "": "",
		"\u202ederas\u202c \u2066x\u2069": "?deras? ?x?", "one\u2028two\u2029three": "one two three", "שלום": "שלום",
	} {
		if got := Safe(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}
