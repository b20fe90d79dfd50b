package fold

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold/page"
)

// Transition is one line of the history: a node went from one state to another, or a reader's view of it from one age
// to another. Its JSON form, one object a line, is that of history/YYYY/MM/DD.jsonl in the fold.
type Transition struct {
	Time       time.Time `json:"time"` // of states by the node, of ages by the control node; whole seconds, UTC
	ID         string    `json:"id"`
	Deployment string    `json:"deployment"`
	Nodepart   string    `json:"nodepart"`
	From       string    `json:"from"` // a state, or an age; "" = seen for the first time
	To         string    `json:"to"`   // a state; late, missing, present (it is back), gone (its ref was deleted)
	Reason     string    `json:"reason"`
	Version    string    `json:"version"`          // of the node's first repository; "" = it has none
	Worked     string    `json:"worked,omitempty"` // that its first due item last succeeded at, where one is due
}

const (
	// reasonLimit cuts reasons in the history, in characters: lines are kept for more than a year.
	reasonLimit = 500
	wordLimit   = 100 // of what should be one word
	// lineLimit is the longest line that is read, in bytes; longer than any that is written.
	lineLimit = 16 << 10
	dayLayout = "2006/01/02.jsonl"
)

// statement is what a commit of a node's ref holds.
type statement struct {
	commit string
	at     time.Time
	raw    []byte // the record as it was pushed
	record presence.Record
	blob   string // git's id of raw
}

func transition(r presence.Record, at time.Time, from, to, reason string) Transition {
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

// steps returns the transitions of a node's statements, oldest first. From is the state before them. A statement with
// the state of the one before it is a refresh.
func steps(from string, chain []statement) []Transition {
	var list []Transition
	for _, c := range chain {
		if to := string(c.record.State); to != from {
			list = append(list, transition(c.record, c.at, from, to, c.record.Reason))
			from = to
		}
	}
	return list
}

// aged is the transition between two ages of a node; ok is false if there is none. A node says itself that it leaves,
// and that it is back.
func aged(r presence.Record, was, is presence.Age, now time.Time) (Transition, bool) {
	if was == is || was == presence.Gone || is == presence.Gone {
		return Transition{}, false
	}
	reason := ""
	if is != presence.Present {
		reason = "last beat " + page.Shown(r.BeatSeen)
	}
	return transition(r, now, string(was), string(is), reason), true
}

// ended is the transition of a node whose ref is not there any more.
func ended(r presence.Record, was presence.Age, now time.Time) Transition {
	from, reason := string(r.State), "its ref was deleted"
	if was == presence.Missing || was == presence.Gone {
		reason = "reaped"
	}
	if was == presence.Missing || was == presence.Late {
		from = string(was)
	}
	return transition(r, now, from, string(presence.Gone), reason)
}

// parseLines reads the lines of a history file. People can push to its branch, and a bad line must not hide the others.
func parseLines(data []byte) []Transition {
	var list []Transition
	for line := range bytes.Lines(data) {
		var t Transition
		if len(line) > lineLimit || json.Unmarshal(line, &t) != nil || t.Time.IsZero() || node.ValidID(t.ID) != nil || t.From == t.To {
			continue
		}
		t.Time = t.Time.UTC()
		list = append(list, t)
	}
	return list
}

// inOrder sorts transitions by time, keeps the order of those of one node at one time, and removes duplicates.
func inOrder(list []Transition) []Transition {
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
