package view

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/addagent/addagent/fleet/fleettest"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

var escape = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")

func TestTableFits(t *testing.T) {
	f := fleettest.Of(fleettest.Noon(), "2 idle a", "1 wedged b a long reason that goes on and on and on and on", "1 missing -")
	table := Nodes(presence.Troubled(f, fleettest.Noon().Add(time.Minute)), fleettest.Noon().Add(time.Minute))
	want := `ID   PART       STATE   SINCE  AGE          VERSIONS     REASON
i-3  fed1/app1  wedged  >60s   present      ops@bbbbbbb  a long reason that goes on and on and on and on
i-4  fed1/app1  idle    >60s   missing 61m
i-1  fed1/app1  idle    >60s   present      ops@aaaaaaa
i-2  fed1/app1  idle    >60s   present      ops@aaaaaaa`
	if got := strings.Join(table.Lines(0, false), "\n"); got != want {
		t.Errorf("got\n%s", got)
	}
	for width := 1; width < 120; width++ {
		coloured := table.Lines(width, true)
		for i, line := range table.Lines(width, false) {
			if n := utf8.RuneCountInString(line); n > width {
				t.Errorf("at %d a line has %d: %q", width, n, line)
			}
			if escape.ReplaceAllString(coloured[i], "") != line {
				t.Errorf("at %d with colours %q, without %q", width, coloured[i], line)
			}
		}
	}
	// The reason gives way first, then the versions; who it is and how it is stays whole.
	if got := table.Lines(70, false)[1]; got != "i-3  fed1/app1  wedged  >60s   present      ops@bbbbbbb  a long reaso…" {
		t.Errorf("%q", got)
	}
	if got := table.Lines(60, true)[1]; !strings.Contains(got, "\x1b[31mwedged\x1b[0m") {
		t.Errorf("%q", got)
	}
}

// TestLongCells: a record with a field of 64 KB has a long row and makes no other row longer.
func TestLongCells(t *testing.T) {
	f := fleettest.Of(fleettest.Noon(), "200 idle a", "1 idle b")
	long := strings.Repeat("ä", 30<<10)
	f.Nodes[200].Nodepart, f.Nodes[200].Reason, f.Nodes[200].State = long, long, node.State(long)
	lines := Nodes(f.Nodes, fleettest.Noon()).Lines(0, false)
	for i, line := range lines {
		most := 300
		if i == 201 {
			most = 2000
		}
		if n := utf8.RuneCountInString(line); n > most {
			t.Errorf("row %d has %d characters", i, n)
		}
	}
	if !strings.Contains(lines[201], strings.Repeat("ä", 400)) {
		t.Errorf("the long row is %.100q", lines[201])
	}
}

func TestAgeOfAClockAhead(t *testing.T) {
	f := fleettest.Of(fleettest.Noon(), "1 idle a")
	f.Nodes[0].BeatSeen, f.Nodes[0].BeatNextBy = fleettest.Noon().Add(3*time.Hour), fleettest.Noon().Add(4*time.Hour)
	if got := ageCell(f.Nodes[0], fleettest.Noon()); got.Text != "late, ahead 3h" {
		t.Errorf("%q", got.Text)
	}
}

func TestSummary(t *testing.T) {
	f := fleettest.Of(fleettest.Noon(), "37 idle a", "2 wedged a", "1 missing -")
	f.Folded = fleettest.Noon()
	for want, got := range map[string]string{
		"40 nodes: 37 idle, 2 wedged, 1 missing; read from the fold, as of 12 s ago": func() string { f.At = fleettest.Noon().Add(12 * time.Second); return Summary(f.Nodes, f, f.At) }(),
		"1 of 40 nodes: 1 idle; read from the nodes' refs 5 min ago": func() string {
			g := f
			g.From, g.At = presence.FromRefs, fleettest.Noon()
			return Summary(g.Nodes[:1], g, fleettest.Noon().Add(5*time.Minute))
		}(),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestNodeWithoutState(t *testing.T) {
	n := presence.Node{Record: presence.Record{InstanceID: "i-1", Nodepart: "app1"}, Told: fleettest.Noon()}
	if got := Node(n, "", nil, fleettest.Noon(), false); got[0] != "UNKNOWN, reported 12:00:00Z" {
		t.Errorf("%q", got)
	}
}

func TestScreen(t *testing.T) {
	v := &Screen{Mark: 10 * time.Second}
	now := fleettest.Noon()
	if got := v.lines(now, 80, 24); !slices.Equal(got, []string{"reading ..."}) {
		t.Errorf("%q", got)
	}
	v.update(Reading{Fleet: fleettest.Of(now, "2 idle a"), At: now})
	text := func() string { return strings.Join(v.lines(now, 80, 24), "\n") }
	if got := text(); strings.Contains(got, "*") || !strings.Contains(got, "\n  i-1  fed1/app1  idle ") {
		t.Errorf("the first reading is no change:\n%s", got)
	}
	now = now.Add(5 * time.Second)
	v.update(Reading{Fleet: fleettest.Of(now, "1 idle a", "1 wedged a exit 1"), At: now})
	if got := text(); !strings.Contains(got, "\n* i-2  fed1/app1  wedged ") || !strings.Contains(got, "\n  i-1 ") {
		t.Errorf("what changed is marked:\n%s", got)
	}
	now = now.Add(11 * time.Second)
	if got := text(); strings.Contains(got, "*") {
		t.Errorf("it was:\n%s", got)
	}
	// A reading that fails leaves what there is, and says so until one succeeds.
	v.update(Reading{Err: errors.New("no route\nto host"), At: now})
	now = now.Add(3 * time.Second)
	v.update(Reading{Err: errors.New("no route\nto host"), At: now})
	if got := text(); !strings.Contains(got, "\nnot read for 3 s: no route to host\n") || !strings.Contains(got, "\n  i-2 ") {
		t.Errorf("it failed:\n%s", got)
	}
	crowded := fleettest.Of(now, "1 wedged a exit 1")
	for range 30 {
		crowded.Notes = append(crowded.Notes, "i-x: presence record: no value")
	}
	v.update(Reading{Fleet: crowded, At: now})
	if got := text(); strings.Count(got, "note: i-x") != 2 || !strings.Contains(got, "\nnote: 28 more ") || !strings.Contains(got, "* i-1  fed1/app1  wedged ") {
		t.Errorf("thirty notes:\n%s", got)
	}
	v.update(Reading{Fleet: fleettest.Of(now, "40 idle a"), At: now})
	lines := v.lines(now, 80, 10)
	if len(lines) != 10 || !strings.HasPrefix(lines[0], "40 nodes: 40 idle; ") || lines[9] != "  ... 34 more" {
		t.Errorf("forty on ten lines: %q", lines)
	}
	for height := 1; height < 50; height++ {
		for width := 1; width < 50; width++ {
			for i, line := range v.lines(now, width, height) {
				if n := utf8.RuneCountInString(line); n > max(width, 3) {
					t.Fatalf("line %d of %dx%d has %d: %q", i, width, height, n, line)
				}
			}
		}
	}
}

func TestChanges(t *testing.T) {
	now := fleettest.Noon()
	before := TakeSnapshot(fleettest.Of(now, "1 idle a", "1 working a", "1 idle a", "1 leaving a", "1 idle a").Nodes, now)
	after := fleettest.Of(now, "1 idle a", "1 wedged a exit 1", "1 idle b", "0 idle a", "0 idle a").Nodes
	after = append(after, fleettest.One("i-6", node.Setup, "", "", now), fleettest.One("i-5", node.Idle, "a", "", now.Add(-20*time.Minute)))
	var got []string
	for _, c := range before.Changes(TakeSnapshot(after, now), now) {
		got = append(got, Transition(c, false))
	}
	want := []string{
		"2026-03-01 12:00:00Z i-2 fed1/app1 working → wedged at aaaaaaa: exit 1",
		"2026-03-01 12:00:00Z i-3 fed1/app1 idle at bbbbbbb",
		"2026-03-01 12:00:00Z i-5 fed1/app1 idle → late at aaaaaaa",
		"2026-03-01 12:00:00Z i-6 fed1/app1 - → setup",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	got = nil
	for _, c := range before.Changes(nil, now) {
		got = append(got, c.ID+" "+c.From+" "+c.To+" "+c.Reason)
	}
	gone := " gone its ref was deleted"
	if !slices.Equal(got, []string{"i-1 idle" + gone, "i-2 working" + gone, "i-3 idle" + gone, "i-5 idle" + gone}) {
		t.Errorf("got %q", got)
	}
}
