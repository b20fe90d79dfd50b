package control

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/fleettest"
	"github.com/addagent/addagent/internal/chat"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
)

// serviceOf is a service of fed1 in words: "db i-1=000000 i-2=silent user" has two endpoints and a user.
func serviceOf(words string) presence.ServiceStatus {
	all := strings.Fields(words)
	s := presence.ServiceStatus{Service: all[0], Deployment: "fed1"}
	for _, w := range all[1:] {
		id, code, endpoint := strings.Cut(w, "=")
		e := presence.Endpoint{Node: id, Code: code, Deployment: "fed1"}
		if code == "silent" {
			e.Code, e.Left = "000000", true
		}
		if !endpoint {
			s.Users = append(s.Users, presence.ServiceUser{Node: w})
			continue
		}
		if s.Endpoints = append(s.Endpoints, e); e.Available() {
			s.Available++
		}
	}
	return s
}

// TestComposeServices: a room hears once of the last endpoint of a service, again each hour, and once of its end, also
// when the control node restarted meanwhile.
func TestComposeServices(t *testing.T) {
	type step struct {
		at   time.Duration
		is   string // "" = no node offers or uses it
		want string
	}
	const lost = "red! no endpoint of service fed1/db: "
	for name, steps := range map[string][]step{
		"it stops and comes back": {
			{0, "db i-1=000000 i-2=ER0003", ""},
			{time.Minute, "db i-1=ER0003 i-2=ER0003 user", lost + "i-1 ER0003, i-2 ER0003; used by 1 item"},
			{2 * time.Minute, "db i-1=ER0003 i-2=ER0003 user", ""},
			{61 * time.Minute, "db i-1=ER0003 i-2=silent user", "red! still no endpoint of service fed1/db: i-1 ER0003, i-2 silent; used by 1 item"},
			{62 * time.Minute, "db i-1=000000 i-2=000000 user", "green! service fed1/db has 2 endpoints again (had none for 1 h 1 min)"},
			{63 * time.Minute, "db i-1=000000 i-2=000000 user", ""},
		},
		"a new room hears what is wrong now":   {{0, "db i-1=ER0003 i-2=ER0021", lost + "i-1 ER0003, i-2 ER0021"}},
		"one that is being set up is not lost": {{0, "db i-1=ER0021 i-2=ER0019 user", ""}, {time.Hour, "db i-1=ER0016", ""}},
		"a machine in its place is set up":     {{0, "db i-1=000000", ""}, {time.Minute, "db i-2=ER0021", lost + "i-2 ER0021"}},
		"its node leaves": {
			{0, "db i-1=000000", ""}, {time.Minute, "", lost + "no node offers it"}, {2 * time.Minute, "", ""},
			{3 * time.Minute, "db i-1=000000", "green! service fed1/db has 1 endpoint again (had none for 2 min)"},
		},
		"its machine is terminated for good": {
			{0, "db i-1=000000", ""}, {time.Minute, "", lost + "no node offers it"},
			{62 * time.Minute, "", "green! service fed1/db is not offered any more (had none for 1 h 1 min)"}, {3 * time.Hour, "", ""},
		},
		"it is taken away, and used by none": {{0, "db i-1=000000", ""}, {time.Minute, "db i-1=ER0020", ""}, {time.Hour, "db i-1=ER0024", ""}, {2 * time.Hour, "", ""}},
		"it is taken away from its user":     {{0, "db i-1=000000 user", ""}, {time.Minute, "db i-1=ER0020 user", lost + "i-1 ER0020; used by 1 item"}},
		"it flaps within a minute": {
			{0, "db i-1=000000", ""}, {time.Minute, "db i-1=ER0023", lost + "i-1 ER0023"}, {70 * time.Second, "db i-1=000000", ""},
			{80 * time.Second, "db i-1=ER0023", ""}, {3 * time.Minute, "db i-1=000000", "green! service fed1/db has 1 endpoint again (had none for 2 min)"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, onlyCritical := range []bool{false, true} {
				var told []announced
				for i, s := range steps {
					now := fleettest.Noon().Add(s.at)
					var all []presence.ServiceStatus
					if s.is != "" {
						all = append(all, serviceOf(s.is))
					}
					after, messages := compose(told, presence.Fleet{}, all, onlyCritical, now)
					got := ""
					for _, m := range messages {
						if got += m.Colour + "! " + m.Text; !m.Critical {
							t.Errorf("step %d: not critical: %s", i, m.Text)
						}
					}
					if got != s.want {
						t.Errorf("step %d, after %s:\n got %q\nwant %q", i, s.at, got, s.want)
					}
					data, err := json.Marshal(after) // what said.json keeps
					testkit.Must(t, err)
					told = nil
					testkit.Must(t, json.Unmarshal(data, &told))
				}
			}
		})
	}
}

// TestManyServicesAtOnce: a machine with many services that dies is one message, and so is its return.
func TestManyServicesAtOnce(t *testing.T) {
	var told []announced
	for i, s := range []struct{ code, want string }{
		{"000000", ""},
		{"ER0023", "red no endpoint of 20 services of fed1: s00, s01, s02, s03, s04, s05 and 14 more"},
		{"000000", "green endpoints again for 20 services of fed1: s00, s01, s02, s03, s04, s05 and 14 more"},
	} {
		var all []presence.ServiceStatus
		for n := range 20 {
			all = append(all, serviceOf(fmt.Sprintf("s%02d i-1=%s", n, s.code)))
		}
		var messages []chat.Message
		told, messages = compose(told, presence.Fleet{}, all, true, fleettest.Noon().Add(time.Duration(i)*time.Hour/2))
		got := ""
		for _, m := range messages {
			if got += m.Colour + " " + m.Text; !m.Critical {
				t.Errorf("not critical: %s", m.Text)
			}
		}
		if got != s.want || len(told) != 20 && i == 0 {
			t.Errorf("%d: got %q, want %q", i, got, s.want)
		}
	}
}

// TestServicesMadeUp: however many services nodes make up, what rooms were told of them fits into said.json.
func TestServicesMadeUp(t *testing.T) {
	var told []announced
	for i := range 3 {
		var all []presence.ServiceStatus
		for n := range servicesMost {
			s := serviceOf(fmt.Sprintf("s%d i-1=000000", n))
			s.Deployment = strings.Repeat("x", 99) + fmt.Sprint(i)
			all = append(all, s)
		}
		told, _ = compose(told, presence.Fleet{}, all, false, fleettest.Noon().Add(time.Duration(i)*time.Minute))
	}
	data, err := said{Rooms: map[string][]announced{"room 1": told}}.encode()
	if err != nil || len(data) > 2<<20 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}
