package control

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/fleettest"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence/gitstore"
)

// TestTakeLease: whether control node a may tell the rooms at noon, with a lease of ten minutes.
func TestTakeLease(t *testing.T) {
	for _, c := range []struct {
		what   string
		holder string
		until  time.Duration // after noon
		want   time.Duration // 0 = the lease is another's
		taken  bool          // anew
	}{
		{"not held", "", -time.Hour, 10 * time.Minute, true},
		{"its own, just taken", "a", 10 * time.Minute, 10 * time.Minute, false},
		{"its own, half of it is over", "a", 5 * time.Minute, 5 * time.Minute, false},
		{"its own, more than that", "a", 5*time.Minute - time.Second, 10 * time.Minute, false},
		{"its own, ended, and not taken", "a", -time.Hour, 10 * time.Minute, false},
		{"its own, by a clock that was set back", "a", time.Hour, 10 * time.Minute, false},
		{"of another", "b", 10 * time.Minute, 0, false},
		{"of another that may have another clock", "b", -time.Minute, 0, false},
		{"of another that fell silent", "b", -time.Minute - time.Second, 10 * time.Minute, true},
		{"of another, for years", "b", 10000 * time.Hour, 10 * time.Minute, true},
		{"of another whose clock is ahead", "b", 6 * time.Hour, 0, false},
	} {
		before := gitstore.Lease{Holder: c.holder, Taken: fleettest.Noon().Add(-time.Hour), Until: fleettest.Noon().Add(c.until)}
		l, ok := takeLease(before, "a", fleettest.Noon(), 10*time.Minute, 19*time.Minute)
		if ok != (c.want > 0) || !ok && l != before || ok && (l.Holder != "a" || l.Until != fleettest.Noon().Add(c.want) || l.Taken.Equal(fleettest.Noon()) != c.taken) {
			t.Errorf("%s: %v, %+v", c.what, ok, l)
		}
	}
}

// TestClockOfTheHolderWasAhead: when it dies, the rooms hear of the fleet again before its lease ends by its own clock.
func TestClockOfTheHolderWasAhead(t *testing.T) {
	g := newGrids(t, 1)
	// By one clock the next day has come, and then by the other.
	g.now = time.Date(2026, 3, 1, 23, 57, 0, 0, time.UTC)
	a, b := g.control(t.TempDir()), g.control(t.TempDir())
	g.now = g.now.Add(6 * time.Hour)
	g.tells("i-1", node.Idle, "a", "")
	g.turn(a)
	g.holds(a, false)
	g.dies(a)
	g.now = g.now.Add(-6 * time.Hour)
	for began := g.now; g.now.Before(began.Add(2 * b.announcer.lasts)); g.now = g.now.Add(b.announcer.lasts / 2) {
		g.turn(b)
		g.holds(a, false)
	}
	g.tells("i-2", node.Wedged, "a", "exit 1")
	g.turn(b)
	g.holds(b, false)
	g.heard("1 of 2 fed1/app1 wedged at aaaaaaa (i-2): exit 1")
}

// The file is on a branch: what one version writes another one reads.
func TestSaidFile(t *testing.T) {
	lease, _ := takeLease(gitstore.Lease{}, "a", fleettest.Noon(), 10*time.Minute, 0)
	told, _ := compose([]announced{}, fleettest.Of(fleettest.Noon(), "2 idle a", "1 wedged b exit 1"), nil, false, fleettest.Noon())
	data, err := said{Lease: lease, Rooms: map[string][]announced{"room 1": told, "room 2": {}}}.encode()
	if err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, "testdata/said.json", data)
	back := parseSaid(data)
	if back.Lease != lease || !sameAnnounced(back.Rooms["room 1"], told) || back.Rooms["room 2"] == nil || back.Rooms["room 3"] != nil {
		t.Errorf("read back: %+v", back)
	}
	for what, other := range map[string][]announced{"another number": nil, "another time": nil} {
		other = append(other, told...)
		if what == "another number" {
			other[0].N++
		} else {
			other[0].Said = fleettest.Noon().Add(time.Hour)
		}
		if sameAnnounced(told, other) {
			t.Errorf("%s is the same", what)
		}
	}
	if gone := append([]announced{{group: group{Part: "x"}}}, told...); !sameAnnounced(told, gone) {
		t.Error("a group without nodes is news")
	}
}

// FuzzParseSaid: the file is on a branch that people can push to.
func FuzzParseSaid(f *testing.F) {
	if data, err := os.ReadFile(filepath.Join("testdata", "said.json")); err == nil {
		f.Add(data)
	}
	f.Add([]byte(`{"filetype":"nodefoldsaid","value":{"lease":{"until":"9999-12-31T23:59:59Z"},"rooms":{"room 1":[{"part":"a\nb\u001b[2J","word":"wedged","n":-7}]}}}`))
	f.Add([]byte(`{"filetype":"nodefoldsaid","value":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := parseSaid(data)
		l, ok := takeLease(s.Lease, "a", fleettest.Noon(), time.Minute, 0)
		if ok && (l.Holder != "a" || l.Until.Before(fleettest.Noon())) {
			t.Errorf("%+v", l)
		}
		for _, told := range s.Rooms {
			_, messages := compose(told, fleettest.Of(fleettest.Noon(), "1 wedged a exit 1"), nil, false, fleettest.Noon())
			for _, m := range messages {
				if m.Text == "" || strings.ContainsAny(m.Text, "\n\x1b") {
					t.Errorf("%q", m.Text)
				}
			}
		}
	})
}
