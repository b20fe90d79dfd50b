package agent

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/presence"
)

// TestTroublesAreSaidOnceAndCounted walks one trouble through its life.
func TestTroublesAreSaidOnceAndCounted(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	down := func(text string) []journal.Trouble { return []journal.Trouble{{Key: "look ops", Text: text}} }
	var known map[string]journal.Trouble
	steps := []struct {
		after time.Duration
		now   []journal.Trouble
		says  string // "" = nothing
		count int
	}{
		{0, down("connection refused in 3 ms"), "connection refused", 1},
		{time.Minute, down("connection refused in 17 ms"), "", 2},
		{time.Minute, down("certificate has expired"), "certificate has expired", 3},
		{time.Minute, down("certificate has expired"), "", 4},
		{time.Hour, down("certificate has expired"), "ongoing for 1 h 3 min (5 beats): certificate", 5},
		{time.Minute, down("certificate has expired"), "", 6},
		{time.Minute, nil, "resolved after 1 h 5 min (6 beats): certificate", 0},
		{time.Minute, nil, "", 0},
		{time.Minute, down("connection refused"), "connection refused", 1},
	}
	for i, s := range steps {
		at = at.Add(s.after)
		var news []journal.News
		known, news = mergeTroubles(known, s.now, at)
		switch {
		case s.says == "" && len(news) != 0:
			t.Errorf("step %d says %q", i, news[0].Text)
		case s.says != "" && (len(news) != 1 || !strings.Contains(news[0].Text, s.says)):
			t.Errorf("step %d says %+v, want %q", i, news, s.says)
		}
		if got := known["look ops"].Count; got != s.count {
			t.Errorf("step %d counts %d, want %d", i, got, s.count)
		}
	}
}

func TestTroublesOfOneKeyAreJoined(t *testing.T) {
	known, news := mergeTroubles(nil, []journal.Trouble{{Key: "k", Text: "one"}, {Key: "k", Text: "two"}}, time.Unix(0, 0))
	if len(known) != 1 || len(news) != 1 || known["k"].Text != "one; two" {
		t.Errorf("%+v %+v", known, news)
	}
}

// What only a person can end is in the record, within its bound and each once.
func TestTroublesForPeople(t *testing.T) {
	w := troubles{known: map[string]journal.Trouble{
		"config":   {Key: "config", Text: "unknown key\nwrok", Person: true},
		"look ops": {Key: "look ops", Text: "timeout"},
	}, now: []journal.Trouble{{Key: "config", Text: "unknown key\nwrok", Person: true}, {Key: "tell presence", Text: "clash", Critical: true}}}
	if got := w.forPeople(); !slices.Equal(got, []string{"unknown key wrok", "clash"}) {
		t.Errorf("%q", got)
	}
	for i := range 20 {
		w.now = append(w.now, journal.Trouble{Text: fmt.Sprint("trouble ", i), Person: true})
	}
	if got := w.forPeople(); len(got) != presence.TroublesMost {
		t.Errorf("%d lines", len(got))
	}
}
