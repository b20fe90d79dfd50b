// Package offer is the services of this node: what it remembers of each, the checks, and what is to be done.
//
// Begin with Offers.Beat, which the agent calls at each beat. What becomes of a service is decided in package service;
// check.go asks whether it works, kept.go keeps what it takes to undo its set-up, and asked.go does what requests want.
package offer

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/service"
	"github.com/addagent/addagent/service/tree"
	"github.com/addagent/addagent/work"
)

// Offers are the services of this node. They belong to the goroutine of the agent; a nil *Offers has none.
type Offers struct {
	Root     string // gitrepo/
	StateDir string
	Env      []string // of checks that are scripts
	// Open opens the tree of a repository at a version.
	Open func(repo, version string) (*objects.Tree, error)
	// Published are the services as the presence repository has them; used is false when the node has no presence.
	Published func() (all []presence.Service, used bool)
	Say       func(journal.News)
	// Missing says that a clone which is not in the config is not here: people may have moved it aside for a while.
	// nil = none is missing.
	Missing func(repo string) bool

	all     map[string]*kept
	saved   map[string]kept // as it is on the disk
	shown   []journal.Service
	refused map[string]unkept
}

// kept is what is remembered of one service, in state_dir/service/NAME/service.json.
type kept struct {
	service.Known
	tree.Offer         // as it could be read last
	Begun      bool    `json:"begun,omitempty"`  // its set-up was started, so there may be something to undo
	SetUp      bool    `json:"set_up,omitempty"` // its set-up has succeeded
	Copy       string  `json:"copy,omitempty"`   // git id of the folder that is kept beside this file, as of CopyOf
	CopyOf     string  `json:"copy_of,omitempty"`
	Asked      []asked `json:"asked,omitempty"` // in the order in which it was asked
}

// Beat is what the services are judged from at a beat, while no tree moves.
type Beat struct {
	Now       time.Time
	Inventory *work.Inventory
	Drained   map[string]node.Brake // by service, "" = all
	InHand    *work.InHand
	MinDrain  time.Duration // two beats
	RetryMax  time.Duration
	Forget    func(work.Item) error // forgets what is remembered of an item; it needs the work lock
}

// inHand is the item that runs; "" = none.
func (b Beat) inHand() string {
	if b.InHand == nil {
		return ""
	}
	return b.InHand.Item
}

func (o *Offers) file(name string) files.Remembered[kept] {
	return files.Remembered[kept]{Path: filepath.Join(work.ServiceDir(o.StateDir, name), "service.json"), What: "memory of the service " + name, Durable: true, Public: true, Indent: "    "}
}

// Recall reads what earlier processes remembered.
func (o *Offers) Recall() {
	o.all, o.saved, o.refused = map[string]*kept{}, map[string]kept{}, map[string]unkept{}
	for _, path := range files.Matching(o.StateDir, string(work.Service)+"/*/service.json") {
		name := filepath.Base(filepath.Dir(path))
		k, ok, err := o.file(name).Recall()
		switch {
		case err != nil:
			o.Say(journal.News{At: time.Now(), Level: journal.Warning, Text: err.Error()})
		case ok && service.ValidName(name) && k.Description.Name == name:
			o.saved[name], o.all[name] = k, &k
		}
	}
}

// Beat checks the services and decides what becomes of them. Changed tells that other items may be due now.
func (o *Offers) Beat(ctx context.Context, b Beat) (changed bool, troubles []string) {
	if o == nil {
		return false, nil
	}
	for name, offer := range b.Inventory.Offers {
		k := o.all[name]
		if k == nil && offer.Wish == service.Wanted {
			k = &kept{}
			o.all[name] = k
		}
		if k != nil && len(offer.Problems) == 0 && offer.Repo != "" {
			if offer.Wish != service.Wanted {
				offer.ListedIn = k.ListedIn // who listed it last
			}
			offer.Wish = service.Unknown // valid for this beat only
			k.Offer = offer
		}
	}
	if len(o.all) == 0 {
		o.shown = nil
		return false, troubles
	}
	setUps := map[string]work.Judgement{}
	for _, j := range b.Inventory.Judgements {
		if j.Item.Service != "" && j.Item.Action == "" {
			setUps[j.Item.Service] = j
		}
	}
	names := slices.Sorted(maps.Keys(o.all))
	for _, name := range names {
		k := o.all[name]
		if j, there := setUps[name]; there {
			k.Begun = k.Begun || j.Memory.Last != nil || j.Memory.Version != ""
			k.SetUp = k.SetUp || j.Memory.Version != ""
		} else if k.Scripts["work.sh"] == "" {
			k.Begun, k.SetUp = true, true
		}
	}
	results := o.check(ctx, names, b.inHand())
	if ctx.Err() != nil {
		return false, troubles
	}
	published, used := o.Published()
	o.shown = nil
	for i, name := range names {
		k := o.all[name]
		o.lapse(b, k)
		f := service.Facts{Wish: o.wish(b, name), Begun: k.Begun, SetUp: k.SetUp, Check: results[i], MinDrain: b.MinDrain,
			Missing: setUps[name].Await != "", Drained: o.drained(b, name) != "",
			Published: !used || slices.ContainsFunc(published, k.is) || i >= presence.ServicesMost}
		before := k.Leaving
		undo, canUndo := o.action(b.Inventory, k, "delete")
		f.NoDelete, f.Undone = !canUndo && f.Wish != service.Unknown, canUndo && undo.Memory.Version != ""
		if text := o.step(b, k, f, undo); text != "" {
			troubles = append(troubles, text)
		}
		if j := setUps[name]; k.SetUp && f.Wish == service.Wanted && !j.Verdict.Wanted() && k.Copy != k.Folder {
			if err := o.keep(k); err != nil {
				troubles = append(troubles, fmt.Sprintf("%s: keep a copy of %s: %v", name, k.Dir, err))
			}
		}
		changed = changed || k.Leaving != before
		if o.all[name] != nil {
			o.shown = append(o.shown, o.show(b, k, f))
		}
	}
	return changed, troubles
}

// wish is whether a service is to be offered.
func (o *Offers) wish(b Beat, name string) service.Wish {
	offer, there := b.Inventory.Offers[name]
	k := o.all[name]
	switch {
	case there && offer.Wish != service.Unwanted:
		return offer.Wish
	case !there && !b.Inventory.OffersKnown, o.Missing != nil && slices.ContainsFunc(append([]string{k.Repo}, k.ListedIn...), o.Missing):
		return service.Unknown
	}
	return service.Unwanted
}

// drained is why a service is drained; "" = it is not.
func (o *Offers) drained(b Beat, name string) string {
	for _, of := range []string{name, ""} {
		if brake, there := b.Drained[of]; there {
			return brake.String()
		}
	}
	return ""
}

// step decides what becomes of one service, writes that down and does what can be done at once. What cannot be written
// down is not begun.
func (o *Offers) step(b Beat, k *kept, f service.Facts, undo work.Judgement) (trouble string) {
	name := k.Description.Name
	known, what := service.Next(k.Description, k.Known, f, b.Now)
	if what == service.Forget && k.refuse(name+" is gone") {
		return "" // what was asked is answered first
	}
	if what == service.Forget {
		item := work.Item{Repo: k.Repo, Name: string(work.Service) + "." + name}
		err := b.Forget(item)
		if err == nil {
			err = o.forget(name)
		}
		if err != nil {
			return fmt.Sprintf("forget the service %s: %v", name, err)
		}
		o.say(b, journal.Notice, "service %s is gone", name)
		return ""
	}
	before := *k
	k.Known = known
	if err := o.save(k); err != nil {
		if k.Leaving != before.Leaving {
			*k = before // a step begins when it is on the disk
		}
		trouble = err.Error()
	}
	o.announce(b, k, before, f)
	if last := undo.Memory.Last; what == service.Delete && f.Undone && f.Check.Outcome == service.Pass {
		trouble = fmt.Sprintf("%s: delete.sh has succeeded, and the check still passes (%s)", name, k.Description.Check)
		if last != nil && b.Now.Sub(last.Finished) >= b.RetryMax {
			_ = b.Forget(undo.Item) // it runs again
		}
	}
	return trouble
}

// announce says what has changed.
func (o *Offers) announce(b Beat, k *kept, before kept, f service.Facts) {
	name := k.Description.Name
	switch {
	case k.Leaving != before.Leaving && k.Leaving == service.Announced:
		o.say(b, journal.Notice, "service %s is no longer wanted: it is announced as draining, for %s", name, human.Duration(max(k.Description.Drain, b.MinDrain)))
	case k.Leaving != before.Leaving && k.Leaving == service.Undoing:
		o.say(b, journal.Notice, "service %s: removal starts after %s of draining", name, human.Duration(b.Now.Sub(before.Told)))
	case k.Leaving != before.Leaving && k.Leaving == service.Stays:
		o.say(b, journal.Notice, "service %s is wanted again", name)
	case k.Code == before.Code && k.Role == before.Role:
	case k.Code.Available():
		o.say(b, journal.Notice, "service %s is running", name)
	case before.Code.Available() && f.Drained:
		o.say(b, journal.Notice, "service %s is draining: %s", name, o.drained(b, name))
	case before.Code.Available():
		o.say(b, journal.Warning, "service %s is %s (%s): %s", name, k.state(), k.Code, k.Health.Why)
	default:
		o.say(b, journal.Info, "service %s is %s", name, k.state())
	}
}

// state is the code in words, or what the check calls it.
func (k *kept) state() string {
	if k.Health.State != "" && k.Code == k.Health.Code {
		return k.Health.State
	}
	return k.Code.State()
}

func (o *Offers) say(b Beat, level journal.Level, format string, args ...any) {
	next := ""
	if level == journal.Warning {
		next = "addagent why service." + fmt.Sprint(args[0])
	}
	o.Say(journal.News{At: b.Now, Level: level, Text: human.Safe(fmt.Sprintf(format, args...)), Next: next})
}

// action is the judgement of delete.sh and the like: of the tree, else of the copy that was kept. ok is false when
// neither has such a script.
func (o *Offers) action(inventory *work.Inventory, k *kept, action string) (j work.Judgement, ok bool) {
	name, script := k.Description.Name, action+".sh"
	if offer := inventory.Offers[name]; offer.Repo == k.Repo && offer.Scripts[script] != "" {
		return o.judge(offer, action, ""), true
	}
	offer := k.Offer
	if offer.Version = k.CopyOf; k.Copy == "" || offer.Scripts[script] == "" {
		return j, false
	}
	return o.judge(offer, action, o.copyDir(name, k.Copy)), true
}

// judge judges a script of a service. Root is the folder that replaces the clone, "" = none does.
func (o *Offers) judge(offer tree.Offer, action, root string) work.Judgement {
	it := work.ServiceItem(offer, action)
	it.Root, it.Watch, it.WatchFrom = root, []work.Watch{{Path: offer.Dir}}, work.FromDefault
	ids := map[string]string{"work.sh": offer.Scripts[action+".sh"], "./" + offer.Dir: offer.Folder}
	m := work.Memory{} // what was asked for runs, whatever came before
	if action == "delete" {
		m = work.Peek(work.MemoryOf(o.Root, o.StateDir, offer.Repo, it.Name))
	}
	return work.Judge(it, offer.Version, ids, m)
}

// Join adds to the judgements of a beat the scripts that change a service once, and holds back the set-up of one that
// is being removed.
func (o *Offers) Join(inventory *work.Inventory, now time.Time) {
	if o == nil {
		return
	}
	for i, j := range inventory.Judgements {
		if k := o.all[j.Item.Service]; k != nil && j.Item.Action == "" && (k.Leaving == service.Undoing || k.Leaving == service.Gone) {
			inventory.Judgements[i].Await = "the service is being removed first"
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.all)) {
		k := o.all[name]
		var actions []string
		if q := k.next(now); q != nil {
			actions = append(actions, q.Action)
		}
		if k.Leaving == service.Undoing {
			actions = append(actions, "delete")
		}
		for _, action := range actions {
			if j, ok := o.action(inventory, k, action); ok {
				if action != "delete" {
					j.Why = "requested"
				}
				inventory.Judgements = append(inventory.Judgements, j)
			}
		}
	}
}

// Starting writes down that an item is about to start.
func (o *Offers) Starting(it work.Item) error {
	if o == nil || it.Service == "" || o.all[it.Service] == nil {
		return nil
	}
	k := o.all[it.Service]
	before := *k
	k.Begun = true
	k.Asked = slices.Clone(k.Asked)
	if i := slices.IndexFunc(k.Asked, func(q asked) bool { return it.Action == q.Action && q.Wrong == "" && !q.Begun }); i >= 0 {
		k.Asked[i].Begun = true
		if last := work.Peek(work.MemoryOf(o.Root, o.StateDir, it.Repo, it.Name)).Last; last != nil {
			k.Asked[i].Before = last.RunID
		}
	}
	err := o.save(k)
	if err != nil {
		*k = before
	}
	return err
}

// Fill adds the services to a record.
func (o *Offers) Fill(r *presence.Record) {
	if o == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(o.all)) {
		k := o.all[name]
		if k.Code == "" || len(r.Services) == presence.ServicesMost {
			continue // it is new
		}
		r.Services = append(r.Services, presence.Service{Name: name, IP: r.IP, Port: k.Description.Port, Mode: k.Description.Mode, Role: k.Role,
			Code: string(k.Code), State: k.state(), Time: k.Since})
	}
}

// Show lists the services for the record of a beat.
func (o *Offers) Show() []journal.Service {
	if o == nil {
		return nil
	}
	return o.shown
}

func (o *Offers) show(b Beat, k *kept, f service.Facts) journal.Service {
	s := journal.Service{Name: k.Description.Name, Repo: k.Repo, Code: string(k.Code), State: k.state(), Role: k.Role, Mode: k.Description.Mode,
		Port: k.Description.Port, Since: k.Since, Check: k.Description.Check.String(), Why: k.Health.Why, Step: string(k.Leaving), Told: k.Told,
		Drained: o.drained(b, k.Description.Name)}
	for _, q := range k.Asked {
		s.Asked = append(s.Asked, q.words(b.inHand(), k.Description.Name, b.Now))
	}
	if f.Wish == service.Unknown {
		s.Unknown = "a list or a description is missing or cannot be read: nothing changes"
	}
	if k.Code == service.Draining && !k.Told.IsZero() {
		s.DrainedAt = k.Told.Add(max(k.Description.Drain, b.MinDrain))
	}
	return s
}

// Move moves all remembered times when the clock was set.
func (o *Offers) Move(by time.Duration) {
	if o == nil {
		return
	}
	for _, k := range o.all {
		k.Known = k.Moved(by)
	}
}
