package offer

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/service"
	"github.com/addagent/addagent/work"
)

// process is a new process of the agent, and the scripts that are due in it.
func (l *life) process() (o *Offers, items string) {
	o = &Offers{Root: l.dir, StateDir: l.dir, Say: func(n journal.News) { l.Error(n.Text) }}
	o.Recall()
	inventory := work.Inventory{Offers: l.inventory.Offers, OffersKnown: true}
	o.Join(&inventory, l.now)
	for _, j := range inventory.Judgements {
		items += j.Item.Name + " " + string(j.Verdict) + " "
	}
	return o, strings.TrimSpace(items)
}

func (l *life) ask(id, what, target string) (text string) {
	o, _ := l.process()
	done := o.Ask(&l.inventory, journal.Ask{ID: id, What: what, Target: target, By: "ann", Until: l.now.Add(time.Hour)}, l.now)
	if text = strings.Join(done.Did, ","); done.Goes {
		text += " goes on"
	}
	return text + done.Error
}

// run is the run of a script whose process dies as soon as it has begun: what it was asked for is on the disk.
func (l *life) run(action string, a work.Attempt) {
	o, _ := l.process()
	testkit.Must(l.T, o.Starting(work.ServiceItem(l.inventory.Offers["db"], action)))
	if a.RunID != "" {
		memory := work.MemoryOf("", l.dir, "ops", "service.db."+action)
		testkit.Must(l.T, os.MkdirAll(memory, 0o755))
		testkit.Must(l.T, work.ResultIn(memory).Save(work.Result{Last: &a}))
	}
}

// ended is what became of the asks, which are then forgotten.
func (l *life) ended(inHand *work.InHand) string {
	o, _ := l.process()
	var all []string
	for _, done := range o.Ended(inHand, l.now) {
		all = append(all, done.ID+" "+done.What+": "+done.Error)
		o.Forget(done.ID)
	}
	return strings.Join(all, "; ")
}

// TestAskedOnce: a script that is asked for runs once, whenever the process dies; another one waits for its end.
func TestAskedOnce(t *testing.T) {
	l := newLife(t, "127.0.0.1:1")
	for _, action := range []string{"start", "stop", "restart"} {
		l.inventory.Offers["db"].Scripts[action+".sh"] = "r"
	}
	l.beat()
	due := func(want string) {
		t.Helper()
		_, items := l.process()
		l.expect(items, want)
	}
	l.expect(l.ask("0", "restart", "web"), `this node does not offer "web"`)
	delete(l.inventory.Offers["db"].Scripts, "start.sh")
	l.expect(l.ask("0", "start", "db"), "db has no start.sh")
	l.inventory.Offers["db"].Scripts["start.sh"] = "r"
	due("")
	l.run("restart", work.Attempt{RunID: "old", Version: commit, Fingerprint: "f", Finished: l.now}) // long ago

	for range 2 { // the second is of a process that died before it wrote down that the first was served
		l.expect(l.ask("1", "restart", "db"), "ops:service.db.restart goes on")
	}
	due("service.db.restart first")
	l.expect(l.ended(nil), "")
	l.run("restart", work.Attempt{})
	due("")
	l.expect(l.ended(&work.InHand{Item: "service.db.restart"}), "")
	l.expect(l.ended(nil), "1 restart: failed: its script could not be started")
	l.expect(l.ended(nil), "")

	l.expect(l.ask("2", "stop", "db")+l.ask("3", "start", "db"), "ops:service.db.stop goes onops:service.db.start goes on")
	due("service.db.stop first")
	l.run("stop", work.Attempt{RunID: "two", Version: commit, Fingerprint: "f", Finished: l.now, Reason: work.ReasonExit, Detail: "exit status 3"})
	l.expect(l.ended(nil), "2 stop: failed: exit status 3; it is not tried again")
	due("service.db.start first")
	l.run("start", work.Attempt{RunID: "three", Version: commit, Fingerprint: "f", Finished: l.now})
	l.expect(l.ended(nil), "3 start: ")
	due("")

	l.expect(l.ask("4", "stop", "db"), "ops:service.db.stop goes on")
	l.now = l.now.Add(time.Hour)
	due("")
	l.beat()
	l.expect(l.ended(nil), "4 stop: expired before it could run")
	l.expect(l.ask("5", "stop", "db"), "ops:service.db.stop goes on")
	delete(l.inventory.Offers["db"].Scripts, "stop.sh")
	l.beat()
	l.expect(l.ended(nil), "5 stop: db has no stop.sh any more")
	l.expect(l.ask("6", "start", "db"), "ops:service.db.start goes on")
	l.want(service.Unwanted)
	l.beat()
	l.expect(l.ask("7", "start", "db"), "db is being removed")
	l.beat()
	l.expect(l.ended(nil), "6 start: db is being removed")
}

// TestAskedOfAServiceThatGoes: a service of which nothing was done is forgotten at once, but not what was asked of it.
func TestAskedOfAServiceThatGoes(t *testing.T) {
	l := newLife(t, "127.0.0.1:1")
	l.inventory.Offers["db"].Scripts["start.sh"] = "r"
	l.inventory.Judgements = nil // its set-up was not started
	l.beat()
	l.expect(l.ask("1", "start", "db"), "ops:service.db.start goes on")
	l.want(service.Unwanted)
	o, _ := l.process()
	o.Published = func() ([]presence.Service, bool) { return nil, false }
	beat := func() []journal.Asked {
		o.Say = func(journal.News) {}
		o.Beat(t.Context(), Beat{Now: l.now, Inventory: &l.inventory, Forget: func(work.Item) error { return nil }})
		return o.Ended(nil, l.now)
	}
	if ended := beat(); len(ended) != 1 || ended[0].Error != "db is gone" || len(o.Show()) != 1 {
		t.Errorf("%+v", ended)
	}
	o.Forget("1")
	if ended := beat(); len(ended) > 0 || len(o.Show()) > 0 {
		t.Errorf("%+v %+v", ended, o.Show())
	}
}

// TestDrainAsked: the drain is that of a person, with who asked; its end is when the users have had their time.
func TestDrainAsked(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	defer server.Close()
	l := newLife(t, server.Addr().String())
	l.expect(l.beats(2), "000000 000000")
	o := &Offers{Root: l.dir, StateDir: l.dir, Published: func() ([]presence.Service, bool) { return l.published, true }, Say: func(journal.News) {},
		Open: func(string, string) (*objects.Tree, error) { return nil, errors.New("there is no clone") }}
	o.Recall()
	ask := func(id, what string) journal.Asked {
		return o.Ask(&l.inventory, journal.Ask{ID: id, What: what, Target: "db", By: "request 1 of ann"}, l.now)
	}
	beats := func(n int) (ended []journal.Asked) {
		for range n {
			l.now = l.now.Add(time.Minute)
			brakes, err := node.ReadBrakes(l.dir, l.now)
			testkit.Must(t, err)
			o.Beat(t.Context(), Beat{Now: l.now, Inventory: &l.inventory, Drained: brakes.Drained, MinDrain: 2 * time.Minute})
			r := presence.Record{}
			o.Fill(&r)
			l.published = presence.Normalize(r).Services
			ended = append(ended, o.Ended(nil, l.now)...)
		}
		return ended
	}
	if done := ask("1", "drain"); !done.Goes || done.Error != "" {
		t.Error(done)
	}
	if ended := beats(6); len(ended) > 0 || o.Show()[0].Drained != "requested (request 1 of ann)" {
		t.Errorf("%+v %+v", ended, o.Show())
	}
	if ended := beats(2); len(ended) == 0 || ended[0].ID != "1" || ended[0].Error != "" {
		t.Errorf("%+v", ended)
	}
	o.Forget("1")
	for _, want := range []string{"db", "db was not drained"} {
		if done := ask("2", "undrain"); done.Goes || strings.Join(done.Did, "") != want {
			t.Errorf("%+v", done)
		}
	}
	ask("3", "drain")
	ask("4", "undrain")
	if ended := beats(1); len(ended) != 1 || ended[0].Error != "the drain was ended" {
		t.Errorf("%+v", ended)
	}
}
