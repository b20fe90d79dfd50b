package sink

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/chat"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// heardOf plays a life, one step a minute or as its "+" says, and lists what a room hears.
func heardOf(t *testing.T, onlyCritical bool, steps ...string) []string {
	t.Helper()
	var s Heard
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	var heard []string
	for _, step := range steps {
		if d, ok := strings.CutPrefix(step, "+"); ok {
			wait, err := time.ParseDuration(d)
			if err != nil {
				t.Fatal(err)
			}
			now = now.Add(wait)
			continue
		}
		state, rest, _ := strings.Cut(step, "@")
		version, why, _ := strings.Cut(rest, " ")
		r := presence.Record{InstanceID: "i-1", Deployment: "fed1", Nodepart: "app1", State: node.State(state), Reason: why}
		if version != "" {
			r.Repos = []presence.Repo{{Name: "ops", Version: strings.Repeat(version, 40)}}
		}
		var lines []chat.Message
		s, lines = Compose(s, r, onlyCritical, now)
		// What is remembered must survive being written down.
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		s = Heard{}
		if err := json.Unmarshal(data, &s); err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			mark := map[bool]string{true: "!", false: ""}[l.Critical]
			heard = append(heard, l.Colour+mark+" "+strings.TrimPrefix(l.Text, "i-1:fed1/app1: "))
		}
		now = now.Add(time.Minute)
	}
	return heard
}

func TestSpeak(t *testing.T) {
	for name, c := range map[string]struct{ life, want []string }{
		"a new node": {
			[]string{"setup@", "initdone@a", "working@a ops:root", "working@a ops:root", "idle@a", "idle@a"},
			[]string{"yellow setup: the agent is running", "green initdone: initialised, ready for its first work", "yellow working: ops:root at ops@aaaaaaa", "green idle: done at ops@aaaaaaa"}},
		"a restart without memory, and a push that concerns others": {
			[]string{"idle@a", "idle@b", "idle@c"}, nil},
		"the same work again": {
			[]string{"idle@a", "working@a ops:root", "idle@a", "working@a ops:root", "idle@a", "working@b ops:root", "idle@b"},
			[]string{"yellow working: ops:root at ops@aaaaaaa", "green idle: done at ops@aaaaaaa", "yellow working: ops:root at ops@aaaaaaa", "green idle: done at ops@aaaaaaa",
				"yellow working: ops:root at ops@bbbbbbb", "green idle: done at ops@bbbbbbb"}},
		"a failure that heals": {
			[]string{"idle@a", "failing@b ops:root: exit 3", "failing@b ops:root: exit 3 (2 failures in a row)", "idle@b"},
			[]string{"red failing: ops:root: exit 3 at ops@bbbbbbb  -> addagent why ops:root", "green recovered after 2 min of failures: idle at ops@bbbbbbb"}},
		"the same failure at the next commit": {
			[]string{"failing@b ops:root: exit 3", "working@c ops:root", "failing@c ops:root: exit 3", "working@d ops:root", "idle@d"},
			[]string{"red failing: ops:root: exit 3 at ops@bbbbbbb  -> addagent why ops:root", "yellow working: ops:root at ops@ccccccc",
				"red failing: ops:root: exit 3 at ops@ccccccc  -> addagent why ops:root", "yellow working: ops:root at ops@ddddddd", "green recovered after 4 min of failures: idle at ops@ddddddd"}},
		"another item joins: that is news": {
			[]string{"failing@b ops:part.app1: exit 3", "failing@b ops:part.app1: exit 3; ops:part.app2: exit 3"},
			[]string{"red failing: ops:part.app1: exit 3 at ops@bbbbbbb  -> addagent why ops:part.app1",
				"red failing: ops:part.app1: exit 3; ops:part.app2: exit 3 at ops@bbbbbbb  -> addagent why ops:part.app1"}},
		"wedged, reminded each hour, well": {
			[]string{"idle@a", "wedged@b ops:root: exit 3", "+58m", "wedged@b ops:root: exit 3", "wedged@b ops:root: exit 3 (9 failures in a row)", "+30m", "wedged@b ops:root: exit 3", "+40m", "wedged@b ops:root: exit 3", "idle@c"},
			[]string{"red! wedged: ops:root: exit 3 at ops@bbbbbbb  -> addagent why ops:root",
				"red! still wedged after 60 min: ops:root: exit 3 (9 failures in a row)  -> addagent why ops:root",
				"red! still wedged after 2 h: ops:root: exit 3  -> addagent why ops:root", "green! recovered after 2 h wedged: idle at ops@ccccccc"}},
		"another exit code at the same commit": {
			[]string{"wedged@b ops:root: exit 3", "wedged@b ops:root: exit 4 (7 failures in a row)"},
			[]string{"red! wedged: ops:root: exit 3 at ops@bbbbbbb  -> addagent why ops:root", "red! wedged: ops:root: exit 4 (7 failures in a row) at ops@bbbbbbb  -> addagent why ops:root"}},
		"a wedge that comes again": {
			[]string{"idle@a", "wedged@a ops:root: exit 3", "idle@a", "wedged@a ops:root: exit 3", "+10m", "wedged@a ops:root: exit 3", "+50m", "wedged@a ops:root: exit 3", "idle@a"},
			[]string{"red! wedged: ops:root: exit 3 at ops@aaaaaaa  -> addagent why ops:root", "green! recovered after 60 s wedged: idle at ops@aaaaaaa",
				"red! wedged: ops:root: exit 3 at ops@aaaaaaa  -> addagent why ops:root", "red! still wedged after 62 min: ops:root: exit 3  -> addagent why ops:root",
				"green! recovered after 63 min wedged: idle at ops@aaaaaaa"}},
		"from failing to wedged": {
			[]string{"failing@a ops:root: exit 3", "wedged@a ops:root: exit 3 (3 failures in a row)", "idle@b"},
			[]string{"red failing: ops:root: exit 3 at ops@aaaaaaa  -> addagent why ops:root",
				"red! wedged: ops:root: exit 3 (3 failures in a row) at ops@aaaaaaa  -> addagent why ops:root", "green! recovered after 60 s wedged: idle at ops@bbbbbbb"}},
		"wedged, then only failing, then well": {
			[]string{"wedged@a ops:root: exit 3; ops:app: exit 4", "failing@a ops:app: exit 4", "idle@b"},
			[]string{"red! wedged: ops:root: exit 3; ops:app: exit 4 at ops@aaaaaaa  -> addagent why ops:root",
				"red! no longer wedged after 60 s; failing: ops:app: exit 4 at ops@aaaaaaa  -> addagent why ops:app", "green recovered after 60 s of failures: idle at ops@bbbbbbb"}},
		"a person says unwedge": {
			[]string{"wedged@a ops:root: exit 3", "working@a ops:root", "idle@a"},
			[]string{"red! wedged: ops:root: exit 3 at ops@aaaaaaa  -> addagent why ops:root", "yellow! recovered after 60 s wedged; working: ops:root at ops@aaaaaaa", "green idle: done at ops@aaaaaaa"}},
		"disabled and enabled twice": {
			[]string{"idle@a", "disabled@a ann: migration", "idle@a", "disabled@a ann: migration", "idle@a"},
			[]string{"gray disabled: ann: migration", "green idle: done at ops@aaaaaaa", "gray disabled: ann: migration", "green idle: done at ops@aaaaaaa"}},
		"wedged, disabled and enabled": {
			[]string{"wedged@a ops:root: exit 3", "disabled@a ann: migration", "wedged@a ops:root: exit 3", "disabled@a ann: migration", "idle@a"},
			[]string{"red! wedged: ops:root: exit 3 at ops@aaaaaaa  -> addagent why ops:root", "gray disabled: ann: migration", "red! wedged: ops:root: exit 3 at ops@aaaaaaa  -> addagent why ops:root",
				"gray disabled: ann: migration", "green! recovered after 4 min wedged: idle at ops@aaaaaaa"}},
		"disabled and enabled": {
			[]string{"idle@a", "disabled@a ann: migration", "idle@a"},
			[]string{"gray disabled: ann: migration", "green idle: done at ops@aaaaaaa"}},
		"leaving": {
			[]string{"idle@a", "leaving@a the machine goes down"},
			[]string{"gray leaving: the machine goes down"}},
		"a wedged machine ends itself": {
			[]string{"wedged@a ops:root: exit 3", "leaving@a terminating itself (terminate), wedged for 30m0s"},
			[]string{"red! wedged: ops:root: exit 3 at ops@aaaaaaa  -> addagent why ops:root", "gray! leaving: terminating itself (terminate), wedged for 30m0s"}},
		"a clock set back by a year": {
			[]string{"wedged@a ops:root: exit 3", "+-8760h", "wedged@a ops:root: exit 3", "+61m", "wedged@a ops:root: exit 3"},
			[]string{"red! wedged: ops:root: exit 3 at ops@aaaaaaa  -> addagent why ops:root", "red! still wedged after 62 min: ops:root: exit 3  -> addagent why ops:root"}},
		"a clock set forward by a year": {
			[]string{"wedged@a ops:root: exit 3", "+8760h", "wedged@a ops:root: exit 3", "wedged@a ops:root: exit 3"},
			[]string{"red! wedged: ops:root: exit 3 at ops@aaaaaaa  -> addagent why ops:root", "red! still wedged after 365 days: ops:root: exit 3  -> addagent why ops:root"}},
		"a word of a newer agent": {
			[]string{"idle@a", "sleeping@a"}, []string{" sleeping: "}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := heardOf(t, false, c.life...); !slices.Equal(got, c.want) {
				t.Errorf("heard\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// TestTroublesInARoom: what needs a person is told once, and its end, to rooms of both kinds; one record without it, as
// of a new process, is no end.
func TestTroublesInARoom(t *testing.T) {
	for _, onlyCritical := range []bool{false, true} {
		var heard Heard
		var got []string
		now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
		for _, troubles := range [][]string{{"config: addagent.yaml:3:1: unknown key (2 beats)"}, {"config: addagent.yaml:3:1: unknown key (3 beats)"}, nil,
			{"config: addagent.yaml:3:1: unknown key", "look ops: 401 Unauthorized"}, {"look ops: 401 Unauthorized"}, {"look ops: 401 Unauthorized"}, nil, nil, nil} {
			var lines []chat.Message
			now = now.Add(time.Minute)
			heard, lines = Compose(heard, presence.Record{InstanceID: "i-1", State: node.Idle, Troubles: troubles}, onlyCritical, now)
			for _, l := range lines {
				if got = append(got, l.Text); !l.Critical {
					t.Errorf("%q is not critical", l.Text)
				}
			}
		}
		want := []string{"i-1:/: needs a person: config: addagent.yaml:3:1: unknown key (2 beats)", "i-1:/: needs a person: look ops: 401 Unauthorized",
			"i-1:/: resolved: config: addagent.yaml:3:1: unknown key (2 beats)", "i-1:/: resolved: look ops: 401 Unauthorized"}
		if !slices.Equal(got, want) || heard.Troubles != nil {
			t.Errorf("heard %q", got)
		}
	}
}

// TestARoomIsNotFlooded lets a node flap for a day, every minute another state.
func TestARoomIsNotFlooded(t *testing.T) {
	var steps []string
	for i := range 24 * 60 {
		steps = append(steps, [...]string{"failing@a ops: dead", "idle@a"}[i%2])
	}
	if n := len(heardOf(t, false, steps...)); n > 2*(24*12+failBurst) {
		t.Errorf("%d lines in a day", n)
	}
	steps = nil
	for i := range 24 * 60 {
		steps = append(steps, fmt.Sprintf("wedged@a ops:root: exit 3 (%d failures in a row)", i))
	}
	if n := len(heardOf(t, true, steps...)); n != 24 {
		t.Errorf("%d lines in a day of one wedge, want 24", n)
	}
}

// TestServicesInRooms: a room hears that a service is available, and that it ceases to be; nothing in between.
func TestServicesInRooms(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	h, said := Heard{}, []string{}
	beat := func(only bool, services ...presence.Service) {
		r := presence.Record{InstanceID: "i-1", Deployment: "fed1", Nodepart: "db1", State: node.Idle, Services: services}
		var lines []chat.Message
		now = now.Add(time.Minute)
		h, lines = Compose(h, r, only, now)
		for _, l := range lines {
			said = append(said, l.Text)
		}
	}
	db := func(code, state string) presence.Service {
		return presence.Service{Name: "db", IP: "10.0.0.7", Port: 3306, Code: code, State: state}
	}
	beat(false, db("ER0021", "installing"))
	beat(false, db("000000", "running"))
	beat(false, db("000000", "running"))
	beat(false, db("ER0003", "stopped"))
	beat(false, db("ER0019", "starting"))
	beat(false, db("000000", "running"))
	beat(true, db("ER0020", "draining")) // a room of critical lines
	beat(false)
	want := []string{"i-1:fed1/db1: service db is running at 10.0.0.7:3306", "i-1:fed1/db1: service db is stopped (ER0003)  -> addagent why service.db",
		"i-1:fed1/db1: service db is running at 10.0.0.7:3306", "i-1:fed1/db1: service db is gone"}
	if !slices.Equal(said, want) {
		t.Errorf("said\n%s", strings.Join(said, "\n"))
	}
}
