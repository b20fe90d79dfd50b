package daemon

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/addagent/addagent/agent"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/kill"
)

func TestWhoseNoticeCounts(t *testing.T) {
	e := &selfKill{}
	cloud, away := "", error(nil)
	ask := e.notice(func(context.Context) (string, error) {
		if away != nil {
			return "", away
		}
		return cloud, nil
	})
	hears := func(what, want string, fails bool) {
		t.Helper()
		if why, err := ask(t.Context()); why != want || (err != nil) != fails {
			t.Errorf("%s: %q, %v", what, why, err)
		}
	}
	hears("all is well", "", false)
	cloud = "spot"
	hears("the cloud takes it", "spot", false)
	e.why = "ends itself"
	hears("it ends itself, too", "ends itself", false)
	away = errors.New("away")
	hears("it ends itself, and the cloud says nothing", "ends itself", false)
	e.stay()
	hears("it stays after all: that it leaves must not stand because nobody answers", "", false)
	hears("and then the cloud is away", "", true)
	away = nil
	hears("and is back", "spot", false)
	if why, err := e.notice(nil)(t.Context()); why != "" || err != nil {
		t.Errorf("without a cloud: %q, %v", why, err)
	}
}

func TestMachineThatOutlivesItsEndStays(t *testing.T) {
	said := 0
	e := newSelfKill(&selfKill{cfg: &config.Config{}, why: "ends itself", say: func(journal.News) { said++ }}, t.TempDir())
	e.cfg.Wedged.Command = []string{"/bin/true"}
	if err := e.do(t.Context(), kill.Command); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after time.Duration
		stays bool
	}{{time.Minute, false}, {enough / 2, false}, {enough + time.Minute, true}} {
		err := e.consider(time.Now(), c.after, nil)
		if why, _ := e.attempt(); err != nil || (why == "") != c.stays {
			t.Errorf("after %s it is leaving for %q (%v)", c.after, why, err)
		}
	}
	if said != 1 {
		t.Errorf("said %d times", said)
	}
}

// TestWhoCallsItOff: a pending end is cancelled when the node is no longer wedged, and when the config no longer lets
// machines end themselves.
func TestWhoCallsItOff(t *testing.T) {
	for name, c := range map[string]struct {
		kill  string
		w     *agent.Wedge
		stays bool
	}{
		"still wedged": {"command", &agent.Wedge{Leaving: true, Reason: "ends itself"}, false},
		"well again":   {"command", nil, true},
		"kill is none": {"none", &agent.Wedge{Leaving: true, Reason: "ends itself"}, true},
	} {
		e := newSelfKill(&selfKill{why: "ends itself", told: make(chan struct{})}, t.TempDir())
		e.cfg = &config.Config{Wedged: config.Wedged{Kill: c.kill}}
		err := e.consider(time.Now(), 0, c.w)
		if why, _ := e.attempt(); err != nil || (why == "") != c.stays {
			t.Errorf("%s: leaving for %q (%v)", name, why, err)
		}
		if e.noted == c.stays {
			t.Errorf("%s: heard %v", name, e.noted)
		}
	}
}
