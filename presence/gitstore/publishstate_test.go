package gitstore

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

const (
	id1 = "1111111111111111111111111111111111111111"
	id2 = "2222222222222222222222222222222222222222"
	id3 = "3333333333333333333333333333333333333333"
)

func aMemory() *publishState {
	idle, working := presence.Normalize(said(node.Idle, 0)), presence.Normalize(said(node.Working, time.Minute))
	return &publishState{Version: 1, Ref: "refs/heads/presence/n1",
		Told:    published{Tip: id1, Base: id2, Record: &idle, Next: noon.Add(10 * time.Minute)},
		Pending: &pending{published: published{Tip: id3, Base: id3, Record: &working}, From: 1, Add: []historyEntry{{id3, noon.Add(time.Minute), "n1:fed1/app1 working"}}},
		Steps:   []historyEntry{{id1, noon.Add(-time.Hour), "n1:fed1/app1 setup"}, {id2, noon, "n1:fed1/app1 idle"}},
		Append:  noon.Add(time.Hour), Fleet: 17, Counted: noon}
}

// The file is a contract with the next version of the agent.
func TestMemoryFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "presence.json")
	m := aMemory()
	if err := stateFile(path).Save(m); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/memory.json")
	if err != nil || string(got) != string(want) {
		t.Errorf("%v, it is now:\n%s", err, got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	back, err := loadState(path, m.Ref, "")
	if err != nil || !reflect.DeepEqual(back, m) {
		t.Errorf("read back %+v, %v", back, err)
	}
}

func TestLoadMemory(t *testing.T) {
	good, err := json.Marshal(aMemory())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		content string
		corrupt bool
		known   bool
	}{
		"good":              {string(good), false, true},
		"of another ref":    {strings.ReplaceAll(string(good), "presence/n1", "presence/n2"), false, false},
		"empty":             {"", true, false},
		"cut":               {string(good[:len(good)/2]), true, false},
		"zeros":             {strings.Repeat("\x00", 4096), true, false},
		"two":               {string(good) + string(good), true, false},
		"a newer version":   {strings.Replace(string(good), `"version":1`, `"version":2`, 1), true, false},
		"of another repo":   {strings.Replace(string(good), `"told":`, `"source":"https://two/r.git","told":`, 1), false, false},
		"an invalid tip":    {strings.Replace(string(good), `"tip":"1`, `"tip":"x`, 1), true, false},
		"more goes than is": {strings.Replace(string(good), `"from":1`, `"from":3`, 1), true, false},
		"a bad step":        {strings.Replace(string(good), " 1772362800 ", " noon ", 1), true, false},
	} {
		path := filepath.Join(t.TempDir(), "presence.json")
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := loadState(path, "refs/heads/presence/n1", "")
		if (err != nil) != c.corrupt || m == nil || (m.Told.Tip != "") != c.known || m.Ref != "refs/heads/presence/n1" || m.Version != 1 {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
		_, statErr := os.Stat(path + ".corrupt")
		if (statErr == nil) != c.corrupt || c.corrupt && !strings.Contains(err.Error(), path+".corrupt") {
			t.Errorf("%s: set aside: %v; said: %v", name, statErr, err)
		}
	}
	if m, err := loadState(filepath.Join(t.TempDir(), "none"), "r", ""); err != nil || m.Told.Tip != "" {
		t.Errorf("none: %+v, %v", m, err)
	}
}

func FuzzParseMemory(f *testing.F) {
	good, err := json.Marshal(aMemory())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"version":1,"ref":"r","told":{"tip":"","base":""},"steps":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseState(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		back, err := parseState(again)
		if err != nil {
			t.Fatalf("%s is not read: %v", again, err)
		}
		if twice, err := json.Marshal(back); err != nil || string(twice) != string(again) {
			t.Errorf("%s and then %s, %v", again, twice, err)
		}
		if m.Pending != nil {
			m.landed()
		}
		// Whatever it says, there is a next push.
		if _, _, err := plan(m, []queued{{record: said(node.Idle, 0), at: noon}}, pace{refresh: time.Minute, pushes: 6}); err != nil {
			t.Errorf("no plan: %v", err)
		}
	})
}

func TestLanded(t *testing.T) {
	m := aMemory()
	m.landed()
	if m.Pending != nil || m.Told.Tip != id3 || len(m.Steps) != 2 || m.Steps[0].tree != id2 || m.Steps[1].tree != id3 {
		t.Errorf("%+v", m)
	}
}

func TestSurplus(t *testing.T) {
	day := 24 * time.Hour
	steps := func(n int, oldest, newest time.Duration) []historyEntry {
		all := make([]historyEntry, n)
		for i := range all {
			all[i].at = noon.Add(-oldest + time.Duration(i)*(oldest-newest)/time.Duration(max(n-1, 1)))
		}
		return all
	}
	for name, c := range map[string]struct {
		steps []historyEntry
		more  int
		want  int
	}{
		"none":                        {nil, 1, 0},
		"not yet many":                {steps(599, day, 0), 1, 0},
		"many":                        {steps(600, day, 0), 1, 101},
		"many and a queue":            {steps(600, day, 0), 20, 120},
		"young":                       {steps(100, 98*day, 0), 1, 0},
		"the oldest is old":           {steps(101, 100*day, 0), 1, 10},
		"few":                         {steps(19, 400*day, 200*day), 1, 0},
		"all are old":                 {steps(50, 400*day, 200*day), 1, 31},
		"the clock jumped ahead":      {steps(50, 9000*day, 8999*day), 1, 31},
		"the clock jumped far back":   {steps(50, -9000*day, -9001*day), 1, 0},
		"the oldest is from a future": {append(steps(1, -day, -day), steps(30, day, 0)...), 1, 0},
	} {
		if got := surplus(c.steps, c.more, noon); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// planned makes a plan and takes it as landed.
func planned(t *testing.T, m *publishState, queue ...queued) pending {
	t.Helper()
	p, objects, err := plan(m, queue, pace{refresh: 10 * time.Minute, pushes: 6})
	if err != nil || objects == nil {
		t.Fatal(err)
	}
	m.Pending = &p
	m.landed()
	return p
}

func TestPlan(t *testing.T) {
	m := &publishState{}
	transition := func(s node.State, after time.Duration) queued {
		return queued{record: presence.Normalize(said(s, after)), at: noon.Add(after)}
	}
	refresh := func(after time.Duration) queued {
		q := transition(node.Idle, after)
		q.refresh = true
		return q
	}
	first := planned(t, m, transition(node.Setup, 0), transition(node.InitDone, time.Second), transition(node.Idle, 2*time.Second))
	if first.forced || len(m.Steps) != 3 || m.Told.Base != m.Told.Tip || m.Told.Record.State != node.Idle {
		t.Errorf("the first: %+v", m)
	}
	next := nextSlot(noon.Add(2*time.Second), 10*time.Minute, "n1")
	if !m.Told.Next.Equal(next) || !m.Told.Record.BeatNextBy.Equal(next.Add(3*time.Minute)) {
		t.Errorf("promised %s, %s", m.Told.Next, m.Told.Record.BeatNextBy)
	}
	r1 := planned(t, m, refresh(10*time.Minute))
	if r1.forced || len(m.Steps) != 3 || m.Told.Base != first.Tip || m.Told.Tip == first.Tip {
		t.Errorf("a refresh: %+v", m.Told)
	}
	r2 := planned(t, m, refresh(20*time.Minute))
	if !r2.forced || len(m.Steps) != 3 || m.Told.Base != first.Tip {
		t.Errorf("the next refresh: %+v", m.Told)
	}
	work := planned(t, m, refresh(30*time.Minute), transition(node.Working, 31*time.Minute))
	if !work.forced || len(work.Add) != 1 || len(m.Steps) != 4 || m.Told.Base != m.Told.Tip {
		t.Errorf("a transition takes the place of the refresh: %+v", m.Told)
	}
	// A server that lets a ref go forward only.
	m.Append = noon.Add(24 * time.Hour)
	a1 := planned(t, m, refresh(40*time.Minute))
	a2 := planned(t, m, refresh(50*time.Minute))
	if a1.forced || a2.forced || len(m.Steps) != 4 || m.Told.Base != work.Tip {
		t.Errorf("forward only: %+v", m.Told)
	}
	if p := planned(t, m, refresh(-100*time.Hour)); !p.forced {
		t.Error("the clock was set back, and it still goes forward only")
	}
	if p := planned(t, m, refresh(24*time.Hour)); !p.forced {
		t.Error("a day later it is not tried again")
	}
}

func TestPlanIsBoundedWhereTheServerCannotBe(t *testing.T) {
	m := &publishState{Append: noon.Add(24 * time.Hour)}
	for i := range 1100 {
		planned(t, m, queued{record: presence.Normalize(said(node.Idle, time.Duration(i)*time.Second)), at: noon.Add(time.Duration(i) * time.Second)})
	}
	if len(m.Steps) != stepsMost {
		t.Errorf("%d steps are remembered", len(m.Steps))
	}
	path := filepath.Join(t.TempDir(), "presence.json")
	if err := stateFile(path).Save(m); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > stateLimit/4 {
		t.Errorf("%v, %v", info.Size(), err)
	}
}

func TestOneLine(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"n1:fed1/app1 idle", "n1:fed1/app1 idle"}, {"a\nb\x00c\x7fd", "a b c d"}, {" x ", "x"}, {"a\xffb", "a b"},
		{strings.Repeat("€", 100), strings.Repeat("€", 66)}, {strings.Repeat("x", 199) + " y", strings.Repeat("x", 199)},
	} {
		got := oneLine(c.text)
		if got != c.want || oneLine(got) != got {
			t.Errorf("%q gave %q", c.text, got)
		}
	}
}

func TestSameHardware(t *testing.T) {
	for _, c := range []struct {
		theirs, ours string
		elsewhere    bool // another hostname
		want         bool
	}{
		{"dmi:a/b", "dmi:a/b", true, true},
		{"dmi:a/b", "dmi:a/", true, true}, // read without root
		{"dmi:a/b", "dmi:a/c", false, false},
		{"dmi:a/b", "dmi:c/b", false, false},
		{"dmi:/b", "dmi:a/", true, false}, // nothing that could differ is known of both
		{"dmi:/b", "dmi:a/", false, true},
		{"ec2:i-1", "ec2:i-1", true, true},
		{"ec2:i-1", "ec2:i-2", false, false},
		{"ec2:i-1", "dmi:a/b", true, false},
		{"ec2:i-1", "dmi:a/b", false, true},
		{"host:a", "host:a", true, true},
		{"host:a", "host:b", true, false},
		{"", "dmi:a/b", true, true}, // a record of the time before
		{"dmi:a/b", "", true, false},
		{"new:x", "dmi:a/b", true, false},
		{"new:x", "dmi:a/b", false, true},
	} {
		a, b := said(node.Idle, 0), said(node.Idle, 0)
		a.Hardware, b.Hardware = c.theirs, c.ours
		if c.elsewhere {
			a.Hostname = "other"
		}
		if got := sameHardware(a, b); got != c.want {
			t.Errorf("%q and %q, elsewhere %v: %v", c.theirs, c.ours, c.elsewhere, got)
		}
	}
	for _, h := range []node.Hardware{{EC2: "i-1"}, {Machine: "a", Product: "b"}, {Product: "b"}, {Host: "web1"}} {
		if got := parseHardware(h.String()); got != h {
			t.Errorf("%s became %+v", h, got)
		}
	}
}

func TestCloned(t *testing.T) {
	of := func(boot string, after time.Duration) presence.Record {
		r := said(node.Idle, after)
		r.BootID = boot
		return r
	}
	ours, told := of("now", time.Hour), of("now", 0)
	before := of("before", 0)
	for name, c := range map[string]struct {
		theirs    presence.Record
		ours      presence.Record
		published *presence.Record
		want      bool
	}{
		"told by another boot after ours":     {of("other", time.Minute), ours, &told, true},
		"nothing was told by this boot":       {of("other", time.Minute), ours, &before, false},
		"nothing is remembered":               {of("other", time.Minute), ours, nil, false},
		"of this boot, the memory is old":     {of("now", time.Minute), ours, &told, false},
		"earlier, from a restored repository": {of("before", -time.Minute), ours, &told, false},
		"boots are not known there":           {of("", time.Minute), ours, &told, false},
		"boots are not known here":            {of("other", time.Minute), of("", time.Hour), &told, false},
	} {
		if got := cloned(c.theirs, c.ours, c.published); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
