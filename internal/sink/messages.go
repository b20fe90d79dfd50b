package sink

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// Line is one line in a room, as a chat says it.
type Line struct {
	Text     string
	Colour   string // of the state, as in node.StateRow
	Critical bool   // for the rooms that want only what needs a person
}

// Announced is what a room was told of this node. The zero value is a room that knows nothing.
type Announced struct {
	State  node.State           `json:"state,omitempty"`  // as of the last record
	Print  string               `json:"print,omitempty"`  // fingerprint of the last record: what it says without numbers
	Since  time.Time            `json:"since,omitzero"`   // since when it is in that state
	Bad    node.State           `json:"bad,omitempty"`    // failing or wedged, and not well again yet
	BadAt  time.Time            `json:"bad_at,omitzero"`  // since when
	Works  bool                 `json:"works,omitempty"`  // the room was told that it works, and waits to hear of the end
	Quiet  bool                 `json:"quiet,omitempty"`  // that it is bad was not said: it is a repeat
	Remind time.Time            `json:"remind,omitzero"`  // when the wedge was said last
	Said   map[string]time.Time `json:"said,omitempty"`   // by fingerprint, what was said within the hour, and when
	Folded int                  `json:"folded,omitempty"` // repeats that were not said since the last line
}

const (
	// sayOnce is how long a repeat of what was said is not said again.
	sayOnce = time.Hour
	// remindEach is how often a wedge that stays is called to mind.
	remindEach = time.Hour
)

// Compose decides what a room is to be told when a node says r: transitions, each in one line; a repeat of what was
// said within the hour is counted and not said; a wedge that stays is called to mind once an hour; what was said to
// be bad is said to be well again. Pure: the same values give the same lines.
func Compose(s Announced, r presence.Record, now time.Time) (Announced, []Line) {
	print := fingerprint(r)
	if print == s.Print {
		return s.remind(r, now)
	}
	s = s.aged(now)
	was := s.State
	if was != r.State {
		s.Since = now
	}
	s.State, s.Print = r.State, print
	bad := r.State == node.Failing || r.State == node.Wedged
	well := !bad && (r.State == node.Idle || r.State == node.InitDone)
	switch {
	case r.State == node.Presetup:
		return s, nil
	case bad:
		if s.Bad != r.State && s.Bad != node.Wedged {
			s.BadAt = now
		}
		lines := s.say(print, stateLine(r), now)
		s.Quiet = len(lines) == 0 && (s.Bad == "" || s.Quiet)
		if s.Bad != node.Wedged { // who heard of a wedge waits to hear that all is well
			s.Bad = r.State
		}
		if r.State == node.Wedged {
			s.Remind = s.Said[print]
		}
		return s, lines
	case well && s.Bad != "":
		text := fmt.Sprintf("%s no more, after %s: %s%s", s.Bad, human.Coarse(now.Sub(s.BadAt)), r.State, at(r))
		lines := []Line{own(r, Line{Text: text, Colour: "green", Critical: s.Bad == node.Wedged})}
		if s.Quiet {
			lines = nil // its coming was no news, so its going is none
		}
		s.Bad, s.BadAt, s.Quiet = "", time.Time{}, false
		return s, lines
	case r.State == node.Leaving && s.Bad == node.Wedged:
		// Those who only hear what needs a person have waited for one to see to this machine: it sees to itself.
		l := stateLine(r)
		l.Critical = true
		return s, s.say(print, l, now)
	case r.State == node.Idle && was == node.Working && s.Works:
		s.Works = false
		return s, []Line{stateLine(r)}
	case r.State == node.Idle && was == node.Working:
		s.Folded++
		return s, nil // its begin was a repeat, so its end is one
	case r.State == node.Idle && was != node.Disabled && was != node.Leaving:
		return s, nil // it was ready, and that was said; or something came that it does not watch
	}
	lines := s.say(print, stateLine(r), now)
	s.Works = r.State == node.Working && len(lines) > 0
	return s, lines
}

// remind calls a wedge that stays to mind.
func (s Announced) remind(r presence.Record, now time.Time) (Announced, []Line) {
	if r.State != node.Wedged {
		return s, nil
	}
	s = s.aged(now)
	if now.Sub(s.Remind) < remindEach {
		return s, nil
	}
	s.Remind, s.Quiet = now, false
	text := fmt.Sprintf("still wedged, for %s: %s%s", human.Coarse(now.Sub(s.Since)), reason(r), next(r))
	return s, []Line{own(r, Line{Text: text, Colour: "red", Critical: true})}
}

// say is the line, unless the same was said within the hour: then it is counted.
func (s *Announced) say(print string, l Line, now time.Time) []Line {
	if _, known := s.Said[print]; known {
		s.Folded++
		return nil
	}
	s.Said = maps.Clone(s.Said)
	if s.Said == nil {
		s.Said = map[string]time.Time{}
	}
	s.Said[print] = now
	if s.Folded > 0 {
		l.Text += fmt.Sprintf(" (and %s before it that said nothing new)", human.Count(s.Folded, "change"))
		s.Folded = 0
	}
	return []Line{l}
}

// aged forgets what was said longer ago than an hour, and what a clock that was set back says of the future.
func (s Announced) aged(now time.Time) Announced {
	for _, t := range []*time.Time{&s.Since, &s.BadAt, &s.Remind} {
		if t.After(now) {
			*t = now
		}
	}
	s.Said = maps.Clone(s.Said)
	maps.DeleteFunc(s.Said, func(_ string, at time.Time) bool {
		age := now.Sub(at)
		return age < 0 || age >= sayOnce
	})
	return s
}

// stateLine is what is said when a node comes into a state.
func stateLine(r presence.Record) Line {
	row, _ := node.Row(r.State)
	text := string(r.State) + ": " + row.Meaning
	switch r.State {
	case node.Setup:
		text = "setup: the agent lives"
	case node.InitDone:
		text = "initdone: launched, ready for its work"
	case node.Working:
		text = "working: " + reason(r) + at(r)
	case node.Idle:
		text = "idle: done" + at(r)
	case node.Failing, node.Wedged:
		text = string(r.State) + ": " + reason(r) + at(r) + next(r)
	case node.Disabled, node.Leaving:
		text = string(r.State) + ": " + reason(r)
	}
	line := Line{Text: text, Colour: row.Colour, Critical: row.Critical}
	return own(r, line)
}

// own puts the node's name in front.
func own(r presence.Record, l Line) Line {
	l.Text = fmt.Sprintf("%s:%s/%s: %s", r.InstanceID, r.Deployment, r.Nodepart, l.Text)
	return l
}

// at is what versions it is about.
func at(r presence.Record) string {
	var all []string
	for _, repo := range r.Repos {
		all = append(all, repo.Name+"@"+human.ID(repo.Version))
	}
	if len(all) == 0 {
		return ""
	}
	return " at " + strings.Join(all, " ")
}

// spokenLength bounds a reason in a room, in characters; the node has all of it.
const spokenLength = 400

func reason(r presence.Record) string {
	return human.Truncate(r.Reason, spokenLength)
}

// next is the command to run on the node.
func next(r presence.Record) string {
	who, _, _ := strings.Cut(r.Reason, ": ")
	if strings.Count(who, ":") != 1 || strings.ContainsAny(who, " ;") {
		return "  -> addagent why"
	}
	return "  -> addagent why " + who
}

// fingerprint is what a record says without what changes by itself: times, counts, durations, what stands in
// brackets. Of a bad state its version does not count either: the same failure at the next commit is the same
// failure. Of work it does: each push is news to those who wait for it.
func fingerprint(r presence.Record) string {
	words := strings.Fields(aside.ReplaceAllString(r.Reason, ""))
	for i, w := range words {
		if numeric(w) {
			words[i] = "#"
		}
	}
	why := strings.Join(words, " ")
	switch r.State {
	case node.Failing, node.Wedged, node.Disabled, node.Leaving:
		return string(r.State) + " " + why
	case node.Working, node.Idle:
		return string(r.State) + " " + why + at(r)
	}
	return string(r.State)
}

// aside is what a reason adds in brackets: how often it happened, what the script said last.
var aside = regexp.MustCompile(`\([^()]*\)`)

// numeric tells a number, with or without a unit or brackets, from a name with a digit in it.
func numeric(word string) bool {
	word = strings.Trim(word, "()[],;:.")
	return word != "" && word[0] >= '0' && word[0] <= '9'
}
