package fold

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// TestAgesOfAFold: how old what a reader has is, against when it was folded. The node spoke at noon and promised to
// speak again within 12 minutes, so it is late at 12:14:01 and missing at 12:26:01.
func TestAgesOfAFold(t *testing.T) {
	const never = -1
	for _, c := range []struct {
		what   string
		folded time.Duration // after noon; never = read from the ref
		every  time.Duration
		at     time.Duration // of the reader, after noon
		want   presence.Age
		stands bool
	}{
		{"from its ref", never, 0, 15 * time.Minute, presence.Late, true},
		{"just folded", 5 * time.Minute, 10 * time.Minute, 5 * time.Minute, presence.Present, true},
		{"at the end of the interval", 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, presence.Present, true},
		{"not folded since, and the node would be late", 5 * time.Minute, 10 * time.Minute, 24*time.Minute + time.Second, presence.Late, false},
		{"not folded since, and nothing is different", 5 * time.Minute, 10 * time.Minute, 24 * time.Minute, presence.Present, true},
		{"late when it was folded", 15 * time.Minute, 10 * time.Minute, 20 * time.Minute, presence.Late, true},
		{"late when it was folded, missing by now", 15 * time.Minute, 10 * time.Minute, 34 * time.Minute, presence.Late, true},
		{"missing by now, and not reported", 15 * time.Minute, 10 * time.Minute, 37 * time.Minute, presence.Missing, false},
		{"missing for long", time.Hour, 10 * time.Minute, 100 * time.Hour, presence.Missing, true},
		{"a short interval hides little", 14 * time.Minute, time.Minute, 15 * time.Minute, presence.Present, true},
		{"a second past a short interval", 14 * time.Minute, time.Minute, 15*time.Minute + time.Second, presence.Late, false},
		{"one of a second may take ten to be pushed", 14 * time.Minute, time.Second, 14*time.Minute + 10*time.Second, presence.Present, true},
		{"and no longer", 14 * time.Minute, time.Second, 14*time.Minute + 11*time.Second, presence.Late, false},
		{"a fold that names no interval hides nothing", 14 * time.Minute, 0, 14*time.Minute + time.Second, presence.Late, false},
		{"a reader whose clock is behind", 15 * time.Minute, 10 * time.Minute, 13 * time.Minute, presence.Late, true},
		{"and one at which the node is of the future", 5 * time.Minute, 10 * time.Minute, -10 * time.Minute, presence.Present, true},
	} {
		r := record("a", node.Idle, noon())
		n := presence.Node{Record: r, Told: noon()}
		f := fold{nodes: map[string]statement{"a": {record: r, at: noon()}}, refStates: map[string]refState{}}
		if c.folded != never {
			f.info = foldInfo{Folded: noon().Add(c.folded), Every: int64(c.every / time.Second), NextBy: noon().Add(c.folded + 24*time.Hour)}
			n = f.fleet().Nodes[0]
		}
		if got := n.Age(noon().Add(c.at)); got != c.want {
			t.Errorf("%s: %s, not %s", c.what, got, c.want)
		}
		if got := f.stands(noon().Add(c.at)); c.folded != never && got != c.stands {
			t.Errorf("%s: stands is %v", c.what, got)
		}
	}
}

// The interval of a fold comes from a branch that people can push to.
func TestIntervalOfAFold(t *testing.T) {
	for _, c := range []struct {
		every  int64
		nextBy time.Duration
		want   time.Duration
	}{
		{60, 5 * time.Minute, time.Minute}, {1, 2 * time.Minute, 10 * time.Second}, {1, 3 * time.Second, 3 * time.Second}, {0, 5 * time.Minute, 0}, {-60, 5 * time.Minute, 0},
		{3600, 5 * time.Minute, 5 * time.Minute}, {1 << 62, 1000 * time.Hour, mostPromise}, {60, -time.Hour, 0},
	} {
		n := foldInfo{Every: c.every, Folded: noon(), NextBy: noon().Add(c.nextBy)}
		if got := n.every(); got != c.want {
			t.Errorf("every %d, good for %s: %s, not %s", c.every, c.nextBy, got, c.want)
		}
	}
}

// TestSlowFold folds each ten minutes nodes that promise twelve and speak each ten. Between two folds none of them is
// late to a reader of the fold; one that dies is known to be within an interval of when its own ref says so; and when
// no control node folds any more, the refs tell.
func TestSlowFold(t *testing.T) {
	const every = 10 * time.Minute
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	url := server.URL + "/r.git"
	g := newGrid(t, repo)
	f, folds := folderWith(t, url, AggregatorOptions{Every: every}), reader(t, url)
	refs := readerWith(t, Options{Source: remote.Source{URL: url}, Refs: true})
	const dies, ends = 33, 75 // minutes: of node b, and of who folds
	var lateByRef, lateByFold time.Time
	for minute := range 110 {
		now := noon().Add(time.Duration(minute)*time.Minute + 300*time.Millisecond)
		for i, id := range []string{"a", "b", "c", "d"} {
			if minute%10 == i*3 && (id != "b" || minute < dies) {
				g.say(record(id, node.Idle, now), now)
			}
		}
		g.push()
		if minute%10 == 5 && minute < ends {
			once(t, f, now)
		}
		got, own := read(t, folds, now), read(t, refs, now)
		for _, n := range got.Nodes {
			age := n.Age(now)
			if n.InstanceID != "b" && age != presence.Present {
				t.Errorf("minute %d: %s is %s, read from the %s", minute, n.InstanceID, age, got.From)
			}
			if n.InstanceID == "b" && age == presence.Late && lateByFold.IsZero() {
				lateByFold = now
			}
		}
		if b, ok := own.Node("b"); ok && b.Age(now) == presence.Late && lateByRef.IsZero() {
			lateByRef = now
		}
		switch {
		case minute > 5 && minute <= ends && got.From != presence.FromFold:
			t.Errorf("minute %d: read from the %s of a fold that is kept up", minute, got.From)
		case minute > ends+20 && got.From != presence.FromRefs:
			t.Errorf("minute %d: read from the %s though nothing folds", minute, got.From)
		}
	}
	if lateByRef.IsZero() || lateByFold.Sub(lateByRef) > every {
		t.Errorf("late by its ref at %s, by the fold at %s", lateByRef, lateByFold)
	}
	if got := g.Git("show", "main:"+infoFile); !strings.Contains(got, fmt.Sprintf("\"every\": %d,", every/time.Second)) {
		t.Errorf("%s: %s", infoFile, got)
	}
}

// TestFoldByCron: a fold that comes more seldom than it says, as when cron runs it, makes no node late either: the
// refs are asked when it would, and who reads nodes.json or watches the set sees no difference.
func TestFoldByCron(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	f, r := folder(t, server.URL+"/r.git"), reader(t, server.URL+"/r.git") // it says that it comes each minute
	from := map[string]int{}
	set := ""
	for minute := range 40 {
		now := noon().Add(time.Duration(minute) * time.Minute)
		for i, id := range []string{"a", "b"} {
			if minute%10 == i*5 {
				g.tell(id, node.Idle, now)
			}
		}
		if minute%10 == 6 {
			once(t, f, now)
		}
		got := read(t, r, now)
		from[got.From]++
		if minute < 6 {
			continue
		}
		if s := say(got, now); s != "a idle present, b idle present" {
			t.Errorf("minute %d, from the %s: %s", minute, got.From, s)
		}
		list, err := presence.EncodeNodes(got, now)
		if err != nil || strings.Count(string(list), `"age": "present"`) != 2 {
			t.Errorf("minute %d: %v, %s", minute, err, list)
		}
		if now := presence.Set(got, map[string]string{"part": "app1"}, got.At); set == "" {
			set = now
		} else if now != set {
			t.Errorf("minute %d: another set", minute)
		}
	}
	if from[presence.FromFold] == 0 || from[presence.FromRefs] == 0 {
		t.Errorf("read %v", from)
	}
}

// A reading that fails leaves what was read before, which grows old by the reader's clock.
func TestLastOfAFoldGrowsOld(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	f, r := folderWith(t, server.URL+"/r.git", AggregatorOptions{Every: 10 * time.Minute}), reader(t, server.URL+"/r.git")
	g.say(record("a", node.Idle, noon()), noon())
	old := presence.Record{InstanceID: "old", State: "done"} // of the first presence files: its commit tells
	g.say(old, noon())
	g.push()
	once(t, f, noon())
	read(t, r, noon())
	server.HTTP.Close()
	if _, err := r.Read(t.Context(), noon().Add(time.Hour)); err == nil {
		t.Error("read from a server that is not there any more")
	}
	for after, want := range map[time.Duration]string{24 * time.Minute: "a idle present, old done present",
		25 * time.Minute: "a idle late, old done present", 28 * time.Minute: "a idle late, old done missing", 37 * time.Minute: "a idle missing, old done missing"} {
		if got := say(r.Last(), noon().Add(after)); got != want {
			t.Errorf("after %s: %s, not %s", after, got, want)
		}
	}
}
