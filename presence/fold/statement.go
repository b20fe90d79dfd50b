package fold

import (
	"time"

	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/history"
)

// Transition is one line of the history.
type Transition = history.Transition

// statement is what a commit of a node's ref holds.
type statement struct {
	commit string
	at     time.Time
	raw    []byte // the record as it was pushed
	record presence.Record
	blob   string // git's id of raw
}

// steps returns the transitions of a node's statements, oldest first. Before is the record before them.
func steps(before presence.Record, chain []statement) (list []Transition) {
	for _, c := range chain {
		list, before = append(list, history.Steps(before, c.record, c.at)...), c.record
	}
	return list
}
