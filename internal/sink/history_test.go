package sink

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/chat"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
)

// history makes up the life of a node: beats, a minute or less apart, each with a record that an agent could tell.
type history struct {
	random *rand.Rand
	now    time.Time
	r      presence.Record
	brake  bool
	left   int // items of the deploy in hand
}

// step goes on to the next record.
func (h *history) step() {
	h.now = h.now.Add(time.Duration(1+h.random.IntN(90)) * time.Second)
	r := &h.r
	r.BeatSeen = h.now
	switch p := h.random.IntN(100); {
	case p < 10: // a person disables, or enables
		h.brake = !h.brake
	case p < 13: // the machine restarts
		r.State, r.Reason, h.left = node.Setup, "", 0
		return
	case p < 15:
		r.State, r.Reason = node.Leaving, "the machine shuts down"
		return
	}
	if h.brake {
		r.State, r.Reason = node.Disabled, "ann: migration"
		return
	}
	if h.left > 1 && r.State == node.Working {
		h.left--
		r.Reason = fmt.Sprintf("ops:item%d", h.left) // the next item of the same deploy
		return
	}
	switch p := h.random.IntN(100); {
	case p < 30: // a push, or work is run again
		if h.random.IntN(3) > 0 {
			r.Repos = []presence.Repo{{Name: "ops", Version: strings.Repeat(fmt.Sprintf("%x", h.random.IntN(16)), 40)}}
		}
		h.left = 1 + h.random.IntN(10)
		r.State, r.Items, r.Reason = node.Working, h.left, "ops:item"
	case p < 45:
		r.State, r.Reason = node.Failing, h.failure()
	case p < 60:
		r.State, r.Reason = node.Wedged, h.failure()
	case p < 65:
		r.State, r.Reason = node.InitDone, ""
	default:
		r.State, r.Reason = node.Idle, ""
	}
}

func (h *history) failure() string {
	return fmt.Sprintf("ops:root: exit %d (%d failures in a row)", 1+h.random.IntN(3), 2+h.random.IntN(9))
}

// listener is a room and what it must have heard.
type listener struct {
	heard        Heard
	onlyCritical bool
	last         string // line
	wedged       bool   // it heard of a wedge, and not of its end
}

// TestEveryHistoryIsToldRight plays thousands of lives to rooms of both kinds, with a new process now and then, and
// holds what they hear to the rules: a wedge is told in the beat in which it begins, and so is the end of one that was
// told; after a quiet time the last line is about the present state; a deploy is two lines at most, whatever the number
// of its items; and a beat is one line at most.
func TestEveryHistoryIsToldRight(t *testing.T) {
	for seed := range testkit.Rounds(500, 5000) {
		h := &history{random: rand.New(rand.NewPCG(uint64(seed), 1)), now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC),
			r: presence.Record{InstanceID: "i-1", Deployment: "fed1", Nodepart: "app1", State: node.Setup}}
		rooms := []*listener{{}, {onlyCritical: true}}
		before := node.State("")
		for range 60 {
			h.step()
			for _, l := range rooms {
				l.beat(t, seed, before, h)
			}
			before = h.r.State
			if h.random.IntN(6) > 0 {
				continue
			}
			for range 12 { // a quiet time
				h.now = h.now.Add(time.Minute)
				for _, l := range rooms {
					l.beat(t, seed, before, h)
				}
			}
			for _, l := range rooms {
				l.quiet(t, seed, h.r)
			}
		}
		if t.Failed() {
			return
		}
	}
}

func (l *listener) beat(t *testing.T, seed int, before node.State, h *history) {
	t.Helper()
	r := h.r
	heard, lines := Compose(l.heard, r, l.onlyCritical, h.now)
	if h.random.IntN(10) == 0 { // a new process reads what the last one wrote
		data, err := json.Marshal(heard)
		heard = Heard{}
		if err != nil || json.Unmarshal(data, &heard) != nil {
			t.Fatal(err)
		}
	}
	l.heard = heard
	wrong := func(what string) {
		t.Errorf("history %d, only critical %v, %s at %s after %s: %s; heard %v", seed, l.onlyCritical, r.State, r.Reason, before, what, lines)
	}
	if len(lines) > 1 {
		wrong("more than a line in a beat")
	}
	text := ""
	if len(lines) == 1 {
		m := lines[0]
		text = strings.TrimPrefix(m.Text, "i-1:fed1/app1: ")
		l.last = text
		if l.onlyCritical && !m.Critical {
			wrong("not critical")
		}
	}
	begins := r.State == node.Wedged && before != node.Wedged
	if begins && !l.wedged && !strings.HasPrefix(text, "wedged: ") {
		wrong("a wedge that begins is not told")
	}
	if r.State == node.Wedged {
		l.wedged = true
	}
	hidden := r.State == node.Disabled || r.State == node.Leaving
	if l.wedged && r.State != node.Wedged && !hidden {
		l.wedged = false
		if !strings.Contains(text, " wedged") {
			wrong("the end of a wedge is not told")
		}
	}
	if before == node.Working && r.State == node.Working && h.left > 0 && text != "" && !strings.Contains(text, "working: ") {
		wrong("an item is told")
	}
}

// quiet holds the last line to the state.
func (l *listener) quiet(t *testing.T, seed int, r presence.Record) {
	t.Helper()
	about := string(r.State)
	right := strings.HasPrefix(l.last, about+": ") || strings.Contains(l.last, ": "+about+" at ") || strings.HasSuffix(l.last, ": "+about) || strings.Contains(l.last, "; "+about+": ") ||
		strings.HasPrefix(l.last, "still "+about+" after ")
	switch {
	case r.State == node.Failing || r.State == node.Wedged:
		exit, _, _ := strings.Cut(r.Reason, " (")
		right = right && strings.Contains(l.last, exit) && (len(r.Repos) == 0 || strings.HasPrefix(l.last, "still ") || strings.Contains(l.last, r.Repos[0].Version[:7]))
	}
	if l.onlyCritical && r.State != node.Wedged {
		right = !strings.HasPrefix(l.last, "wedged: ") && !strings.HasPrefix(l.last, "still ") || r.State == node.Disabled || r.State == node.Leaving
	}
	if l.last == "" && (r.State == node.Idle || l.onlyCritical) {
		right = r.State != node.Wedged
	}
	if !right {
		t.Errorf("history %d, only critical %v: after a quiet time in %s (%s) the last line is %q", seed, l.onlyCritical, r.State, r.Reason, l.last)
	}
}

// TestADeployIsTwoLines: whatever the number of items.
func TestADeployIsTwoLines(t *testing.T) {
	for items := 1; items <= 30; items++ {
		heard, now := Heard{State: node.Idle, Print: "idle"}, time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
		var lines []chat.Message
		say := func(s node.State, why string) {
			now = now.Add(time.Minute)
			var more []chat.Message
			heard, more = Compose(heard, presence.Record{InstanceID: "i-1", State: s, Reason: why, Items: items, Repos: []presence.Repo{{Name: "ops", Version: "1a2b3c4d5e"}}}, false, now)
			lines = append(lines, more...)
		}
		for i := range items {
			say(node.Working, fmt.Sprintf("ops:root+%d", i))
		}
		say(node.Idle, "")
		begin, end := fmt.Sprintf("working: %d items at ops@1a2b3c4", items), fmt.Sprintf("idle: done (%d items) at ops@1a2b3c4", items)
		if items == 1 {
			begin, end = "working: ops:root+0 at ops@1a2b3c4", "idle: done at ops@1a2b3c4"
		}
		if len(lines) != 2 || lines[0].Text != "i-1:/: "+begin || lines[1].Text != "i-1:/: "+end {
			t.Errorf("%d items: %v", items, lines)
		}
	}
}
