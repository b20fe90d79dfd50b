package web

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
)

// Line is a transition of a node.
type Line = fold.Transition

// History is the transitions of nodes, oldest first, in the form of /history.json. A line is six numbers: the time in
// unix seconds, then indices: of the node in IDs, of the states (or ages) before and after in Words, of the reason in
// Texts, of the version in Texts. A hundred thousand lines have some megabytes in this form.
type History struct {
	Since int64      `json:"since"` // unix seconds
	Time  int64      `json:"time"`  // when it was read
	Note  string     `json:"note,omitempty"`
	IDs   []string   `json:"ids"`
	Words []string   `json:"words"`
	Texts []string   `json:"texts"`
	List  [][6]int64 `json:"list"`
}

// past is a history that grows.
type past struct {
	ids, words, texts *table
	list              [][6]int64
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

func newPast() *past { return &past{ids: newTable(), words: newTable(), texts: newTable()} }

// add takes in lines that are not there yet. Those about services are left out: the page shows nodes.
func (p *past) add(lines []Line) {
	type key struct{ at, id, to int64 }
	there := map[key]bool{}
	if len(lines) > 0 {
		first := slices.MinFunc(lines, func(a, b Line) int { return a.Time.Compare(b.Time) }).Time.Unix()
		for _, l := range slices.Backward(p.list) {
			if l[0] < first {
				break
			}
			there[key{l[0], l[1], l[3]}] = true
		}
	}
	for _, l := range lines {
		if k := (key{l.Time.Unix(), p.ids.number(l.ID), p.words.number(l.To)}); l.Kind == "" && !there[k] {
			there[k] = true
			p.put(l)
		}
	}
	slices.SortStableFunc(p.list, func(a, b [6]int64) int { return cmp.Compare(a[0], b[0]) })
}

func (p *past) put(l Line) {
	p.list = append(p.list, [6]int64{l.Time.Unix(), p.ids.number(l.ID), p.words.number(l.From), p.words.number(l.To), p.texts.number(l.Reason), p.texts.number(l.Version)})
}

// forget drops lines before a time, once they are more than the others.
func (p *past) forget(before time.Time) {
	old, _ := slices.BinarySearchFunc(p.list, before.Unix(), func(l [6]int64, at int64) int { return cmp.Compare(l[0], at) })
	if old <= len(p.list)/2 {
		return
	}
	rest := newPast()
	p.list = p.list[old:]
	p.all(func(l Line) { rest.put(l) })
	*p = *rest
}

// all calls do with each line, oldest first.
func (p *past) all(do func(l Line)) {
	for _, l := range p.list {
		do(Line{Time: time.Unix(l[0], 0).UTC(), ID: p.ids.list[l[1]], From: p.words.list[l[2]], To: p.words.list[l[3]], Reason: p.texts.list[l[4]], Version: p.texts.list[l[5]]})
	}
}

// part is the history since a time.
func (p *past) part(since, now time.Time, note string) History {
	from, _ := slices.BinarySearchFunc(p.list, since.Unix(), func(l [6]int64, at int64) int { return cmp.Compare(l[0], at) })
	ids, words, texts := newTable(), newTable(), newTable()
	h := History{Since: since.Unix(), Time: now.Unix(), Note: note, List: make([][6]int64, 0, len(p.list)-from)}
	for _, l := range p.list[from:] {
		h.List = append(h.List, [6]int64{l[0], ids.number(p.ids.list[l[1]]), words.number(p.words.list[l[2]]), words.number(p.words.list[l[3]]),
			texts.number(p.texts.list[l[4]]), texts.number(p.texts.list[l[5]])})
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

// entered is when a node went into a state.
type entered struct {
	state string
	at    time.Time
}

// entered tells when each node went into the state that it had last, by its id. Ages are of the reader: a node that
// was late and is back is in its old state.
func (p *past) entered() map[string]entered {
	last := map[string]entered{}
	p.all(func(l Line) {
		if !isAge(l.To) {
			last[l.ID] = entered{l.To, l.Time}
		}
	})
	return last
}

func isAge(word string) bool {
	switch presence.Age(word) {
	case presence.Present, presence.Late, presence.Missing, presence.Gone:
		return true
	}
	return false
}
