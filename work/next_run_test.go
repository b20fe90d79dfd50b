package work

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var rules = Rules{RetryFirst: time.Minute, RetryMax: 15 * time.Minute, WedgeAfter: 3, Node: "n1"}

// planned judges an item of one watch and plans its run, so long after the end of its last attempt.
func planned(m Memory, id string, after time.Duration) NextRun {
	at := noon
	if m.Last != nil {
		if at = m.Last.Finished; at.IsZero() {
			at = m.Last.Started
		}
	}
	return PlanRun(Judge(Item{Repo: "ops", Name: "root"}, sha2, map[string]string{".": id}, m), rules, at.Add(after))
}

func TestPlanRun(t *testing.T) {
	for _, test := range []struct {
		sequence string        // how the attempts ended
		id       string        // sha1 = the fingerprint that they had
		after    time.Duration // since the last
		want     string        // due|later|quiet, f w W = failing waiting wedged, reason
	}{
		{"", sha1, 0, "due"},
		{"ok", sha1, 0, "quiet"},
		{"ok", "new", 0, "quiet"}, // VERSION is sha2, and the own watch is no reason then
		{"exit", sha1, time.Second, "later f exit 1"},
		{"exit", sha1, 2 * time.Minute, "due f exit 1"},
		{"exit", "new", time.Second, "due"},
		{"exit,exit", sha1, 90 * time.Second, "later f exit 1 (2 failures in a row)"},
		{"exit,exit", sha1, 3 * time.Minute, "due f exit 1 (2 failures in a row)"},
		{"exit,exit,exit", sha1, 11 * time.Minute, "later W exit 1 (3 failures in a row)"},
		{"exit,exit,exit", sha1, 19 * time.Minute, "due W exit 1 (3 failures in a row)"},
		{"exit,exit,exit", "new", time.Second, "due W exit 1 (3 failures in a row)"},
		{"exit,exit,exit,new exit", "x", time.Second, "due W exit 1"},
		{"exit,exit,deadline", sha1, time.Second, "later W deadline (3 failures in a row)"},
		{"wedged", sha1, time.Second, "later W wedged"},
		{"wedged", sha1, 11 * time.Minute, "later W wedged"},
		{"signal", sha1, time.Second, "later f signal"},
		{"start", sha1, time.Second, "later f start"},
		{"interrupted", sha1, time.Second, "later f interrupted"},
		{"unfinished", sha1, time.Second, "later f interrupted"},
		{"unfinished", sha1, 2 * time.Minute, "due f interrupted"},
		{"exit,exit,unfinished", sha1, time.Second, "later W interrupted (3 failures in a row)"},
		{"shutdown", sha1, time.Second, "due"},
		{"shutdown,shutdown", sha1, time.Second, "later f shutdown"},
		{"exit,shutdown", sha1, time.Second, "later f shutdown (after a failure)"},
		{"waiting", sha1, time.Second, "due w waiting: last waiting"},
		{"waiting", "new", time.Second, "due"},
		{strings.Repeat("waiting,", 8) + "waiting", sha1, 0, "due w waiting: last waiting"},
		{strings.Repeat("waiting,", 9) + "waiting", sha1, 40 * time.Second, "later w waiting: last waiting"},
		{strings.Repeat("waiting,", 9) + "waiting", sha1, 2 * time.Minute, "due w waiting: last waiting"},
		{strings.Repeat("waiting,", 13) + "waiting", sha1, 11 * time.Minute, "later w waiting: last waiting"},
		{"waiting", sha1, 59 * time.Minute, "due w waiting: last waiting"},
		{"waiting", sha1, time.Hour, "due w waiting: last waiting"}, // what the clock says counts for nothing
		{strings.Repeat("waiting,", 59) + "waiting", sha1, 20 * time.Minute, "due w waiting: last waiting"},
		{strings.Repeat("waiting,", 60) + "waiting", sha1, 20 * time.Minute, "due fw waiting: last waiting"},
		{strings.Repeat("waiting,", 200) + "waiting", sha1, time.Second, "later fw waiting: last waiting"}, // never wedged by it
		{"exit,waiting", sha1, time.Second, "due fw waiting: last waiting (after a failure)"},
		{"exit,exit,waiting,exit", sha1, time.Second, "later W exit 1 (3 failures in a row)"},
		{"exit,exit,exit,waiting", sha1, time.Second, "due Ww waiting: last waiting (3 failures in a row)"},
	} {
		var m Memory
		if test.sequence != "" {
			m = ends(rules, strings.Split(test.sequence, ",")...)
		}
		s := planned(m, test.id, test.after)
		got := "quiet"
		switch {
		case s.Due:
			got = "due"
		case !s.At.IsZero():
			got = "later"
		}
		flags := ""
		for _, f := range []struct {
			is   bool
			name string
		}{{s.Failing, "f"}, {s.Wedged, "W"}, {s.Waiting, "w"}} {
			if f.is {
				flags += f.name
			}
		}
		got = strings.TrimSpace(strings.Join(strings.Fields(got+" "+flags+" "+s.Reason), " "))
		if got != test.want {
			t.Errorf("%s, id %.3s, after %v:\n got %s\nwant %s", test.sequence, test.id, test.after, got, test.want)
		}
		if s.Wedged == s.Since.IsZero() || s.Wedged && s.Failing {
			t.Errorf("%+v", s)
		}
	}
}

// The hour of waiting is counted by a clock that is never set: a jump of a day is no hour, and an hour is one whatever
// the clock says. A reboot stops the count and keeps what was counted.
func TestWaitingIsMeasured(t *testing.T) {
	r := Rules{RetryFirst: time.Minute, RetryMax: 15 * time.Minute, WedgeAfter: 3}
	m := Memory{}
	try := func(boot string, at time.Time, up time.Duration) (failing bool) {
		j := Judge(Item{Repo: "ops", Name: "root"}, sha2, map[string]string{".": sha1}, m)
		a := Begin(j, r, "run", boot, at, up).End(ReasonWaiting, 75, "exit 75", "", at.Add(7*time.Second))
		m.Last = &a
		return PlanRun(Judge(Item{Repo: "ops", Name: "root"}, sha2, map[string]string{".": sha1}, m), r, at.Add(7*time.Second)).Failing
	}
	for _, step := range []struct {
		boot string
		at   time.Time
		up   time.Duration
		want bool
	}{
		{"b1", noon, 10 * time.Minute, false},
		{"b1", noon.Add(24 * time.Hour), 11 * time.Minute, false}, // set forward by a day
		{"b1", noon.Add(-24 * time.Hour), 40 * time.Minute, false},
		{"b2", noon.Add(48 * time.Hour), time.Minute, false},
		{"b2", noon, 29 * time.Minute, false},
		{"b2", noon, 31 * time.Minute, true},
	} {
		if got := try(step.boot, step.at, step.up); got != step.want {
			t.Errorf("%+v: failing %v, waited %v s", step, got, m.Last.Waited)
		}
	}
}

func TestDelaysGrowAndAreJittered(t *testing.T) {
	for failures, want := range map[int]time.Duration{1: time.Minute, 2: 2 * time.Minute, 3: 4 * time.Minute, 4: 8 * time.Minute, 5: 15 * time.Minute, 6: 15 * time.Minute, 1000000: 15 * time.Minute} {
		seen := map[time.Duration]bool{}
		low, high, middle := want*8/10, want*12/10, want
		if want == 15*time.Minute { // nothing goes above retry_max
			high, middle = want, want*88/100
		}
		var sum time.Duration
		for node := range 200 {
			r := Rules{RetryFirst: time.Minute, RetryMax: 15 * time.Minute, Node: fmt.Sprint("i-", node)}
			m := Memory{Version: sha1, Last: &Attempt{Finished: noon, Reason: ReasonExit, Failures: failures, Attempt: failures, Fingerprint: Fingerprint(nil)}}
			s := PlanRun(Judge(Item{Repo: "ops", Name: "root"}, sha2, nil, m), r, noon)
			if s.Due || s.Attempt != failures+1 {
				t.Fatalf("%+v", s)
			}
			d := s.At.Sub(noon)
			if d < low || d > high {
				t.Fatalf("%d failures: %v, want %v to %v", failures, d, low, high)
			}
			if again := PlanRun(Judge(Item{Repo: "ops", Name: "root"}, sha2, nil, m), r, noon.Add(time.Second)); !again.At.Equal(s.At) {
				t.Fatalf("%v, then %v: it is not arithmetic", s.At, again.At)
			}
			seen[d], sum = true, sum+d
		}
		if mean := sum / 200; len(seen) < 190 || mean < middle*96/100 || mean > middle*108/100 {
			t.Errorf("%d failures: %d delays, mean %v", failures, len(seen), mean)
		}
	}
}

// It is due exactly from At on.
func TestDueAtItsTime(t *testing.T) {
	m := ends(rules, "exit")
	s := planned(m, sha1, 0)
	wait := s.At.Sub(m.Last.Finished)
	if before := planned(m, sha1, wait-1); before.Due {
		t.Error("too early")
	}
	if at := planned(m, sha1, wait); !at.Due || !at.At.IsZero() {
		t.Errorf("%+v", at)
	}
}

func TestAClockSetBackStopsNothing(t *testing.T) {
	for _, sequence := range []string{"exit", "exit,exit,exit", "unfinished", strings.Repeat("waiting,", 20) + "waiting"} {
		m := ends(rules, strings.Split(sequence, ",")...)
		if s := planned(m, sha1, -24*365*time.Hour); !s.Due {
			t.Errorf("%s: %+v", sequence, s)
		}
	}
	if s := planned(ends(rules, "waiting"), sha1, -time.Hour); s.Failing {
		t.Errorf("%+v", s)
	}
}

func TestRulesWithoutNumbers(t *testing.T) {
	m := ends(Rules{}, "exit", "exit", "exit", "exit")
	s := PlanRun(Judge(Item{}, sha2, map[string]string{".": sha1}, m), Rules{}, m.Last.Finished)
	if !s.Due || !s.Failing || s.Wedged {
		t.Errorf("%+v", s)
	}
}

func TestAlways(t *testing.T) {
	it := Item{Repo: "ops", Name: "root", Always: true}
	ids := map[string]string{".": sha1}
	m := ends(rules, "ok")
	s := PlanRun(Judge(it, sha2, ids, m), rules, m.Last.Finished)
	if !s.Due || s.Attempt != 1 || s.Reason != "" {
		t.Errorf("after a success: %+v", s)
	}
	m = ends(rules, "ok", "exit", "exit", "exit")
	s = PlanRun(Judge(it, sha2, ids, m), rules, m.Last.Finished.Add(time.Minute))
	if s.Due || !s.Wedged || s.Attempt != 4 {
		t.Errorf("after failures: %+v", s)
	}
}

func TestAProblemFails(t *testing.T) {
	it := Item{Problem: "f:1:1: x", Always: true}
	if s := PlanRun(Judge(it, sha2, nil, Memory{}), rules, noon); s.Due || !s.Failing || s.Reason != "f:1:1: x" || !s.At.IsZero() {
		t.Errorf("%+v", s)
	}
	m := ends(rules, "exit", "exit", "exit")
	if s := PlanRun(Judge(it, sha2, nil, m), rules, noon); s.Due || s.Failing || !s.Wedged || s.Reason != "f:1:1: x" {
		t.Errorf("wedged before: %+v", s)
	}
}

// Deleting VERSION is how a person says "again", and means now, whatever delay there was.
func TestDeletedVersionIsDueNow(t *testing.T) {
	m := ends(rules, "ok", "exit", "exit")
	if s := planned(m, sha1, time.Second); s.Due {
		t.Fatalf("%+v", s)
	}
	m.Version = ""
	s := planned(m, sha1, time.Second)
	if !s.Due || s.Attempt != 1 || s.Failing {
		t.Errorf("%+v", s)
	}
	// That run fails too: from then on it is a first run that fails, with delays like any.
	a := Begin(Judge(Item{Repo: "ops", Name: "root"}, sha2, map[string]string{".": sha1}, m), rules, "", "", noon, 0).End(ReasonExit, 1, "", "", noon)
	m.Last = &a
	if s := planned(m, sha1, time.Second); s.Due || !s.Failing {
		t.Errorf("%+v", s)
	}
}

// Whatever happens to an item, it is tried again within retry_max, unless nothing is wanted; and it never spins.
func TestNeverStuckNeverSpinning(t *testing.T) {
	all := []string{"ok", "exit", "waiting", "shutdown", "interrupted", "wedged", "new exit", "new ok"}
	var sequence []string
	var walk func(depth int)
	walk = func(depth int) {
		m := ends(rules, sequence...)
		if m.Last != nil {
			j := Judge(Item{Repo: "ops", Name: "root"}, sha3, m.Last.Ids, m)
			s := PlanRun(j, rules, m.Last.Finished)
			switch {
			case m.Last.OK():
				if s.Due || s.Failing || s.Wedged || s.Waiting || s.Reason != "" {
					t.Errorf("%v: %+v", sequence, s)
				}
			case s.Due:
				if m.Last.Failures > 0 && m.Last.Reason != ReasonWaiting && m.Last.Reason != ReasonShutdown {
					t.Errorf("%v spins: %+v", sequence, s)
				}
			case s.At.Sub(m.Last.Finished) > rules.RetryMax:
				t.Errorf("%v: not before %v", sequence, s.At.Sub(m.Last.Finished))
			}
			if later := PlanRun(j, rules, m.Last.Finished.Add(rules.RetryMax)); !m.Last.OK() && !later.Due {
				t.Errorf("%v is stuck: %+v", sequence, later)
			}
		}
		if depth == 0 {
			return
		}
		for _, end := range all {
			sequence = append(sequence, end)
			walk(depth - 1)
			sequence = sequence[:len(sequence)-1]
		}
	}
	walk(4)
}
