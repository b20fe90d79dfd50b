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

// Line is one line for a chat room.
type Line struct {
	Text     string
	Colour   string // of the state, as in node.StateRow
	Critical bool   // also for rooms that want only what needs a person
}

// Announced is what a room was told about this node. The zero value is a room that was told nothing.
type Announced struct {
	State  node.State           `json:"state,omitempty"`  // as of the last record
	Print  string               `json:"print,omitempty"`  // fingerprint of the last record
	Since  time.Time            `json:"since,omitzero"`   // since when it is in that state
	Bad    node.State           `json:"bad,omitempty"`    // failing or wedged, and not recovered yet
	BadAt  time.Time            `json:"bad_at,omitzero"`  // since when
	Works  bool                 `json:"works,omitempty"`  // the room was told that work began, so it is told of the end
	Quiet  bool                 `json:"quiet,omitempty"`  // the bad state was a repeat, so it was not announced
	Remind time.Time            `json:"remind,omitzero"`  // when the wedge was announced last
	Said   map[string]time.Time `json:"said,omitempty"`   // when, by fingerprint, of what was announced within the hour
	Unsaid int                  `json:"folded,omitempty"` // repeats that were left out since the last line
}

const (
	// sayOnce is for how long a repeat is left out.
	sayOnce = time.Hour
	// remindEach is how often rooms are reminded of a wedge that lasts.
	remindEach = time.Hour
)

// Compose words what a record means to a room: each transition is a line; what repeats within an hour is counted and
// left out; a wedge that lasts is repeated once an hour; a bad state that was announced is followed by its recovery.
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
		if s.Bad != node.Wedged { // a wedge that was announced is followed by its recovery
			s.Bad = r.State
		}
		if r.State == node.Wedged {
			s.Remind = s.Said[print]
		}
		return s, lines
	case well && s.Bad != "":
		text := fmt.Sprintf("%s: %s%s", s.Bad.Ended(human.Coarse(now.Sub(s.BadAt))), r.State, at(r))
		lines := []Line{own(r, Line{Text: text, Colour: "green", Critical: s.Bad == node.Wedged})}
		if s.Quiet {
			lines = nil // its begin was a repeat, so its end is one
		}
		s.Bad, s.BadAt, s.Quiet = "", time.Time{}, false
		return s, lines
	case r.State == node.Leaving && s.Bad == node.Wedged:
		// Rooms that take only critical lines were told of the wedge: it is solved by this machine's end.
		l := stateLine(r)
		l.Critical = true
		return s, s.say(print, l, now)
	case r.State == node.Idle && was == node.Working && s.Works:
		s.Works = false
		return s, []Line{stateLine(r)}
	case r.State == node.Idle && was == node.Working:
		s.Unsaid++
		return s, nil // its begin was a repeat, so its end is one
	case r.State == node.Idle && was != node.Disabled && was != node.Leaving:
		return s, nil // ready before, too; or something changed that it does not watch
	}
	lines := s.say(print, stateLine(r), now)
	s.Works = r.State == node.Working && len(lines) > 0
	return s, lines
}

// remind repeats a wedge that lasts, once an hour.
func (s Announced) remind(r presence.Record, now time.Time) (Announced, []Line) {
	if r.State != node.Wedged {
		return s, nil
	}
	s = s.aged(now)
	if now.Sub(s.Remind) < remindEach {
		return s, nil
	}
	s.Remind, s.Quiet = now, false
	text := fmt.Sprintf("still wedged after %s: %s%s", human.Coarse(now.Sub(s.Since)), reason(r), next(r))
	return s, []Line{own(r, Line{Text: text, Colour: "red", Critical: true})}
}

// say returns the line, or counts it when the same was announced within the hour.
func (s *Announced) say(print string, l Line, now time.Time) []Line {
	if _, known := s.Said[print]; known {
		s.Unsaid++
		return nil
	}
	s.Said = maps.Clone(s.Said)
	if s.Said == nil {
		s.Said = map[string]time.Time{}
	}
	s.Said[print] = now
	if s.Unsaid > 0 {
		l.Text += fmt.Sprintf(" (%s before it omitted as repeats)", human.Count(s.Unsaid, "change"))
		s.Unsaid = 0
	}
	return []Line{l}
}

// aged forgets what is more than an hour old, and times in the future, which a clock that was set back leaves.
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

// stateLine announces the state of a node.
func stateLine(r presence.Record) Line {
	row, _ := node.Row(r.State)
	text := string(r.State) + ": " + row.Meaning
	switch r.State {
	case node.Setup:
		text = "setup: the agent is running"
	case node.InitDone:
		text = "initdone: initialised, ready for its first work"
	case node.Working:
		text = "working: " + reason(r) + at(r)
	case node.Idle:
		text = "idle: done" + at(r)
	case node.Failing, node.Wedged:
		text = string(r.State) + ": " + reason(r) + at(r) + next(r)
	case node.Disabled, node.Leaving:
		text = string(r.State) + ": " + reason(r)
	}
	return own(r, Line{Text: text, Colour: row.Colour, Critical: row.Critical})
}

// own puts the node's name in front.
func own(r presence.Record, l Line) Line {
	l.Text = fmt.Sprintf("%s:%s/%s: %s", r.InstanceID, r.Deployment, r.Nodepart, l.Text)
	return l
}

// repoVersions lists the commits of a node's repositories: "ops@1a2b3c4 app2@5d6e7f8".
func repoVersions(r presence.Record) string {
	var all []string
	for _, repo := range r.Repos {
		all = append(all, repo.Name+"@"+human.Prefix(repo.Version, 7))
	}
	return strings.Join(all, " ")
}

// at says which versions a line is about.
func at(r presence.Record) string {
	if len(r.Repos) == 0 {
		return ""
	}
	return " at " + repoVersions(r)
}

// spokenLength bounds a reason in a room, in characters; the whole one is on the node.
const spokenLength = 400

func reason(r presence.Record) string {
	return human.Truncate(r.Reason, spokenLength)
}

// next suggests the command to run on the node.
func next(r presence.Record) string {
	who, _, _ := strings.Cut(r.Reason, ": ")
	if strings.Count(who, ":") != 1 || strings.ContainsAny(who, " ;") {
		return "  -> addagent why"
	}
	return "  -> addagent why " + who
}

// fingerprint is the state and reason of a record without what changes by itself: times, counts, durations, text in
// brackets. The version counts for work, where each push is news, but not for a bad state: the same failure at the
// next commit is the same failure.
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

// aside is what a reason adds in brackets: how often it happened, the last output of the script.
var aside = regexp.MustCompile(`\([^()]*\)`)

// numeric reports whether a word begins with a digit, as a number with a unit does, and not a name with a digit in it.
func numeric(word string) bool {
	word = strings.Trim(word, "()[],;:.")
	return word != "" && word[0] >= '0' && word[0] <= '9'
}
