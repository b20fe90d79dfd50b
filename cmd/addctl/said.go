package main

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/addagent/addagent/chat"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/presence/fleet"
)

const (
	// owedLimit bounds the lines that wait, as a spool does; the oldest go.
	owedLimit = 500
	// owedAge is after how long a line is no news, as in a spool.
	owedAge = 24 * time.Hour
	// owedText bounds a line that is read from the branch, in characters; longer than any that is written.
	owedText = 2000
	saidType = "nodefoldsaid"
)

// said is said.json of the fold: what control nodes told the rooms, all of them
// together. Whoever's push of it lands has the right to speak, and the duty.
type said struct {
	Groups []spoken `json:"groups"` // nil = nobody was told of this fleet
	Owed   []owed   `json:"owed"`   // oldest first
}

// owed is a line that not every room is known to have heard.
type owed struct {
	chat.Message
	ID    string    `json:"id"`
	By    string    `json:"by"`    // the control node that says it
	Until time.Time `json:"until"` // that one moves this on while it lives; some time after it another one says the line
	Heard []string  `json:"heard"` // the rooms that took it, by their names
}

// parseSaid reads said.json. What is none was made by people who push to the branch,
// and is as if nobody had been told.
func parseSaid(data []byte) said {
	var d struct {
		Filetype string `json:"filetype"`
		Value    said   `json:"value"`
	}
	if json.Unmarshal(data, &d) != nil || d.Filetype != saidType {
		return said{}
	}
	for i := range d.Value.Owed {
		o := &d.Value.Owed[i]
		o.Text = cut(cli.OneLine(o.Text), owedText)
	}
	d.Value.Owed = slices.DeleteFunc(d.Value.Owed, func(o owed) bool { return o.ID == "" || o.Text == "" })
	return d.Value
}

func (s said) encode() ([]byte, error) {
	s.Groups, s.Owed = append([]spoken{}, s.Groups...), append([]owed{}, s.Owed...)
	data, err := json.MarshalIndent(map[string]any{"filetype": saidType, "value": s}, "", "    ")
	return append(data, '\n'), err
}

// voice is a control node that tells rooms, as it is at a time.
type voice struct {
	me    string
	rooms []string                 // by name
	heard func(id string) []string // the rooms that have taken a line of ours
	good  time.Duration            // for how long a line is its own without a word from it
}

// next is what said.json is to hold, so that rooms hear of a fleet as it is now; ok
// is false where that is not worth a push. A line is dropped when all rooms took it. One
// whose voice has fallen silent becomes ours, also by the clock of that voice, should
// it live after all.
func (s said) next(f fleet.Fleet, now time.Time, v voice) (next said, ok bool) {
	ok = s.Groups == nil
	for _, o := range s.Owed {
		o.Heard = slices.Clone(o.Heard)
		switch {
		case o.By != v.me && now.After(o.Until.Add(fleet.Skew)), o.By == v.me && o.Until.Sub(now) < v.good/2, o.Until.Sub(now) > owedAge:
			o.By, o.Until, ok = v.me, now.Add(v.good), true
		}
		if o.By == v.me {
			for _, room := range v.heard(o.ID) {
				if !slices.Contains(o.Heard, room) {
					o.Heard, ok = append(o.Heard, room), true
				}
			}
		}
		all := !slices.ContainsFunc(v.rooms, func(room string) bool { return !slices.Contains(o.Heard, room) })
		if now.Sub(o.Time) > owedAge || o.By == v.me && all {
			ok = true
			continue
		}
		next.Owed = append(next.Owed, o)
	}
	var messages []chat.Message
	next.Groups, messages = speak(s.Groups, f, now)
	for _, m := range messages {
		id := hash(v.me, m.Time.Format(time.RFC3339Nano), m.Text)
		next.Owed = append(next.Owed, owed{Message: m, ID: id, By: v.me, Until: now.Add(v.good), Heard: []string{}})
	}
	if n := len(next.Owed); n > owedLimit {
		next.Owed = next.Owed[n-owedLimit:]
	}
	return next, ok || len(messages) > 0 || counted(s.Groups, next.Groups)
}

// counted says whether rooms are to know of another number in any group. That one is
// not spoken of any more can wait for the next push.
func counted(before, after []spoken) bool {
	n := map[group]int{}
	for _, s := range before {
		n[s.group] = s.N
	}
	for _, s := range after {
		if n[s.group] != s.N {
			return true
		}
		delete(n, s.group)
	}
	for _, left := range n {
		if left != 0 {
			return true
		}
	}
	return false
}

// mine are the lines that a control node is to say, by id.
func (s said) mine(me string) map[string]owed {
	all := map[string]owed{}
	for _, o := range s.Owed {
		if o.By == me {
			all[o.ID] = o
		}
	}
	return all
}
