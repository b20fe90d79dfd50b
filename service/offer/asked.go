package offer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/service"
	"github.com/addagent/addagent/work"
)

// asked is what a request wants of a service, from when it is taken in until its answer is: a script that runs once, or
// a drain that the users are given time for.
type asked struct {
	ID     string    `json:"id"`               // of the ask
	Action string    `json:"action"`           // start, stop, restart or drain
	Until  time.Time `json:"until,omitzero"`   // it does not begin later; zero = it may
	Begun  bool      `json:"begun,omitempty"`  // on the disk before the script starts
	Before string    `json:"before,omitempty"` // the id of the run before it
	Wrong  string    `json:"wrong,omitempty"`  // why it does not begin
}

const drain = "drain"

// words are what becomes of the request, for people.
func (q asked) words(inHand, name string, now time.Time) string {
	text := q.Action + ", request " + strings.TrimPrefix(q.ID, "request-") + ": "
	switch {
	case q.Wrong != "":
		return text + q.Wrong
	case !q.script():
		return text + "its users have their time"
	case q.Begun && inHand == string(work.Service)+"."+name+"."+q.Action:
		return text + "runs"
	case q.Begun:
		return text + "has run"
	case q.Until.IsZero():
		return text + "waits for its turn"
	}
	return text + "waits for its turn, until " + human.When(q.Until, now)
}

// script says that a script does it.
func (q asked) script() bool { return q.Action != drain }

// Once says whether an item is a script that runs by request only: no beat judges it again.
func Once(item string) bool {
	of, action, _ := strings.Cut(strings.TrimPrefix(item, string(work.Service)+"."), ".")
	return string(work.Service)+"."+of+"."+action == item && slices.Contains([]string{"start", "stop", "restart"}, action)
}

// Installs is the item that sets a service up; wrong says why there is none.
func (o *Offers) Installs(inventory *work.Inventory, name string) (item, wrong string) {
	i := slices.IndexFunc(inventory.Judgements, func(j work.Judgement) bool { return j.Item.Service == name && j.Item.Action == "" })
	switch {
	case o == nil || o.all[name] == nil && i < 0:
		return "", notOffered(name)
	case i < 0:
		return "", name + " has no work.sh that sets it up"
	case o.all[name] != nil && o.all[name].Leaving != service.Stays:
		return "", name + " is being removed"
	}
	return inventory.Judgements[i].Item.ID(), ""
}

func notOffered(name string) string { return "this node does not offer " + human.Quote(name) }

// Ask takes in a request to do something to a service, but not to install it. An ask that was taken in before the
// process died is not taken in again.
func (o *Offers) Ask(inventory *work.Inventory, ask journal.Ask, now time.Time) journal.Asked {
	done, name := journal.Asked{Ask: ask}, ask.Target
	if o == nil || o.all[name] == nil {
		done.Error = notOffered(name)
		return done
	}
	k := o.all[name]
	if ask.What == "undrain" {
		was, err := node.Lift(node.DrainedPath(o.StateDir, name))
		if done.Did = []string{name}; err != nil {
			done.Did, done.Error = nil, err.Error()
		} else if !was {
			done.Did = []string{name + " was not drained"}
		}
		return done
	}
	q := asked{ID: ask.ID, Action: ask.What, Until: ask.Until}
	done.Did, done.Goes = []string{name}, true
	if q.script() {
		j, ok := o.action(inventory, k, q.Action)
		if done.Did = []string{j.Item.ID()}; !ok {
			done.Error = fmt.Sprintf("%s has no %s.sh", name, q.Action)
		}
	}
	if slices.ContainsFunc(k.Asked, func(have asked) bool { return have.ID == q.ID }) {
		done.Error = ""
		return done
	}
	if k.Leaving != service.Stays {
		done.Error = name + " is being removed"
	}
	if done.Error == "" && !q.script() {
		if err := (node.Brake{Reason: "requested", By: ask.By, Since: now}).Put(node.DrainedPath(o.StateDir, name)); err != nil {
			done.Error = err.Error()
		}
	}
	if done.Error == "" {
		before := k.Asked
		k.Asked = append(slices.Clone(before), q)
		if err := o.save(k); err != nil {
			k.Asked, done.Error = before, err.Error()
		}
	}
	if done.Error != "" {
		done.Did, done.Goes = nil, false
	}
	return done
}

// next is the script of a service that is to run next; nil = none is. One runs after the other.
func (k *kept) next(now time.Time) *asked {
	for _, q := range k.Asked {
		switch {
		case !q.script() || q.Wrong != "" || q.late(now):
		case q.Begun:
			return nil
		default:
			return &q
		}
	}
	return nil
}

// Waits says that a script which was asked for may run now.
func (o *Offers) Waits(now time.Time) bool {
	if o == nil {
		return false
	}
	for _, k := range o.all {
		if k.next(now) != nil {
			return true
		}
	}
	return false
}

func (q asked) late(now time.Time) bool {
	return !q.Until.IsZero() && !q.Begun && !now.Before(q.Until)
}

// lapse says of each script that did not begin why it no longer can.
func (o *Offers) lapse(b Beat, k *kept) {
	k.Asked = slices.Clone(k.Asked)
	for i := range k.Asked {
		q := &k.Asked[i]
		if !q.script() || q.Begun || q.Wrong != "" {
			continue
		}
		_, there := o.action(b.Inventory, k, q.Action)
		switch {
		case k.Leaving != service.Stays:
			q.Wrong = k.Description.Name + " is being removed"
		case q.late(b.Now):
			q.Wrong = "expired before it could run"
		case !there: // a push took it away
			q.Wrong = fmt.Sprintf("%s has no %s.sh any more", k.Description.Name, q.Action)
		}
	}
}

// refuse ends all that is asked; false = nothing is.
func (k *kept) refuse(wrong string) bool {
	k.Asked = slices.Clone(k.Asked)
	for i := range k.Asked {
		k.Asked[i].Wrong = cmp.Or(k.Asked[i].Wrong, wrong)
	}
	return len(k.Asked) > 0
}

// Ended are the asks that are over, with what became of each. They are told again until Forget.
func (o *Offers) Ended(inHand *work.InHand, now time.Time) (all []journal.Asked) {
	if o == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(o.all)) {
		k := o.all[name]
		for _, q := range k.Asked {
			over, wrong := q.Wrong != "", q.Wrong
			switch {
			case over:
			case !q.script():
				over, wrong = o.drainEnded(name, now)
			case q.Begun:
				it := work.ServiceItem(k.Offer, q.Action)
				if over = inHand == nil || inHand.Item != it.Name; over {
					wrong = scriptEnded(work.Peek(work.MemoryOf(o.Root, o.StateDir, k.Repo, it.Name)).Last, q.Before)
				}
			}
			if over {
				all = append(all, journal.Asked{Ask: journal.Ask{ID: q.ID, What: q.Action, Target: name}, Error: wrong})
			}
		}
	}
	return all
}

// scriptEnded is why the run of a script that began after another run was no success; "" = it was.
func scriptEnded(last *work.Attempt, before string) (wrong string) {
	switch {
	case last == nil || last.RunID == before:
		return "failed: its script could not be started"
	case last.OK():
		return ""
	}
	return "failed: " + cmp.Or(last.Detail, string(last.Reason), "interrupted") + "; it is not tried again"
}

// drainEnded says whether the users of a service that was drained have had their time.
func (o *Offers) drainEnded(name string, now time.Time) (over bool, wrong string) {
	if _, there := node.ReadBrake(node.DrainedPath(o.StateDir, name), now); !there {
		return true, "the drain was ended"
	}
	i := slices.IndexFunc(o.shown, func(s journal.Service) bool { return s.Name == name })
	return i >= 0 && o.shown[i].UndrainedUntil(now) == "", ""
}

// Forget forgets an ask whose answer is written down.
func (o *Offers) Forget(id string) {
	for _, k := range o.all {
		if i := slices.IndexFunc(k.Asked, func(q asked) bool { return q.ID == id }); i >= 0 {
			k.Asked = slices.Delete(slices.Clone(k.Asked), i, i+1)
			_ = o.save(k) // or its end is told again
		}
	}
}
