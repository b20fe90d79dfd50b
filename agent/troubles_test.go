package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/journal"
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
