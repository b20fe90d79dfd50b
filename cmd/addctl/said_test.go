package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/chat"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence/fleet"
)

// TestOwed: what becomes of a line of a or b, as voice a folds at noon, whose lines are
// its own for ten minutes without a word from it.
func TestOwed(t *testing.T) {
	const rooms = "r1 r2"
	for _, c := range []struct {
		what  string
		by    string
		until time.Duration // after noon
		told  time.Duration
		heard string // in the file
		now   string // by what a knows
		want  string // by, until, heard; "" = dropped
		push  bool
	}{
		{"just said", "a", 10 * time.Minute, 0, "", "", "a 10m0s []", false},
		{"a room took it", "a", 10 * time.Minute, 0, "", "r1", "a 10m0s [r1]", true},
		{"that is known", "a", 10 * time.Minute, 0, "r1", "r1", "a 10m0s [r1]", false},
		{"all took it", "a", 10 * time.Minute, 0, "r1", "r2", "", true},
		{"half its time is over", "a", 5 * time.Minute, -5 * time.Minute, "", "", "a 5m0s []", false},
		{"more than that", "a", 5*time.Minute - time.Second, -5 * time.Minute, "", "", "a 10m0s []", true},
		{"nobody took it from a that was away", "a", -time.Hour, -time.Hour, "", "", "a 10m0s []", true},
		{"it is no news any more", "a", 5 * time.Minute, -25 * time.Hour, "", "", "", true},
		{"of another", "b", 10 * time.Minute, 0, "", "", "b 10m0s []", false},
		{"of another, and a room took it", "b", 10 * time.Minute, 0, "r1 r2", "", "b 10m0s [r1 r2]", false},
		{"of another, and what a says of it is of another line", "b", 10 * time.Minute, 0, "", "r1", "b 10m0s []", false},
		{"of another that may have another clock", "b", -2 * time.Minute, -10 * time.Minute, "r1", "", "b -2m0s [r1]", false},
		{"of another that fell silent", "b", -2*time.Minute - time.Second, -10 * time.Minute, "r1", "", "a 10m0s [r1]", true},
		{"of another that fell silent when all had heard", "b", -time.Hour, -time.Hour, "r1 r2", "", "", true},
		{"of another, for years", "b", 10000 * time.Hour, 0, "", "", "a 10m0s []", true},
	} {
		s := said{Groups: []spoken{}, Owed: []owed{{Message: chat.Message{Text: "x", Time: noon().Add(c.told)}, ID: "1", By: c.by,
			Until: noon().Add(c.until), Heard: strings.Fields(c.heard)}}}
		v := voice{me: "a", rooms: strings.Fields(rooms), good: 10 * time.Minute, heard: func(string) []string { return strings.Fields(c.now) }}
		next, push := s.next(fleet.Fleet{}, noon(), v)
		got := ""
		for _, o := range next.Owed {
			got += fmt.Sprintf("%s %s %v", o.By, o.Until.Sub(noon()), o.Heard)
		}
		if got != c.want || push != c.push {
			t.Errorf("%s: %q, push %v; not %q, %v", c.what, got, push, c.want, c.push)
		}
		if !slices.Equal(s.Owed[0].Heard, strings.Fields(c.heard)) {
			t.Errorf("%s: what it was made from is another", c.what)
		}
	}
}

// What rooms need not hear of costs no push, and what a voice says once no other one says.
func TestSaidNext(t *testing.T) {
	a := voice{me: "a", rooms: []string{"r"}, good: 10 * time.Minute, heard: func(string) []string { return nil }}
	b := a
	b.me = "b"
	var s said
	for i, step := range []struct {
		at    time.Duration
		voice voice
		nodes []string
		lines int // owed
		push  bool
	}{
		{0, a, []string{"3 idle a"}, 0, true}, // that nobody was told
		{time.Second, b, []string{"3 idle a"}, 0, false},
		{time.Minute, a, []string{"2 idle a", "1 wedged a exit 1"}, 1, true},
		{time.Minute, b, []string{"2 idle a", "1 wedged a exit 1"}, 1, false},
		{2 * time.Minute, b, []string{"3 idle a"}, 3, true},
		{3 * time.Minute, b, []string{"3 idle a"}, 3, false}, // that nobody is wedged any more is old
	} {
		now := noon().Add(step.at)
		next, push := s.next(grid(now, step.nodes...), now, step.voice)
		if push != step.push || len(next.Owed) != step.lines {
			t.Errorf("step %d: push %v, %d owed: %+v", i, push, len(next.Owed), next)
		}
		if !push {
			continue
		}
		data, err := next.encode()
		if err != nil {
			t.Fatal(err)
		}
		s = parseSaid(data)
	}
	var by []string
	for _, o := range s.Owed {
		by = append(by, o.By)
	}
	if !slices.Equal(by, []string{"a", "b", "b"}) {
		t.Errorf("lines of %q", by)
	}
	data, err := s.encode()
	if err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, "testdata/said.json", data)
}

func TestSaidIsBounded(t *testing.T) {
	s := said{Groups: []spoken{}}
	for i := range 2 * owedLimit {
		s.Owed = append(s.Owed, owed{Message: chat.Message{Text: "x", Time: noon()}, ID: fmt.Sprint(i), By: "b", Until: noon()})
	}
	next, _ := s.next(fleet.Fleet{}, noon(), voice{me: "a", good: time.Minute})
	if len(next.Owed) != owedLimit || next.Owed[owedLimit-1].ID != fmt.Sprint(2*owedLimit-1) {
		t.Errorf("%d lines, the last is %+v", len(next.Owed), next.Owed[len(next.Owed)-1])
	}
}

// FuzzParseSaid: the file is on a branch that people can push to.
func FuzzParseSaid(f *testing.F) {
	if data, err := os.ReadFile(filepath.Join("testdata", "said.json")); err == nil {
		f.Add(data)
	}
	f.Add([]byte(`{"filetype":"nodefoldsaid","value":{"groups":null,"owed":[{"id":"1","text":"a\nb\u001b[2J","until":"9999-12-31T23:59:59Z","by":"a"}]}}`))
	f.Add([]byte(`{"filetype":"nodefoldsaid","value":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := parseSaid(data)
		for _, o := range s.Owed {
			if o.Text == "" || strings.ContainsAny(o.Text, "\n\x1b") {
				t.Errorf("%q", o.Text)
			}
		}
		v := voice{me: "a", rooms: []string{"r"}, good: time.Minute, heard: func(string) []string { return nil }}
		next, _ := s.next(grid(noon(), "1 wedged a exit 1"), noon(), v)
		if len(next.Owed) > owedLimit {
			t.Errorf("%d owed", len(next.Owed))
		}
	})
}
