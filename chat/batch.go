package chat

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// bucket is a limit of the rate: so many at once, then one each so often. Values in, values out; it holds no clock.
type bucket struct {
	tokens float64
	at     time.Time
}

// take tells how long to wait until one more may be said: 0 is now, and then it counts as said.
func (b *bucket) take(now time.Time, l Limits) time.Duration {
	burst := float64(l.Burst)
	if b.at.IsZero() {
		b.tokens = burst
	} else if d := now.Sub(b.at); d > 0 { // a clock that jumped back gives nothing and takes nothing
		b.tokens = min(burst, b.tokens+d.Seconds()/l.Every.Seconds())
	}
	b.at = now
	// A sum of fractions may be a hair below the whole that it means.
	if b.tokens < 1-1e-6 {
		return time.Duration((1 - b.tokens) * float64(l.Every))
	}
	b.tokens--
	return 0
}

const (
	// A message of more lines is read by nobody, and one of more bytes is cut by some services.
	mostLines = 40
	mostBytes = 3500
)

// batch is what the next try says, as places in the list: the first message that waits, or, when more than l.Join wait, as
// many as fit into one. What the service refused for what it holds comes after all others and alone, so that it neither
// takes others with it nor keeps the room from them.
func batch(waiting []entry, l Limits) []int {
	if len(waiting) == 0 {
		return nil
	}
	least := slices.MinFunc(waiting, func(a, b entry) int { return a.refused - b.refused }).refused
	var places []int
	size := 0
	for i, e := range waiting {
		if e.refused != least {
			continue
		}
		size += len(e.Text) + 1
		if len(places) > 0 && (least > 0 || len(places) == mostLines || size > mostBytes) {
			break
		}
		places = append(places, i)
	}
	if len(waiting) <= l.Join {
		return places[:1]
	}
	return places
}

// spoken is the message that says a batch: a line each, with the time before a line that comes late, the colour of the
// worst, and before all of it how many were lost.
func spoken(entries []entry, lost int, now time.Time, l Limits) Message {
	var m Message
	var lines []string
	if lost > 0 {
		m.Colour = "gray"
		lines = append(lines, fmt.Sprintf("%d earlier %s lost: too old or too many while the room could not be reached",
			lost, map[bool]string{true: "message was", false: "messages were"}[lost == 1]))
	}
	for _, e := range entries {
		text := e.Text
		if late(e.Time, now, l) {
			text = e.Time.UTC().Format("2006-01-02 15:04:05 UTC ") + text
		}
		lines = append(lines, text)
		m.Critical = m.Critical || e.Critical
		m.Time = e.Time
		if rank(e.Colour) > rank(m.Colour) {
			m.Colour = e.Colour
		}
	}
	m.Text = strings.Join(lines, "\n")
	return m
}

func late(at, now time.Time, l Limits) bool { return !at.IsZero() && now.Sub(at) > l.Late }

// rank orders colours: the worst of several is the one to see.
func rank(colour string) int {
	switch colour {
	case "red":
		return 4
	case "yellow":
		return 3
	case "green":
		return 2
	case "":
		return 0
	}
	return 1
}
