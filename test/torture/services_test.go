//go:build linux

package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/schedule"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
	"github.com/addagent/addagent/presence/gitstore"
)

// offering is three nodes: two that offer db, and one that works with its endpoints.
type offering struct {
	t        *testing.T
	p        *places
	offers   []*grid
	user     *grid
	killed   int // times that the user was
	folding  sync.Mutex
	stopFold func()
}

// setOf is what a run got of a service.
type setOf struct {
	ID        string              `json:"id"`
	Endpoints []presence.Endpoint `json:"endpoints"`
}

func (s setOf) nodes() string {
	var all []string
	for _, e := range s.Endpoints {
		all = append(all, e.Node)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// named gives a node an id whose first beat comes at once, another one for each number.
func (g *grid) named(number int) {
	for n := 0; ; n++ {
		id := "i-" + strconv.Itoa(n)
		if schedule.Offset(id, 2*time.Second, 2*time.Second) >= 20*time.Millisecond {
			continue
		}
		if number--; number < 0 {
			write(g.t, g.in("nodeinfo", "instance-id.txt"), id+"\n")
			return
		}
	}
}

func newOffering(t *testing.T) *offering {
	o := &offering{t: t, p: newPlaces(t, filepath.Join(t.TempDir(), "store"))}
	// The repository may be away just then: its disk has it under another name.
	record := func(id string) string {
		one := " cat-file blob " + gitstore.RefPrefix + id + ":" + gitstore.PathOf(id)
		return "(git -C " + o.p.store.Dir + one + " || git -C " + filepath.Join(o.p.dir, "moved.git") + one + ")"
	}
	for n := range 3 {
		g := newGrid(t, plan{beat: ", look_timeout: 10s, fetch_stall: 10s, fetch_timeout: 20s"})
		g.named(n)
		g.configure(o.p.presence(g, ", read: 1s"))
		if n == 2 {
			o.user = g
			g.push("ops", script("nodework/work.sh", `t=$(mktemp -u $T_DIR/used.XXXXXX); cp "$ADD_SERVICES_FILE" $t && mv $t $T_DIR/used.$(date +%s%N)`+"\n"),
				gittest.File("nodework/work.yaml", "watch: [ { service: db } ]\n"))
			continue
		}
		o.offers = append(o.offers, g)
		id := g.id()
		g.push("ops", script("nodework/work.sh", "true\n"), gittest.File("nodework/services.yaml", "[ db ]\n"),
			gittest.File("nodeservice/db/service.yaml", fmt.Sprintf("port: %d\ncheck: { exec: check.sh }\ndrain: 1s\nfall: 1\n", 3306+n)),
			script("nodeservice/db/check.sh", fmt.Sprintf("test -e %[1]s/db.set && test ! -e %[1]s/db.down\n", filepath.Join(g.dir, "t"))),
			script("nodeservice/db/work.sh", "touch $T_DIR/db.set\necho setup $(date +%s%N) >>$T_DIR/journal\n"),
			script("nodeservice/db/delete.sh", "rm -f $T_DIR/db.set\nif "+record(id)+" | grep -q ER002[02]; then echo deleted $(date +%s%N); else echo unannounced; fi >>$T_DIR/journal\n"))
	}
	return o
}

// fold writes the fold and the index each second, until the test ends or it is stopped.
func (o *offering) fold() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	a, err := fold.NewAggregator(fold.AggregatorOptions{Options: fold.Options{Source: remote.Source{URL: o.p.store.Dir}, CacheDir: filepath.Join(o.t.TempDir(), "fold")}, Every: time.Second})
	if err != nil {
		o.t.Fatal(err)
	}
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			o.folding.Lock()
			_, _ = a.Once(ctx, time.Now()) // the repository is away at times
			o.folding.Unlock()
			pause(time.Second)
		}
	}()
	o.stopFold = func() {
		cancel()
		<-ended
		_ = a.Close()
	}
	o.t.Cleanup(o.stopFold)
}

// used are the sets that the user's runs got, in order.
func (o *offering) used() (all []setOf) {
	names, err := filepath.Glob(o.user.note("used.1*"))
	if err != nil {
		o.t.Fatal(err)
	}
	slices.Sort(names)
	for _, name := range names {
		var sets []setOf
		if err := json.Unmarshal([]byte(read(name)), &sets); err != nil || len(sets) != 1 {
			o.t.Fatalf("a run got %q (%v)", read(name), err)
		}
		all = append(all, sets[0])
	}
	return all
}

// offered are the sets that the index had, one for each commit, oldest first.
func (o *offering) offered() (all []string) {
	commits, err := gittest.TryGit(o.p.store.Dir, nil, "rev-list", "--reverse", gitstore.ServicesRef)
	if err != nil {
		return nil
	}
	for _, c := range strings.Fields(commits) {
		text, err := gittest.TryGit(o.p.store.Dir, nil, "show", c+":service/db.json")
		if err != nil {
			all = append(all, "")
			continue
		}
		var ends struct {
			Value []presence.Endpoint `json:"value"`
		}
		if err := json.Unmarshal([]byte(text), &ends); err != nil {
			o.t.Fatalf("%s: %v", text, err)
		}
		var s setOf
		for _, e := range ends.Value {
			if e.Available() {
				s.Endpoints = append(s.Endpoints, e)
			}
		}
		all = append(all, s.nodes())
	}
	return all
}

// everyEndpoint fails the test for each record that offers db before its set-up succeeded, or after it was undone.
func (o *offering) everyEndpoint(g *grid) {
	history := o.p.store.Git("log", "--reverse", "--format=%H %ct", gitstore.RefPrefix+g.id())
	for line := range strings.Lines(history) {
		var commit string
		var told int64
		if _, err := fmt.Sscan(line, &commit, &told); err != nil {
			o.t.Fatal(err)
		}
		if !strings.Contains(o.p.store.Git("show", commit+":"+gitstore.PathOf(g.id())), `"code": "000000"`) {
			continue
		}
		last, at := "", int64(0)
		for _, l := range g.journal() {
			if len(l) != 2 {
				continue
			}
			if when, _ := strconv.ParseInt(l[1], 10, 64); when/int64(time.Second) <= told {
				last, at = l[0], when
			}
		}
		// A commit has whole seconds: what happened in the same one may have been after it.
		if last != "setup" && told > at/int64(time.Second) {
			o.t.Errorf("%s offers db in %s, and before it came %q", g.id(), commit, last)
		}
	}
}

// TestServicesUnderFire has two nodes offer a service and a third one work with its endpoints, and does one thing after
// the other to them, at random: kills an agent with -9 and starts it again, lets the check fail and pass, takes the
// service out of the list and puts it back, takes the presence repository away for some beats, stops the control node
// for some.
//
// INVARIANT (spec 8): no endpoint is available before its set-up succeeded; nothing is deleted that was not announced
// as leaving; every set that a run got is one that the index had; the user works each change once; after a quiet period
// it has the set that the index has, with all endpoints.
func TestServicesUnderFire(t *testing.T) {
	t.Parallel()
	if elsewhere(t) {
		return
	}
	const usual = 40
	listed(t, usual)
	r := dice(t)
	o := newOffering(t)
	o.fold()
	for _, g := range o.offers {
		g.start()
	}
	both := o.offers[0].id() + " " + o.offers[1].id()
	if o.offers[1].id() < o.offers[0].id() {
		both = o.offers[1].id() + " " + o.offers[0].id()
	}
	last := func(all []string) string {
		if len(all) == 0 {
			return ""
		}
		return all[len(all)-1]
	}
	o.user.until("both to be offered", func() bool { return last(o.offered()) == both })
	began := len(o.offered()) - 1
	o.user.start()
	current := func() string {
		if all := o.used(); len(all) > 0 {
			return all[len(all)-1].nodes()
		}
		return ""
	}
	o.user.until("the user to work with both", func() bool { o.user.surprise(); return current() == both })

	down := func(g *grid, yes bool) {
		if yes {
			write(t, g.note("db.down"), "")
		} else {
			_ = os.Remove(g.note("db.down"))
		}
	}
	listedIn := map[*grid]bool{o.offers[0]: true, o.offers[1]: true}
	list := func(g *grid, yes bool) {
		if listedIn[g] == yes {
			return
		}
		listedIn[g] = yes
		g.push("ops", gittest.File("nodework/services.yaml", map[bool]string{true: "[ db ]\n", false: "[]\n"}[yes]))
	}
	away := false
	for range rounds(t, usual) {
		g := o.offers[r.IntN(2)]
		switch r.IntN(7) {
		case 0:
			g.surprise()
			g.agent.kill()
			g.start()
		case 1:
			o.user.surprise()
			o.user.agent.kill()
			o.killed++
			o.user.start()
		case 2, 3:
			down(g, !exists(g.note("db.down")))
		case 4:
			list(g, !listedIn[g])
		case 5:
			if away = !away; away {
				o.p.lose()
			} else {
				o.p.found()
			}
		case 6:
			o.folding.Lock()
			pause(time.Duration(r.IntN(2000)) * time.Millisecond)
			o.folding.Unlock()
		}
		pause(time.Duration(r.IntN(2500)) * time.Millisecond)
	}
	if away {
		o.p.found()
	}
	for _, g := range o.offers {
		down(g, false)
		list(g, true)
	}
	o.user.until("the index to have both", func() bool { return last(o.offered()) == both })
	o.user.until("the user to have worked with both", func() bool { o.user.surprise(); return current() == both })
	runs := len(o.used())
	o.user.beats(4)
	if n := len(o.used()); n != runs {
		t.Errorf("%d more runs, and nothing changed", n-runs)
	}

	offered := o.offered()[began:]
	before := ""
	repeated := 0
	for i, s := range o.used() {
		if !slices.Contains(offered, s.nodes()) {
			t.Errorf("run %d got the endpoints of %q, which the index never had: %q", i, s.nodes(), offered)
		}
		if s.ID == before {
			repeated++
		}
		before = s.ID
	}
	if repeated > o.killed {
		t.Errorf("%d runs with the set of the run before, and the user was killed %d times", repeated, o.killed)
	}
	for _, g := range o.offers {
		if n := g.count("unannounced"); n > 0 {
			t.Errorf("%s: deleted %d times without an announcement", g.id(), n)
		}
		o.everyEndpoint(g)
		g.stop()
		g.sound("ops")
	}
	o.user.stop()
	o.user.sound("ops")
}
