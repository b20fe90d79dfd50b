package view

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
)

// Reading is how one reading of the presence repository ended.
type Reading struct {
	Fleet presence.Fleet
	Err   error
	At    time.Time
}

// Screen shows the nodes of one reading after another. The exported fields are settings.
type Screen struct {
	Filter  Filter
	Mark    time.Duration // for how long a change is marked
	Colours bool

	fleet   presence.Fleet
	last    Snapshot             // nil = nothing was read yet
	changed map[string]time.Time // when, by id
	failure error                // of the last reading
	since   time.Time            // of failure
}

// update takes in a reading. After one that failed the nodes read before stay.
func (s *Screen) update(r Reading) {
	if r.Err != nil {
		if s.failure == nil {
			s.since = r.At
		}
		s.failure = r.Err
		return
	}
	after := TakeSnapshot(r.Fleet.Nodes, r.At)
	if s.changed == nil {
		s.changed = map[string]time.Time{}
	}
	if s.last != nil {
		for _, t := range s.last.Changes(after, r.At) {
			s.changed[t.ID] = r.At
		}
	}
	s.fleet, s.last, s.failure = r.Fleet, after, nil
}

// mostNotes is how many notes a screen shows: refs without a record must not push away the nodes.
const mostNotes = 2

// lines are what a screen of that size shows.
func (s *Screen) lines(now time.Time, width, height int) []string {
	if s.last == nil && s.failure == nil {
		return []string{human.Truncate("reading ...", width)}
	}
	nodes := s.Filter.Nodes(s.fleet, now)
	var top []string
	if s.last != nil {
		top = append(top, human.Truncate(Summary(nodes, s.fleet, now), width))
	}
	if s.failure != nil {
		text := fmt.Sprintf("not read for %s: %s", human.Seconds(now.Sub(s.since)), human.Safe(s.failure.Error()))
		top = append(top, paint(human.Truncate(text, width), "red", s.Colours))
	}
	for i, n := range s.fleet.Notes {
		if more := len(s.fleet.Notes) - i; i == mostNotes && more > 1 {
			top = append(top, human.Truncate(fmt.Sprintf("note: %d more (addctl nodes shows them)", more), width))
			break
		}
		top = append(top, human.Truncate("note: "+human.Safe(n), width))
	}
	if len(nodes) == 0 {
		return top
	}
	top = append(top, "")
	// The table's head is a line, too; the last line counts the nodes that do not fit.
	fit := max(height-len(top)-1, 1)
	more := 0
	if len(nodes) > fit {
		more = len(nodes) - (fit - 1)
		nodes = nodes[:fit-1]
	}
	t := Nodes(nodes, now)
	marks := []string{"  "}
	for i, n := range nodes {
		mark := "  "
		if at, ok := s.changed[n.InstanceID]; ok && now.Sub(at) < s.Mark {
			mark = "* "
			for j := range t.Rows[i] {
				if t.Rows[i][j].Colour == "" {
					t.Rows[i][j].Colour = "bold"
				}
			}
		}
		marks = append(marks, mark)
	}
	for i, text := range t.Lines(max(width-2, 1), s.Colours) {
		top = append(top, marks[i]+text)
	}
	if more > 0 {
		top = append(top, human.Truncate(fmt.Sprintf("  ... %d more", more), width))
	}
	return top
}

// The alternate screen without a cursor, and what was before it. Lines do not wrap there: a character that is two
// columns wide would push its line into the next one.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// Show fills a terminal, whose size is asked for each time, until the readings end.
func (s *Screen) Show(out io.Writer, size func() (width, height int), readings <-chan Reading) error {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	_, _ = io.WriteString(out, enterScreen)
	defer func() { _, _ = io.WriteString(out, leaveScreen) }()
	for {
		width, height := size()
		if width == 0 || height == 0 {
			width, height = 80, 24 // a terminal that does not know its size
		}
		lines := s.lines(time.Now(), width, height)
		text := strings.Join(lines[:min(len(lines), height)], "\x1b[K\r\n")
		if _, err := io.WriteString(out, "\x1b[H"+text+"\x1b[K\x1b[J"); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		select {
		case r, ok := <-readings:
			if !ok {
				return nil
			}
			s.update(r)
		case <-second.C:
		}
	}
}
