package web

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/addagent/addagent/presence/fold"
)

// Line is a transition of a node.
type Line = fold.Transition

// History is the transitions of nodes, oldest first, in the form of /history.json. A line is six numbers: the time in
// unix seconds, then indices: of the node in IDs, of the states (or ages) before and after in Words, of the reason in
// Texts, of the version in Texts.
type History struct {
	Since int64      `json:"since"` // unix seconds
	Time  int64      `json:"time"`  // when it was read
	Note  string     `json:"note,omitempty"`
	IDs   []string   `json:"ids"`
	Words []string   `json:"words"`
	Texts []string   `json:"texts"`
	List  [][6]int64 `json:"list"`
}

// table gives each text a number.
type table struct {
	list []string
	at   map[string]int64
}

func newTable() *table { return &table{list: []string{}, at: map[string]int64{}} }

func (t *table) number(text string) int64 {
	n, known := t.at[text]
	if !known {
		n = int64(len(t.list))
		t.list, t.at[text] = append(t.list, text), n
	}
	return n
}

// historyOf is the part of a history since a time. Lines about services are left out: the page shows nodes.
func historyOf(lines []Line, since, now time.Time, note string) History {
	ids, words, texts := newTable(), newTable(), newTable()
	h := History{Since: since.Unix(), Time: now.Unix(), Note: note, List: [][6]int64{}}
	for _, l := range lines {
		if l.Kind == "" && !l.Time.Before(since) {
			h.List = append(h.List, [6]int64{l.Time.Unix(), ids.number(l.ID), words.number(l.From), words.number(l.To), texts.number(l.Reason), texts.number(l.Version)})
		}
	}
	h.IDs, h.Words, h.Texts = ids.list, words.list, texts.list
	return h
}

func (h History) encode() ([]byte, error) {
	data, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	return data, nil
}

// sinceOf is when each node went into the state that it had last, by its id.
func sinceOf(lines []Line) map[string]Line {
	last := map[string]Line{}
	for _, l := range lines {
		// Ages are of the reader: a node that was late and is back is in its old state.
		if l.Kind == "" && !isAge(l.To) {
			last[l.ID] = l
		}
	}
	return last
}
