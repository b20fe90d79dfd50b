package control

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/fleettest"
	"github.com/addagent/addagent/internal/node"
)

// TestCompose tells a room of one fleet after the other, each so long after the first.
func TestCompose(t *testing.T) {
	type step struct {
		at    time.Duration
		nodes []string
		want  []string
	}
	for name, steps := range map[string][]step{
		"at first what is well is no news, what is wrong is": {
			{0, []string{"3 idle a", "1 working a", "1 wedged a exit 100", "1 missing -"}, []string{
				"red! 1 of 6 fed1/app1 missing (i-6)", "red! 1 of 6 fed1/app1 wedged at aaaaaaa (i-5): exit 100"}},
			{time.Minute, []string{"3 idle a", "1 working a", "1 wedged a exit 100", "1 missing -"}, nil},
		},
		"how often each has failed is no reason of its own": {
			{0, []string{"1 wedged a ops:root: exit 3 (3 failures in a row)", "1 wedged a ops:root: exit 3 (12 failures in a row)", "3 wedged a ops:root: exit 3", "1 wedged a ops:root: exit 9 (4 failures in a row); app:root: exit 1 (2 failures in a row)"}, []string{
				"red! 6 of 6 fed1/app1 wedged at aaaaaaa: ops:root: exit 3 (and 1 other reason)"}},
			{time.Hour, []string{"1 wedged a ops:root: exit 9 (4 failures in a row); app:root: exit 1 (2 failures in a row)", "1 wedged a failures in a row)"}, []string{
				"red! 2 of 2 fed1/app1 wedged at aaaaaaa (i-1, i-2): failures in a row) (and 1 other reason)"}},
			{2 * time.Hour, []string{"2 wedged a ops:root: exit 9 (4 failures in a row); app:root: exit 1 (2 failures in a row)"}, []string{
				"red! still 2 of 2 fed1/app1 wedged at aaaaaaa (i-1, i-2): ops:root: exit 9; app:root: exit 1"}},
		},
		"nodes that name no state": {
			{0, []string{"5 idle -"}, nil},
			{time.Hour, []string{"3 idle -", "2 none -"}, []string{"gray 2 of 5 fed1/app1 unknown (i-4, i-5)"}},
		},
		"a rollout": {
			{0, []string{"5 idle a"}, nil},
			{time.Minute, []string{"1 idle a", "4 working b"}, []string{"yellow 4 of 5 fed1/app1 working at bbbbbbb"}},
			{2 * time.Minute, []string{"3 idle b", "2 working b"}, []string{"green 3 of 5 fed1/app1 idle at bbbbbbb (i-1, i-2, i-3)"}},
			{3 * time.Minute, []string{"5 idle b"}, []string{"green 5 of 5 fed1/app1 idle at bbbbbbb"}},
			{4 * time.Minute, []string{"5 idle b"}, nil},
			// once more the same version
			{5 * time.Minute, []string{"4 idle b", "1 working b"}, []string{"yellow 1 of 5 fed1/app1 working at bbbbbbb (i-5)"}},
			{6 * time.Minute, []string{"5 idle b"}, []string{"green 5 of 5 fed1/app1 idle at bbbbbbb"}},
		},
		"a line is posted at most once a minute": {
			{0, []string{"40 idle a"}, nil},
			{10 * time.Second, []string{"39 idle a", "1 wedged a exit 100"}, []string{"red! 1 of 40 fed1/app1 wedged at aaaaaaa (i-40): exit 100"}},
			{30 * time.Second, []string{"20 idle a", "20 wedged a exit 100"}, nil},
			{69 * time.Second, []string{"10 idle a", "30 wedged a exit 100"}, nil},
			{70 * time.Second, []string{"3 idle a", "37 wedged a exit 100"}, []string{"red! 37 of 40 fed1/app1 wedged at aaaaaaa: exit 100"}},
			{80 * time.Second, []string{"40 idle a"}, []string{"green 40 of 40 fed1/app1 idle at aaaaaaa"}},
			{130 * time.Second, []string{"40 idle a"}, []string{"green! 0 of 40 fed1/app1 wedged at aaaaaaa (was 37, for 2 min)"}},
			{200 * time.Second, []string{"40 idle a"}, nil},
		},
		"what flickers within the minute is said once": {
			{0, []string{"2 idle a"}, nil},
			{time.Second, []string{"1 idle a", "1 failing a exit 1"}, []string{"red 1 of 2 fed1/app1 failing at aaaaaaa (i-2): exit 1"}},
			{2 * time.Second, []string{"2 idle a"}, []string{"green 2 of 2 fed1/app1 idle at aaaaaaa (i-1, i-2)"}},
			{3 * time.Second, []string{"1 idle a", "1 failing a exit 1"}, nil},
			{63 * time.Second, []string{"1 idle a", "1 failing a exit 1"}, nil},
			{64 * time.Second, []string{"2 idle a"}, []string{"green 0 of 2 fed1/app1 failing at aaaaaaa (was 1, for 63 s)", "green 2 of 2 fed1/app1 idle at aaaaaaa (i-1, i-2)"}},
		},
		"a node that becomes wedged stops failing without good news": {
			{0, []string{"3 failing a exit 1"}, []string{"red 3 of 3 fed1/app1 failing at aaaaaaa (i-1, i-2, i-3): exit 1"}},
			{10 * time.Second, []string{"2 failing a exit 1", "1 wedged a exit 1"}, []string{"red! 1 of 3 fed1/app1 wedged at aaaaaaa (i-3): exit 1"}},
			{15 * time.Second, []string{"3 wedged a exit 1"}, nil},
			{60 * time.Second, []string{"3 wedged a exit 1"}, nil},
			{70 * time.Second, []string{"3 wedged a exit 1"}, []string{"red! 3 of 3 fed1/app1 wedged at aaaaaaa (i-1, i-2, i-3): exit 1"}},
		},
		"critical lines are said again after an hour": {
			{0, []string{"1 wedged a exit 100", "1 failing a exit 1"}, []string{
				"red 1 of 2 fed1/app1 failing at aaaaaaa (i-2): exit 1", "red! 1 of 2 fed1/app1 wedged at aaaaaaa (i-1): exit 100"}},
			{59 * time.Minute, []string{"1 wedged a exit 100", "1 failing a exit 1"}, nil},
			{60 * time.Minute, []string{"1 wedged a exit 100", "1 failing a exit 1"}, []string{"red! still 1 of 2 fed1/app1 wedged at aaaaaaa (i-1): exit 100"}},
			{61 * time.Minute, []string{"1 wedged a exit 100", "1 failing a exit 1"}, nil},
		},
		"a fix that helps some": {
			{0, []string{"4 wedged a exit 100"}, []string{"red! 4 of 4 fed1/app1 wedged at aaaaaaa: exit 100"}},
			{2 * time.Minute, []string{"1 wedged b exit 100", "3 idle b"}, []string{
				"green 3 of 4 fed1/app1 idle at bbbbbbb (i-2, i-3, i-4)", "red! 0 of 4 fed1/app1 wedged at aaaaaaa (was 4, for 2 min); 1 wedged at bbbbbbb",
				"red! 1 of 4 fed1/app1 wedged at bbbbbbb (i-1): exit 100"}},
		},
		"wedged at one version after the other": {
			{0, []string{"2 wedged a exit 1"}, []string{"red! 2 of 2 fed1/app1 wedged at aaaaaaa (i-1, i-2): exit 1"}},
			{5 * time.Minute, []string{"2 wedged b exit 1"}, []string{
				"red! 0 of 2 fed1/app1 wedged at aaaaaaa (was 2, for 5 min); 2 wedged at bbbbbbb", "red! 2 of 2 fed1/app1 wedged at bbbbbbb (i-1, i-2): exit 1"}},
			{5*time.Minute + 5*time.Second, []string{"1 wedged b exit 1", "1 failing c exit 1"}, []string{"red 1 of 2 fed1/app1 failing at ccccccc (i-2): exit 1"}},
			{9 * time.Minute, []string{"1 idle c", "1 failing c exit 1"}, []string{
				"green 1 of 2 fed1/app1 idle at ccccccc (i-1)", "red! 0 of 2 fed1/app1 wedged at bbbbbbb (was 2, for 9 min); 1 failing at ccccccc"}},
			{12 * time.Minute, []string{"2 idle c"}, []string{
				"green 0 of 2 fed1/app1 failing at ccccccc (was 1, for 6 min)", "green 2 of 2 fed1/app1 idle at ccccccc (i-1, i-2)"}},
			{12*time.Minute + time.Second, []string{"1 idle c", "1 wedged c exit 1"}, []string{"red! 1 of 2 fed1/app1 wedged at ccccccc (i-2): exit 1"}},
			{13 * time.Minute, []string{"2 idle c"}, []string{"green 2 of 2 fed1/app1 idle at ccccccc (i-1, i-2)"}},
			{13*time.Minute + time.Second, []string{"2 idle c"}, []string{"green! 0 of 2 fed1/app1 wedged at ccccccc (was 1, for 60 s)"}},
			{13*time.Minute + 2*time.Second, []string{"1 idle c", "1 wedged c exit 1"}, []string{"red! 1 of 2 fed1/app1 wedged at ccccccc (i-2): exit 1"}},
		},
		"the reason that most have": {
			{0, []string{"1 failing a exit 1", "4 failing a exit 2", "1 failing a exit 3"}, []string{"red 6 of 6 fed1/app1 failing at aaaaaaa: exit 2 (and 2 other reasons)"}},
		},
		"nodes that leave, and are then away": {
			{0, []string{"4 idle a"}, nil},
			{time.Minute, []string{"3 idle a", "1 leaving a"}, []string{"gray 1 of 4 fed1/app1 leaving (i-4)"}},
			{2 * time.Minute, []string{"3 idle a"}, nil},
			{3 * time.Minute, []string{}, nil},
			{4 * time.Minute, []string{"1 disabled a by ann"}, []string{"gray 1 of 1 fed1/app1 disabled (i-1): by ann"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var told []announced
			states, since := map[string]node.State{}, map[string]time.Time{}
			for i, s := range steps {
				now := fleettest.Noon().Add(s.at)
				f := fleettest.Of(now, s.nodes...)
				for i, n := range f.Nodes { // since when it is in its state, the fold knows
					if n.State != states[n.InstanceID] {
						since[n.InstanceID] = now
					}
					states[n.InstanceID], f.Nodes[i].Since = n.State, since[n.InstanceID]
				}
				after, messages := compose(told, f, nil, false, now)
				var got []string
				for _, m := range messages {
					mark := m.Colour
					if m.Critical {
						mark += "!"
					}
					got = append(got, mark+" "+m.Text)
					if !m.Time.Equal(now) {
						t.Errorf("step %d: time %s", i, m.Time)
					}
				}
				slices.Sort(got)
				if !slices.Equal(got, s.want) {
					t.Errorf("step %d, after %s:\n got %q\nwant %q", i, s.at, got, s.want)
				}
				// What was told survives a restart.
				data, err := json.Marshal(after)
				if err != nil {
					t.Fatal(err)
				}
				told = nil
				if err := json.Unmarshal(data, &told); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestComposeTroubles: what needs a person is told beside the states, as long as its node is heard.
func TestComposeTroubles(t *testing.T) {
	f := fleettest.Of(fleettest.Noon(), "2 idle a", "1 wedged a exit 100")
	f.Nodes[0].Troubles, f.Nodes[2].Troubles = []string{"bad config"}, []string{"bad config", "no access to ops"}
	var told []announced
	for _, step := range []struct {
		after time.Duration
		heal  int // index of the node that is well again
		want  string
	}{
		{0, -1, "red! 1 of 3 fed1/app1 wedged at aaaaaaa (i-3): exit 100; red! 2 of 3 fed1/app1 in trouble (i-1, i-3): bad config (and 1 other reason)"},
		{2 * time.Minute, 2, "red! 1 of 3 fed1/app1 in trouble (i-1): bad config"},
		{4 * time.Minute, -1, ""},
		{6 * time.Minute, 0, "red! 0 of 3 fed1/app1 in trouble (was 1, for 6 min); 1 wedged at aaaaaaa"},
	} {
		if step.heal >= 0 {
			f.Nodes[step.heal].Troubles = nil
		}
		now := fleettest.Noon().Add(step.after)
		for i := range f.Nodes {
			f.Nodes[i].BeatSeen, f.Nodes[i].BeatNextBy = now, now.Add(2*time.Minute)
		}
		after, messages := compose(told, f, nil, false, now)
		var lines []string
		for _, m := range messages {
			mark := ""
			if m.Critical {
				mark = "!"
			}
			lines = append(lines, m.Colour+mark+" "+m.Text)
		}
		slices.Sort(lines)
		if got := strings.Join(lines, "; "); got != step.want {
			t.Errorf("after %s: %q, not %q", step.after, got, step.want)
		}
		told = after
	}
}

// The text of a node neither draws on a screen nor starts a second line.
func TestComposeKeepsToALine(t *testing.T) {
	f := fleettest.Of(fleettest.Noon(), "1 wedged a")
	f.Nodes[0].Reason, f.Nodes[0].Nodepart = "a\nb\x1b[2J", "x\ny"
	_, messages := compose(nil, f, nil, false, fleettest.Noon())
	if len(messages) != 1 || strings.ContainsAny(messages[0].Text, "\n\x1b") {
		t.Errorf("%+v", messages)
	}
}
