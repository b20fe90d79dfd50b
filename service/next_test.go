package service

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func database() Description {
	return Description{Name: "db", Port: 3306, Mode: "mariadb", Role: "na", Check: Check{Kind: TCP, Target: "127.0.0.1:3306"}, Rise: 1, Fall: 2, Drain: 5 * time.Minute}
}

// every calls back with all facts that a beat can meet.
func every(visit func(Facts)) {
	no := []bool{false, true}
	for _, wish := range []Wish{Unknown, Wanted, Unwanted} {
		for _, outcome := range []Outcome{Unasked, Pass, Fail, Warming} {
			for _, begun := range no {
				for _, setUp := range no {
					for _, missing := range no {
						for _, drained := range no {
							for _, published := range no {
								for _, undone := range no {
									visit(Facts{Wish: wish, Begun: begun || setUp, SetUp: setUp, Missing: missing, Drained: drained, Published: published, Undone: undone,
										Check: Result{Outcome: outcome}, MinDrain: 2 * time.Minute})
								}
							}
						}
					}
				}
			}
		}
	}
}

// TestNext holds the promises for all facts, from all that can be remembered.
func TestNext(t *testing.T) {
	count := 0
	for _, leaving := range []Leaving{Stays, Announced, Undoing, Gone} {
		for _, told := range []time.Time{{}, noon.Add(-time.Minute), noon.Add(-time.Hour)} {
			for _, code := range []Code{"", Running, Draining, Uninstalled, databaseStopped} {
				for _, up := range []bool{false, true} {
					every(func(f Facts) {
						count++
						before := Known{Leaving: leaving, Told: told, Code: code, Since: noon.Add(-time.Hour), Role: "na", Health: Health{Up: up, UpAt: noon.Add(-time.Hour)}}
						k, step := Next(database(), before, f, noon)
						say := func(why string) { t.Errorf("%s: %+v, %+v: %+v, step %d", why, before, f, k, step) }
						switch {
						case k.Code.Available() && (!f.SetUp || f.Drained || !k.Health.Up || k.Leaving != Stays):
							say("an endpoint is available that is not ready")
						case k.Leaving != leaving && f.Wish == Unknown && (leaving == Stays || leaving == Announced):
							say("what cannot be read has moved a removal")
						case leaving != Undoing && k.Leaving == Undoing && (leaving != Announced || told.IsZero() || noon.Sub(told) < 5*time.Minute):
							say("it goes before its users were told and had their time")
						case step == Delete && k.Leaving != Undoing:
							say("delete.sh runs while it is not being removed")
						case k.Leaving == Gone && leaving == Undoing && (!f.Undone || f.Check.Outcome != Fail):
							say("it is called uninstalled while it may answer")
						case step == Forget && leaving != Gone && (f.Begun || f.Wish != Unwanted):
							say("it is forgotten before it is gone")
						case step == Forget && leaving == Gone && (told.IsZero() && !f.Published || code != Uninstalled):
							say("it is forgotten before that is known")
						case leaving == Announced && f.Wish == Wanted && k.Leaving != Stays:
							say("a new wish does not take the removal back")
						case step != Forget && (k.Code != code || k.Role != before.Role) != k.Since.Equal(noon):
							say("since when is wrong")
						case step != Forget && k.Code == "":
							say("it has no code")
						}
					})
				}
			}
		}
	}
	if count < 10_000 {
		t.Errorf("only %d cases", count)
	}
}

// TestCode is what a service is called, from its first beat on.
func TestCode(t *testing.T) {
	pass, fail := Result{Outcome: Pass}, Result{Outcome: Fail}
	up := Known{Health: Health{Up: true, UpAt: noon.Add(-time.Hour)}}
	for name, c := range map[string]struct {
		d    Description
		k    Known
		f    Facts
		want Code
	}{
		"new":                          {database(), Known{}, Facts{Wish: Wanted}, Installing},
		"what it requires is missing":  {database(), Known{}, Facts{Wish: Wanted, Missing: true}, Waiting},
		"that is no matter once it is": {database(), up, Facts{Wish: Wanted, SetUp: true, Missing: true, Check: pass}, Running},
		"set up, not checked yet":      {database(), Known{}, Facts{Wish: Wanted, SetUp: true}, Starting},
		"set up, its check fails":      {database(), Known{}, Facts{Wish: Wanted, SetUp: true, Check: fail}, Starting},
		"set up, its check passes":     {database(), Known{}, Facts{Wish: Wanted, SetUp: true, Check: pass}, Running},
		"one failure of two":           {database(), up, Facts{Wish: Wanted, SetUp: true, Check: fail}, Running},
		"drained":                      {database(), up, Facts{Wish: Wanted, SetUp: true, Drained: true, Check: pass}, Draining},
		"a database that was up": {database(), Known{Health: Health{Up: true, Fails: 1, UpAt: noon.Add(-time.Hour)}},
			Facts{Wish: Wanted, SetUp: true, Check: fail}, databaseStopped},
		"a script has the word": {database(), Known{Health: Health{Up: true, Fails: 1, UpAt: noon.Add(-time.Hour)}},
			Facts{Wish: Wanted, SetUp: true, Check: Result{Outcome: Fail, Code: "ER0001"}}, "ER0001"},
		"starting again": {database(), Known{Health: Health{UpAt: noon.Add(-time.Hour)}},
			Facts{Wish: Wanted, SetUp: true, Check: Result{Outcome: Warming}}, Starting},
		"a list that cannot be read": {database(), up, Facts{Wish: Unknown, SetUp: true, Check: pass}, Running},
		"no longer wanted":           {database(), up, Facts{Wish: Unwanted, Begun: true, SetUp: true, Check: pass}, Draining},
	} {
		if k, _ := Next(c.d, c.k, c.f, noon); k.Code != c.want {
			t.Errorf("%s: %s (%s), want %s", name, k.Code, k.Code.State(), c.want)
		}
	}
}

// TestRemoval is the whole way of a service that is no longer wanted, with what is remembered read anew at each beat.
func TestRemoval(t *testing.T) {
	d := database()
	k := Known{Code: Running, Role: "na", Since: noon.Add(-time.Hour), Health: Health{Up: true, UpAt: noon.Add(-time.Hour)}}
	f := Facts{Wish: Unwanted, Begun: true, SetUp: true, Published: true, MinDrain: 2 * time.Minute, Check: Result{Outcome: Pass}}
	now := noon
	said := ""
	for range 12 {
		var step Step
		k, step = Next(d, k, f, now)
		f.Published = now != noon.Add(time.Minute) // once the repository does not answer for a beat
		if step == Delete && now == noon.Add(9*time.Minute) {
			f.Undone, f.Check = true, Result{Outcome: Fail}
		}
		if step == Forget {
			said += "forgotten"
			break
		}
		said += fmt.Sprintf("%d:%s:%d ", now.Sub(noon)/time.Minute, k.Code.State(), step)
		now = now.Add(time.Minute)
	}
	const want = "0:draining:0 1:draining:0 2:draining:0 3:draining:0 4:draining:0 5:draining:0 6:removing:1 7:removing:1 8:removing:1 9:removing:1 10:uninstalled:0 forgotten"
	if said != want {
		t.Errorf("got  %s\nwant %s", said, want)
	}
}

// TestHealth: a service that comes and goes has to stay longer and longer.
func TestHealth(t *testing.T) {
	d, h, at := database(), Health{}, noon
	run := func(outcomes string) (ups string) {
		for _, o := range outcomes {
			h = h.Next(d, Result{Outcome: map[rune]Outcome{'p': Pass, 'f': Fail, 'w': Warming, '-': Unasked}[o]}, at)
			at = at.Add(time.Minute)
			ups += map[bool]string{true: "u", false: "d"}[h.Up]
		}
		return ups
	}
	for n, c := range []struct{ outcomes, want string }{
		{"-fp", "ddu"},
		{"f-pff", "uuuud"},             // one failure is none; what is not asked counts for neither
		{"ppff", "duud"},               // it was up for a moment: it needs two passes, then four
		{"pppfpppp", "dddddddu"},       //
		{"ppppppppppp", "uuuuuuuuuuu"}, // stable again
		{"ffp", "udu"},
	} {
		if got := run(c.outcomes); got != c.want {
			t.Errorf("%d: %s: %s, want %s", n, c.outcomes, got, c.want)
		}
	}
	for range 20 {
		for !h.Up {
			run("p")
		}
		run("ff")
	}
	if h.Needs != mostRise {
		t.Errorf("it needs %d passes", h.Needs)
	}
}

// TestClockIsSet: what is remembered moves along, so the users of a service that goes have their time.
func TestClockIsSet(t *testing.T) {
	for range 1000 {
		by := time.Duration(rand.Int64N(int64(100*24*time.Hour))) - 50*24*time.Hour
		k := Known{Leaving: Announced, Told: noon.Add(-time.Minute), Since: noon.Add(-time.Minute), Code: Draining, Role: "na", Health: Health{UpAt: noon}}
		f := Facts{Wish: Unwanted, Begun: true, SetUp: true, Published: true, MinDrain: 2 * time.Minute}
		if k, _ := Next(database(), k.Moved(by), f, noon.Add(by)); k.Leaving != Announced {
			t.Errorf("the clock set by %v ends the wait", by)
		}
		if k, _ := Next(database(), k.Moved(by), f, noon.Add(by+5*time.Minute)); k.Leaving != Undoing {
			t.Errorf("the clock set by %v makes the wait longer", by)
		}
	}
}
