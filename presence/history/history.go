// Package history is the lines of a fold's history: what each node, each of its services, and each reader's view of it
// changed from and to. It is pure.
package history

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold/page"
	"github.com/addagent/addagent/service"
)

// Transition is one line of the history: a node went from one state to another, or a reader's view of it from one age
// to another, or one of its services from one code or role to another. Its JSON form, one object a line, is that of
// history/YYYY/MM/DD.jsonl in the fold.
type Transition struct {
	Time       time.Time `json:"time"` // of states by the node, of ages by the control node; whole seconds, UTC
	ID         string    `json:"id"`
	Deployment string    `json:"deployment"`
	Nodepart   string    `json:"nodepart"`
	Kind       string    `json:"kind,omitempty"`    // KindCode or KindRole; "" = of the node
	Service    string    `json:"service,omitempty"` // that the code or role is of
	From       string    `json:"from"`              // a state, an age, a code, a role; "" = seen for the first time
	// To is the same; late, missing, present (it is back), gone (its ref was deleted, the service is not told any more)
	To      string `json:"to"`
	Reason  string `json:"reason"`
	Version string `json:"version"`          // of the node's first repository; "" = it has none
	Worked  string `json:"worked,omitempty"` // that its first due item last succeeded at, where one is due
}

// The kinds of lines of services.
const (
	KindCode = "code"
	KindRole = "role"
)

const (
	// reasonLimit cuts reasons in the history, in characters: lines are kept for more than a year.
	reasonLimit = 500
	wordLimit   = 100 // of what should be one word
	// LineLimit is the longest line that is read, in bytes; longer than any that is written.
	LineLimit = 16 << 10
	// DayLayout is the name of the file of a day.
	DayLayout = "2006/01/02.jsonl"
)

// New is a line about a node.
func New(r presence.Record, at time.Time, from, to, reason string) Transition {
	t := Transition{Time: at.UTC().Truncate(time.Second), ID: r.InstanceID, Deployment: human.Truncate(r.Deployment, wordLimit),
		Nodepart: human.Truncate(r.Nodepart, wordLimit), From: human.Truncate(from, wordLimit), To: human.Truncate(to, wordLimit), Reason: human.Truncate(reason, reasonLimit)}
	if len(r.Repos) > 0 {
		t.Version = human.Truncate(r.Repos[0].Version, wordLimit)
		if due := r.Repos[0].Due; len(due) > 0 {
			t.Worked = human.Truncate(r.Repos[0].Worked[due[0]], wordLimit)
		}
	}
	return t
}

// Steps are the lines of a record that follows another one, made at a time. One with the state and the services of the
// one before it is a refresh, and has none.
func Steps(before, after presence.Record, at time.Time) (list []Transition) {
	if from, to := string(before.State), string(after.State); to != from {
		list = append(list, New(after, at, from, to, after.Reason))
	}
	return append(list, serviceSteps(before.Services, after, at)...)
}

// serviceSteps are the codes and roles that differ from those before.
func serviceSteps(before []presence.Service, r presence.Record, at time.Time) (list []Transition) {
	was := make(map[string]presence.Service, len(before))
	for _, s := range before {
		was[s.Name] = s
	}
	add := func(kind, name, from, to, reason string) {
		if from != to {
			t := New(r, at, from, to, reason)
			t.Kind, t.Service = kind, name
			list = append(list, t)
		}
	}
	for _, s := range r.Services {
		old, known := was[s.Name]
		delete(was, s.Name)
		reason := s.State
		if reason == service.Code(s.Code).State() {
			reason = ""
		}
		add(KindCode, s.Name, old.Code, s.Code, reason)
		if known || s.Role != "na" {
			add(KindRole, s.Name, old.Role, s.Role, "")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		add(KindCode, name, was[name].Code, string(presence.Gone), "")
	}
	return list
}

// Aged is the transition between two ages of a node; ok is false if there is none. A node says itself that it leaves,
// and that it is back.
func Aged(r presence.Record, was, is presence.Age, now time.Time) (Transition, bool) {
	if was == is || was == presence.Gone || is == presence.Gone {
		return Transition{}, false
	}
	reason := ""
	if is != presence.Present {
		reason = "last beat " + page.Shown(r.BeatSeen)
	}
	return New(r, now, string(was), string(is), reason), true
}

// Ended is the transition of a node whose ref is not there any more.
func Ended(r presence.Record, was presence.Age, now time.Time) Transition {
	from, reason := string(r.State), "its ref was deleted"
	if was == presence.Missing || was == presence.Gone {
		reason = "reaped"
	}
	if was == presence.Missing || was == presence.Late {
		from = string(was)
	}
	return New(r, now, from, string(presence.Gone), reason)
}

// Parse reads the lines of a history file. People can push to its branch, and a bad line must not hide the others.
func Parse(data []byte) []Transition {
	var list []Transition
	for line := range bytes.Lines(data) {
		var t Transition
		if len(line) > LineLimit || json.Unmarshal(line, &t) != nil || t.Time.IsZero() || node.ValidID(t.ID) != nil || t.From == t.To || !t.sane() {
			continue
		}
		t.Time = t.Time.UTC()
		list = append(list, t)
	}
	return list
}

// sane says whether a line is of a kind that is known.
func (t Transition) sane() bool {
	if t.Kind == "" {
		return t.Service == ""
	}
	return (t.Kind == KindCode || t.Kind == KindRole) && service.ValidName(t.Service)
}

// InOrder sorts transitions by time, keeps the order of those of one node at one time, and removes duplicates.
func InOrder(list []Transition) []Transition {
	slices.SortStableFunc(list, func(a, b Transition) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID))
	})
	seen := make(map[Transition]bool, len(list))
	return slices.DeleteFunc(list, func(t Transition) bool {
		twice := seen[t]
		seen[t] = true
		return twice
	})
}

// Append adds transitions to the content of a history file, a JSON line each.
func Append(content []byte, list []Transition) ([]byte, error) {
	b := bytes.NewBuffer(slices.Clip(content))
	if len(content) > 0 && !bytes.HasSuffix(content, []byte("\n")) {
		b.WriteByte('\n') // it was edited by hand
	}
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	for _, t := range list {
		if err := e.Encode(t); err != nil {
			return nil, fmt.Errorf("history: %s: %w", t.ID, err)
		}
	}
	return b.Bytes(), nil
}
