package sink

import (
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/chat"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/service"
)

// Heard is what a room heard last about this node. The zero value is a room that heard nothing.
type Heard struct {
	State node.State `json:"state,omitempty"` // of the last line
	Print string     `json:"print,omitempty"` // fingerprint of that line
	At    time.Time  `json:"remind,omitzero"` // of that line
	Bad   node.State `json:"bad,omitempty"`   // failing or wedged: the room heard its begin, but not its end
	BadAt time.Time  `json:"bad_at,omitzero"` // since when
	Items int        `json:"items,omitempty"` // of the deploy whose begin the room heard
	// Troubles are what needs a person, as the room heard it, by the text without what changes by itself.
	Troubles map[string]heardTrouble `json:"troubles,omitempty"`
	// Services are those that the room heard to be available.
	Services map[string]bool `json:"services,omitempty"`
	Paid     time.Time       `json:"paid,omitzero"` // until when the failures told so far use up the rate
}

type heardTrouble struct {
	Text string `json:"text"`
	Gone bool   `json:"gone,omitempty"` // the last record did not have it any more
}

const (
	// remindEach is how often rooms are reminded of a wedge that lasts.
	remindEach = time.Hour
	// What fails comes and goes, and fails in other ways: this is told so often at once, and then once in each
	// interval. What is left out is made up for by the state as it is when the next line is free.
	failBurst, failEach = 12, 5 * time.Minute
)

// Compose decides what a room hears, from what it heard last and the present record. A line is due when the last one
// is not about the present state. A room of critical lines hears the begin of a wedge, its reminder and its end.
func Compose(h Heard, r presence.Record, onlyCritical bool, now time.Time) (Heard, []chat.Message) {
	h, troubles := needs(h, r, now)
	h, state := about(h, r, onlyCritical, now)
	h, services := offered(h, r, onlyCritical, now)
	return h, slices.Concat(troubles, state, services)
}

// offered decides what a room hears of the services of the node: that one is available, and that it is not any more.
// What comes and goes is told as often as failures are; the state as it is follows when the next line is free.
func offered(h Heard, r presence.Record, onlyCritical bool, now time.Time) (Heard, []chat.Message) {
	var lines []chat.Message
	after := map[string]bool{}
	tell := func(name, colour, text string) {
		if onlyCritical || !h.pay(now) {
			after[name] = h.Services[name]
			return
		}
		lines = append(lines, chat.Message{Text: own(r, text), Colour: colour, Time: now})
	}
	for _, s := range r.Services {
		after[s.Name] = service.Code(s.Code).Available()
		where := ""
		if s.Port != 0 {
			where = " at " + net.JoinHostPort(s.IP, strconv.Itoa(s.Port))
		}
		switch up := h.Services[s.Name]; {
		case service.Code(s.Code).Available() && !up:
			tell(s.Name, "green", "service "+s.Name+" is running"+where)
		case up && !service.Code(s.Code).Available():
			tell(s.Name, "red", fmt.Sprintf("service %s is %s (%s)  -> addagent why service.%[1]s", s.Name, s.State, s.Code))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(h.Services)) {
		if _, still := after[name]; !still && h.Services[name] {
			tell(name, "yellow", "service "+name+" is gone")
		}
	}
	maps.DeleteFunc(after, func(_ string, up bool) bool { return !up })
	if h.Services = after; len(after) == 0 {
		h.Services = nil
	}
	return h, lines
}

// needs decides what a room hears of what needs a person: once, and its end, which is when two records lack it. The
// first record of a new process may not know yet.
func needs(h Heard, r presence.Record, now time.Time) (Heard, []chat.Message) {
	var lines []chat.Message
	after := map[string]heardTrouble{}
	for _, t := range r.Troubles {
		key := steady(t)
		heard, known := h.Troubles[key]
		if !known {
			if !h.pay(now) {
				continue
			}
			lines = append(lines, chat.Message{Text: own(r, "needs a person: "+t), Colour: "red", Critical: true, Time: now})
		}
		if heard.Gone = false; !known {
			heard.Text = t
		}
		after[key] = heard
	}
	for _, key := range slices.Sorted(maps.Keys(h.Troubles)) {
		if _, still := after[key]; still {
			continue
		}
		heard := h.Troubles[key]
		if !heard.Gone {
			heard.Gone = true
			after[key] = heard
			continue
		}
		lines = append(lines, chat.Message{Text: own(r, "resolved: "+heard.Text), Colour: "green", Critical: true, Time: now})
	}
	if h.Troubles = after; len(after) == 0 {
		h.Troubles = nil
	}
	return h, lines
}

// about decides what a room hears of the state.
func about(h Heard, r presence.Record, onlyCritical bool, now time.Time) (Heard, []chat.Message) {
	for _, t := range []*time.Time{&h.At, &h.BadAt} {
		if t.After(now) { // the clock was set back
			*t = now
		}
	}
	print := fingerprint(r)
	again := print == h.Print
	switch {
	case r.State == node.Presetup, again && (r.State != node.Wedged || now.Sub(h.At) < remindEach):
		return h, nil
	case h.State == "" && r.State == node.Idle:
		h.State, h.Print = r.State, print // that all is well from the first is no news
		return h, nil
	}
	m, over := announcement(h, r, again, now)
	if onlyCritical && !m.Critical {
		return h, nil
	}
	bad := r.State == node.Failing || r.State == node.Wedged
	if begins := h.State != r.State && m.Critical; bad && !begins && !again && !h.pay(now) {
		return h, nil
	}
	if over {
		h.Bad = ""
	}
	if bad && h.Bad != r.State {
		h.Bad, h.BadAt = r.State, now
	}
	h.State, h.Print, h.At, h.Items = r.State, print, now, r.Items
	return h, []chat.Message{m}
}

// pay takes one line about a failure out of the rate; false when there is none left.
func (h *Heard) pay(now time.Time) bool {
	paid := h.Paid
	if left := paid.Sub(now); left < 0 || left > failBurst*failEach { // or the clock was set back
		paid = now
	}
	if paid.Sub(now) > (failBurst-1)*failEach {
		return false
	}
	h.Paid = paid.Add(failEach)
	return true
}

// announcement is the state of a node as a room hears it. Over tells that it announces the end of what was bad, too.
func announcement(h Heard, r presence.Record, again bool, now time.Time) (m chat.Message, over bool) {
	row, _ := node.Row(r.State)
	well := r.State == node.Idle || r.State == node.InitDone
	m = chat.Message{Colour: row.Colour, Critical: row.Critical, Time: now}
	text := string(r.State) + ": " + row.Meaning
	switch {
	case again:
		text = fmt.Sprintf("still wedged after %s: %s%s", human.Coarse(now.Sub(h.BadAt)), reason(r), next(r))
	case well && h.Bad != "":
		text, over = fmt.Sprintf("%s: %s%s", h.Bad.Ended(human.Coarse(now.Sub(h.BadAt))), r.State, at(r)), true
	case r.State == node.Setup:
		text = "setup: the agent is running"
	case r.State == node.InitDone:
		text = "initdone: initialised, ready for its first work"
	case r.State == node.Working && r.Items > 1:
		text = "working: " + human.Count(r.Items, "item") + at(r)
	case r.State == node.Working:
		text = "working: " + reason(r) + at(r)
	case r.State == node.Idle && h.State == node.Working && h.Items > 1:
		text = fmt.Sprintf("idle: done (%s)%s", human.Count(h.Items, "item"), at(r))
	case r.State == node.Idle && h.State == node.InitDone:
		text = "idle: ready" + at(r)
	case r.State == node.Idle:
		text = "idle: done" + at(r)
	case r.State == node.Failing, r.State == node.Wedged:
		text = string(r.State) + ": " + reason(r) + at(r) + next(r)
	case r.State == node.Disabled, r.State == node.Leaving:
		text = string(r.State) + ": " + reason(r)
		// Rooms of critical lines heard of the wedge: it is solved by this machine's end.
		m.Critical = r.State == node.Leaving && h.Bad == node.Wedged
	}
	if hidden := r.State == node.Disabled || r.State == node.Leaving; h.Bad == node.Wedged && r.State != node.Wedged && !hidden {
		m.Critical = true
		ended := node.Wedged.Ended(human.Coarse(now.Sub(h.BadAt)))
		if r.State == node.Failing {
			ended = "no longer wedged after " + human.Coarse(now.Sub(h.BadAt))
		}
		if !well {
			text, over = ended+"; "+text, true
		}
	}
	m.Text = own(r, text)
	return m, over
}

// own puts the node's name in front.
func own(r presence.Record, text string) string {
	return fmt.Sprintf("%s:%s/%s: %s", r.InstanceID, r.Deployment, r.Nodepart, text)
}

// repoVersions lists the commits of a node's repositories: "ops@1a2b3c4 app2@5d6e7f8".
func repoVersions(r presence.Record) string {
	var all []string
	for _, repo := range r.Repos {
		all = append(all, repo.Name+"@"+human.Prefix(repo.Version, 7))
	}
	return strings.Join(all, " ")
}

// at says which versions a line is about: of a failure, those that failed.
func at(r presence.Record) string {
	var failed []string
	for _, repo := range r.Repos {
		for _, version := range repo.FailedAt() {
			failed = append(failed, repo.Name+"@"+human.ID(version))
		}
	}
	switch bad := r.State == node.Failing || r.State == node.Wedged; {
	case len(r.Repos) == 0:
		return ""
	case bad && len(failed) > 0:
		return " at " + strings.Join(failed, " ")
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

// fingerprint is what a line about a record says, without what changes by itself.
func fingerprint(r presence.Record) string {
	switch r.State {
	case node.Failing, node.Wedged:
		return string(r.State) + " " + steady(r.Reason) + at(r)
	case node.Disabled, node.Leaving:
		return string(r.State) + " " + r.Reason
	case node.Working:
		return string(r.State) + at(r)
	}
	return string(r.State)
}

// steady is a reason without what changes by itself: counts, times, durations, text in brackets. The numbers of exits
// and signals stay.
func steady(reason string) string {
	words := strings.Fields(aside.ReplaceAllString(reason, ""))
	for i, w := range words {
		if numeric(w) && (i == 0 || !slices.Contains([]string{"exit", "signal"}, words[i-1])) {
			words[i] = "#"
		}
	}
	return strings.Join(words, " ")
}

// aside is what a reason adds in brackets: how often it happened, the last output of the script.
var aside = regexp.MustCompile(`\([^()]*\)`)

// numeric reports whether a word begins with a digit, as a number with a unit does, and not a name with a digit in it.
func numeric(word string) bool {
	word = strings.Trim(word, "()[],;:.")
	return word != "" && word[0] >= '0' && word[0] <= '9'
}
