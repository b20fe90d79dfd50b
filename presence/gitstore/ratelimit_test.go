package gitstore

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/retry"
	"github.com/addagent/addagent/presence"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// said is a record of the node n1 at a moment after noon.
func said(s node.State, after time.Duration) presence.Record {
	return presence.Record{InstanceID: "n1", Deployment: "fed1", Nodepart: "app1", Hostname: "web1", Addresses: []string{"10.0.0.7"},
		Hardware: "dmi:aaaa/bbbb", BootID: "boot", State: s, BeatSeen: noon.Add(after), BeatNextBy: noon.Add(after + 3*time.Minute)}
}

func TestUrgent(t *testing.T) {
	// A change that is not listed here waits for a token.
	at := map[node.State]string{
		node.Presetup: "setup initdone wedged disabled leaving",
		node.Setup:    "initdone wedged disabled leaving",
		node.InitDone: "setup wedged disabled leaving",
		node.Idle:     "setup initdone wedged disabled leaving",
		node.Working:  "setup initdone wedged disabled leaving",
		node.Failing:  "presetup setup initdone idle working wedged disabled leaving",
		node.Wedged:   "presetup setup initdone idle working failing disabled leaving",
		node.Disabled: "presetup setup initdone idle working failing wedged leaving",
		node.Leaving:  "presetup setup initdone idle working failing wedged disabled",
	}
	for _, from := range node.States() {
		for _, to := range node.States() {
			want := slices.Contains(strings.Fields(at[from.State]), string(to.State))
			if got := urgent(from.State, to.State); got != want {
				t.Errorf("%s to %s: urgent %v", from.State, to.State, got)
			}
		}
	}
	if urgent("dozing", "dreaming") || !urgent("dozing", node.Wedged) {
		t.Error("states of another version")
	}
}

func TestEnqueue(t *testing.T) {
	each := pace{refresh: 10 * time.Minute, pushes: 6}
	// The offset of n1 in ten minutes is what it is; a refresh is due at the slot after the last telling.
	slot := each.next(noon, "n1").Sub(noon)
	reason := func(r presence.Record, text string) presence.Record { r.Reason = text; return r }
	idle := said(node.Idle, 0)
	idle.BeatNextBy = idle.BeatNextBy.Add(slot) // as it was pushed: with the promise
	toldIdle := published{Tip: "x", Record: &idle, Next: noon.Add(slot)}
	for name, c := range map[string]struct {
		published published
		held      int
		tell      []presence.Record
		want      string // state@seconds of the record's beat; ! urgent, ~ refresh
	}{
		"the first telling":                  {published{}, 0, []presence.Record{said(node.Idle, 0)}, "idle@0!"},
		"nothing new":                        {toldIdle, 0, []presence.Record{said(node.Idle, slot-1)}, ""},
		"a refresh":                          {toldIdle, 0, []presence.Record{said(node.Idle, slot)}, fmt.Sprintf("idle@%d~", slot/time.Second)},
		"a refresh takes the newest beat":    {toldIdle, 0, []presence.Record{said(node.Idle, slot), said(node.Idle, slot+time.Minute)}, fmt.Sprintf("idle@%d~", (slot+time.Minute)/time.Second)},
		"the clock was set back":             {toldIdle, 0, []presence.Record{said(node.Idle, -time.Hour)}, "idle@-3600~"},
		"the clock was set back by a year":   {toldIdle, 0, []presence.Record{said(node.Idle, -365*24*time.Hour)}, "idle@-31536000~"},
		"the clock is years ahead":           {toldIdle, 0, []presence.Record{said(node.Idle, 20*365*24*time.Hour)}, "idle@630720000~"},
		"work can wait":                      {toldIdle, 0, []presence.Record{said(node.Working, 60*time.Second)}, "working@60"},
		"and its end":                        {toldIdle, 0, []presence.Record{said(node.Working, 60*time.Second), said(node.Idle, 120*time.Second)}, "working@60 idle@120"},
		"quiet beats move the newest":        {toldIdle, 0, []presence.Record{said(node.Working, 60*time.Second), said(node.Working, 120*time.Second)}, "working@120"},
		"a new reason is told in its place":  {toldIdle, 0, []presence.Record{said(node.Failing, 60*time.Second), reason(said(node.Failing, 120*time.Second), "exit 2")}, "failing@120"},
		"a new reason alone":                 {toldIdle, 0, []presence.Record{reason(said(node.Idle, 60*time.Second), "waits")}, "idle@60"},
		"a transition in place of a refresh": {toldIdle, 0, []presence.Record{said(node.Idle, slot), said(node.Working, slot+time.Second)}, fmt.Sprintf("working@%d", slot/time.Second+1)},
		"wedged":                             {toldIdle, 0, []presence.Record{said(node.Working, 60*time.Second), said(node.Wedged, 120*time.Second)}, "working@60 wedged@120!"},
		"recovered before it was told":       {toldIdle, 0, []presence.Record{said(node.Failing, 60*time.Second), said(node.Idle, 120*time.Second)}, "failing@60 idle@120"},
		"wedged before failing was told":     {toldIdle, 0, []presence.Record{said(node.Failing, 60*time.Second), said(node.Wedged, 120*time.Second)}, "failing@60 wedged@120!"},
		"what is in a push stays as it is":   {toldIdle, 1, []presence.Record{said(node.Working, 60*time.Second), reason(said(node.Working, 120*time.Second), "x")}, "working@60 working@120"},
		"quiet while a push is under way":    {toldIdle, 1, []presence.Record{said(node.Working, 60*time.Second), said(node.Working, 120*time.Second)}, "working@60"},
		"recovered from what is in a push":   {toldIdle, 1, []presence.Record{said(node.Failing, 60*time.Second), said(node.Idle, 120*time.Second)}, "failing@60 idle@120!"},
		"a transition while a refresh is pushed": {toldIdle, 1, []presence.Record{said(node.Idle, slot), said(node.Working, slot+time.Second)},
			fmt.Sprintf("idle@%d~ working@%d", slot/time.Second, slot/time.Second+1)},
	} {
		var queue []queued
		for i, r := range c.tell {
			held := c.held
			if i == 0 {
				held = 0
			}
			queue = enqueue(queue, held, c.published, r, each)
		}
		if got := show(queue); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func show(queue []queued) string {
	var words []string
	for _, q := range queue {
		word := fmt.Sprintf("%s@%d", q.record.State, q.record.BeatSeen.Sub(noon)/time.Second)
		if q.urgent {
			word += "!"
		}
		if q.refresh {
			word += "~"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// The time of a transition is not that of the newest words about it.
func TestEnqueueKeepsTheTimeOfATransition(t *testing.T) {
	idle := said(node.Idle, 0)
	queue := enqueue(nil, 0, published{Tip: "x", Record: &idle}, said(node.Working, time.Minute), pace{refresh: time.Hour, pushes: 6})
	queue = enqueue(queue, 0, published{Tip: "x", Record: &idle}, said(node.Working, 5*time.Minute), pace{refresh: time.Hour, pushes: 6})
	if len(queue) != 1 || !queue[0].at.Equal(noon.Add(time.Minute)) {
		t.Errorf("%+v", queue)
	}
}

func TestEnqueueIsBounded(t *testing.T) {
	idle := said(node.Idle, 0)
	last := published{Tip: "x", Record: &idle}
	var queue []queued
	for i := range 50 {
		state := node.Working
		switch {
		case i == 3:
			state = node.Wedged
		case i%2 == 1:
			state = node.Idle
		}
		queue = enqueue(queue, min(i, 2), last, said(state, time.Duration(i)*time.Second), pace{refresh: time.Hour, pushes: 6})
	}
	if len(queue) != queueLimit+2 || queue[1].record.State != node.Idle || queue[1].record.BeatSeen != noon.Add(time.Second) {
		t.Errorf("%d: %s", len(queue), show(queue))
	}
	if newest := queue[len(queue)-1]; newest.record.BeatSeen != noon.Add(49*time.Second) {
		t.Errorf("the newest: %+v", newest)
	}
	if !queue[2].urgent || !hurried(queue[2:]) {
		t.Error("that the wedged one was urgent is lost with it")
	}
}

// Every field of a record but the times of the beat is something to tell: a field that is added must be compared as
// well.
func TestSameLastingSeesEveryField(t *testing.T) {
	full := func() presence.Record {
		r := said(node.Idle, 0)
		r.Repos = []presence.Repo{{Name: "ops", Done: map[string]string{"root": "f"}, Failed: map[string]string{"app": "1a"}, Worked: map[string]string{"root": "1a"}, Due: []string{"app"}}}
		r.Troubles = []string{"config: x"}
		r.Services = []presence.Service{{Name: "api"}}
		r.Obeys = []string{"work"}
		r.Answers = []presence.Answer{{ID: "a1"}}
		r.Uses = []presence.Use{{Service: "db"}}
		return r
	}
	if a, b := full(), full(); !presence.SameContent(a, b) {
		t.Error("the same is not the same")
	}
	var visit func(name string, r *presence.Record, v reflect.Value)
	visit = func(name string, r *presence.Record, v reflect.Value) {
		differs := name != ".BeatSeen" && name != ".BeatNextBy"
		switch v.Kind() {
		case reflect.String:
			v.SetString(v.String() + "x")
		case reflect.Int:
			v.SetInt(v.Int() + 1)
		case reflect.Map:
			v.SetMapIndex(reflect.ValueOf("more"), reflect.ValueOf("x"))
		case reflect.Slice:
			if v.Index(0).Kind() == reflect.Struct {
				for i := range v.Index(0).NumField() {
					again := full()
					visit(name+"."+v.Index(0).Type().Field(i).Name, &again, reflect.ValueOf(&again).Elem().FieldByName(strings.TrimPrefix(name, ".")).Index(0).Field(i))
				}
			}
			v.SetLen(0)
		case reflect.Struct:
			v.Set(reflect.ValueOf(v.Interface().(time.Time).Add(time.Hour)))
		default:
			t.Fatalf("%s: a %s: teach this test and sameLasting about it", name, v.Kind())
		}
		if got := !presence.SameContent(full(), *r); got != differs {
			t.Errorf("%s: differs %v", name, got)
		}
	}
	for i := range reflect.TypeFor[presence.Record]().NumField() {
		if reflect.TypeFor[presence.Record]().Field(i).Tag.Get("json") == "-" {
			continue // it is not told
		}
		r := full()
		visit("."+reflect.TypeFor[presence.Record]().Field(i).Name, &r, reflect.ValueOf(&r).Elem().Field(i))
	}
}

func TestSlots(t *testing.T) {
	for _, each := range []time.Duration{0, time.Second, 10 * time.Minute, 10_000 * time.Second} {
		for _, at := range []time.Time{noon, {}, time.Unix(0, 0), noon.Add(-100 * 365 * 24 * time.Hour), noon.Add(123456789 * time.Millisecond)} {
			next := nextSlot(at, each, "n1")
			if wait := next.Sub(at); wait <= 0 || wait > max(each, time.Second) {
				t.Errorf("each %s, after %s: %s", each, at, next)
			}
			if again := nextSlot(next, each, "n1"); again.Sub(next) != max(each, time.Second) {
				t.Errorf("each %s: %s and then %s", each, next, again)
			}
		}
	}
}

// The refreshes of a fleet that was started at once are spread over the whole interval.
func TestSlotsSpreadAFleet(t *testing.T) {
	const fleet = 1000
	each := pace{10 * time.Minute, fleet, 6}.each()
	if each != 10_000*time.Second {
		t.Fatalf("each %s", each)
	}
	tenths := make([]int, 10)
	for i := range fleet {
		tenths[10*int64(nextSlot(noon, each, fmt.Sprintf("i-%04d", i)).Sub(noon)-1)/int64(each)]++
	}
	for i, n := range tenths {
		if n < 60 || n > 140 {
			t.Errorf("tenth %d: %d of %d", i, n, fleet)
		}
	}
}

func TestRefreshDue(t *testing.T) {
	r := said(node.Idle, 0)
	slot := nextSlot(noon, 10*time.Minute, "n1")
	small := published{Tip: "x", Record: &r, Next: slot}
	for name, c := range map[string]struct {
		published published
		after     time.Duration
		fleet     int
		want      bool
		later     time.Duration // the next beat is so much later than what was promised
	}{
		"not yet":                          {small, slot.Sub(noon) - time.Second, 1, false, 0},
		"now":                              {small, slot.Sub(noon), 1, true, 0},
		"promised before the fleet grew":   {small, slot.Sub(noon), 1000, true, 0},
		"promised before the fleet shrank": {published{Tip: "x", Record: &r, Next: noon.Add(9999 * time.Second)}, 10 * time.Minute, 1, true, 0},
		"nothing was promised":             {published{Tip: "x", Record: &r}, time.Second, 1000, false, 0},
		"a second back":                    {small, -time.Second, 1, true, 0},
		"no beat before tomorrow":          {small, time.Minute, 1, true, 13 * time.Hour},
	} {
		if got := (pace{10 * time.Minute, c.fleet, 6}).due(c.published, presence.Record{BeatSeen: noon.Add(c.after), BeatNextBy: r.BeatNextBy.Add(c.later)}, "n1"); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// In a large fleet no two refreshes come close to each other; in a small one none comes later than configured. What is
// large depends on what the repository takes.
func TestPaceNext(t *testing.T) {
	for _, pushes := range []int{1, 6, 300, 6000} {
		for _, fleet := range []int{0, 1, 60, 61, 1000, 3001, 20_000} {
			p := pace{10 * time.Minute, fleet, pushes}
			for i := range 1000 {
				seen := noon.Add(time.Duration(i) * 37 * time.Second)
				wait := p.next(seen, "n1").Sub(seen)
				least, most := time.Duration(1), p.each()
				if fleet > 10*pushes {
					least, most = p.each()/2, p.each()*3/2
				}
				if wait < least || wait > most || wait > 45*time.Hour {
					t.Errorf("fleet of %d at %d a minute, seen at %s: next after %s", fleet, pushes, seen, wait)
				}
			}
		}
	}
}

// TestPaceEach: how often a quiet node says that it lives.
func TestPaceEach(t *testing.T) {
	for _, c := range []struct {
		refresh       time.Duration
		fleet, pushes int
		want          time.Duration
	}{
		{10 * time.Minute, 0, 6, 10 * time.Minute}, {10 * time.Minute, 60, 6, 10 * time.Minute}, {10 * time.Minute, 1000, 6, 10_000 * time.Second},
		{10 * time.Minute, 1000, 300, 10 * time.Minute}, {10 * time.Minute, 10_000, 300, 2000 * time.Second}, {10 * time.Minute, 10_000, 6000, 10 * time.Minute},
		{5 * time.Second, 1000, 6000, 10 * time.Second}, {5 * time.Second, 1, 1, time.Minute}, {10 * time.Minute, 100, 1, 100 * time.Minute},
		// readers do not believe a longer promise
		{10 * time.Minute, 10_000, 6, 100_000 * time.Second}, {10 * time.Minute, 20_000, 6, mostEach}, {10 * time.Minute, 20_000, 1, mostEach}, {40 * time.Hour, 10, 6, 40 * time.Hour},
	} {
		if got := (pace{c.refresh, c.fleet, c.pushes}).each(); got != c.want {
			t.Errorf("%d nodes, %d pushes a minute, refresh %s: each %s, not %s", c.fleet, c.pushes, c.refresh, got, c.want)
		}
	}
}

func TestCountDue(t *testing.T) {
	next := nextSlot(noon, countEach, "n1")
	for name, c := range map[string]struct {
		counted, now time.Time
		want         bool
	}{
		"never":                  {time.Time{}, noon, true},
		"just now":               {noon, noon, false},
		"before the slot":        {noon, next.Add(-time.Second), false},
		"at the slot":            {noon, next, true},
		"the clock was set back": {noon, noon.Add(-time.Second), true},
	} {
		if got := countDue(c.counted, c.now, "n1"); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestBackoff(t *testing.T) {
	for _, c := range []struct {
		tries int
		asked time.Duration
		most  time.Duration
	}{{1, 0, time.Second}, {2, 0, 2 * time.Second}, {5, 0, 16 * time.Second}, {9, 0, 256 * time.Second}, {10, 0, 5 * time.Minute},
		{1000, 0, 5 * time.Minute}, {1, time.Minute, 61 * time.Second}} {
		seen := map[time.Duration]bool{}
		for range 200 {
			d := backoff(c.tries, c.asked)
			if d < c.asked || d >= c.most {
				t.Errorf("%d tries, asked for %s: %s", c.tries, c.asked, d)
			}
			seen[d] = true
		}
		if len(seen) < 100 {
			t.Errorf("%d tries: only %d different waits", c.tries, len(seen))
		}
	}
}

func TestBucket(t *testing.T) {
	for _, c := range []struct{ fleet, pushes, burst, inAnHour int }{
		{0, 6, 4, 360}, {1, 6, 4, 360}, {3, 6, 4, 120}, {4, 6, 3, 90}, {6, 6, 2, 60}, {12, 6, 1, 30}, {360, 6, 1, 1}, {1000, 6, 1, 0},
		{1, 1, 2, 60}, {60, 1, 1, 1}, {60, 60, 2, 60}, {150, 300, 4, 120}, {1000, 300, 1, 18}, {1000, 6000, 4, 360}, {10_000, 6000, 1, 36},
	} {
		p := pace{fleet: c.fleet, pushes: c.pushes}
		var b retry.Bucket
		now := noon
		n := 0
		for b.Wait(now, p.burst(), p.share()) == 0 {
			b.Spend(now, p.burst(), p.share())
			n++
		}
		if n != c.burst {
			t.Errorf("fleet of %d at %d a minute: %d at once", c.fleet, c.pushes, n)
		}
		for n = 0; ; n++ {
			wait := b.Wait(now, p.burst(), p.share())
			if now = now.Add(wait); now.Sub(noon) > time.Hour+time.Second {
				break
			}
			b.Spend(now, p.burst(), p.share())
		}
		if math.Abs(float64(n-c.inAnHour)) > 1 {
			t.Errorf("fleet of %d at %d a minute: %d in an hour", c.fleet, c.pushes, n)
		}
	}
	// What goes at once makes no debt, and a clock that goes back neither fills nor blocks.
	b, p := retry.Bucket{}, pace{fleet: 1, pushes: 6}
	for range 100 {
		b.Spend(noon, p.burst(), p.share())
	}
	if wait := b.Wait(noon, p.burst(), p.share()); wait > 11*time.Second {
		t.Errorf("debt: %s", wait)
	}
	if wait := b.Wait(noon.Add(-time.Hour), p.burst(), p.share()); wait > 11*time.Second || wait == 0 {
		t.Errorf("after the clock went back: %s", wait)
	}
}

func TestCutReason(t *testing.T) {
	for _, c := range []struct {
		text string
		size int
	}{{"", 0}, {strings.Repeat("x", 500), 500}, {strings.Repeat("x", 501), 500}, {strings.Repeat("ö", 251), 499}, {strings.Repeat("€", 400), 498}} {
		got := cutReason(c.text)
		if len(got) != c.size || !utf8.ValidString(got) || !strings.HasPrefix(c.text, strings.TrimSuffix(got, "…")) {
			t.Errorf("of %d bytes %d: %q", len(c.text), len(got), got)
		}
	}
}
