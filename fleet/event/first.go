package event

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
)

// StartFirst adds, before each due action on services of an expected instance that does not run, the action that starts
// or launches that instance, once. The action on the services waits until the instance offers them. Without the
// provider's view nothing changes.
func (q Queue) StartFirst(expected []Expected, s Status, now time.Time) Queue {
	if !s.Provided {
		return q
	}
	next := q.clone()
	for _, e := range q.Actions {
		before, _ := next.Find(e.After)
		due := e.Phase == Waits && (e.After == "" || before.Phase == Succeeded) && (e.Matched || e.Holds(s))
		if !due || e.DoLevel != Services || !slices.Contains([]string{"install", "start", "restart"}, e.DoAction) {
			continue
		}
		var result, failed string
		e.Starts = maps.Clone(e.Starts)
		e.Awaits = slices.DeleteFunc(slices.Clone(e.Awaits), func(name string) bool { // what another doctor expects stays
			return slices.ContainsFunc(expected, func(x Expected) bool { return x.Name == name })
		})
		for _, x := range expected {
			if !x.meant(e.Action) || x.offers(e.Action, s) {
				continue
			}
			at, there := s.instanceOf(x)
			started, known := next.Find(e.Starts[x.Name])
			switch {
			case !there || at.State == Running && e.Starts[x.Name] == "":
				continue // what its node does not offer cannot be waited for
			case known && started.Over() && started.Phase != Succeeded:
				failed = x.Name + " could not be started: " + started.Result
			case e.Starts[x.Name] == "" && (at.State == Stopped || at.State == Terminated):
				do := Action{DoLevel: Instances, DoAction: "start", DoGroup: at.ID, Deadline: e.Deadline}
				code := AwaitsStart
				if at.State == Terminated {
					do.DoAction, do.DoGroup, code = "launch", x.Name, AwaitsMake
				}
				if do.DoAction == "launch" && x.Launch.Template == "" {
					continue
				}
				added, ids, err := next.Add([]Action{do}, now)
				if err != nil {
					continue // the queue is full; it is tried again
				}
				next = added
				if e.Starts == nil {
					e.Starts = map[string]string{}
				}
				e.Starts[x.Name], result = ids[0], code+" "+OldText(code)+": "+x.Name
			}
			e.Awaits = append(e.Awaits, x.Name)
		}
		next = next.with(e.ID, func(to *Entry) {
			if to.Starts, to.Awaits = e.Starts, e.Awaits; result != "" {
				to.Result = human.Truncate(result, resultLimit)
			}
			if failed != "" {
				to.end(Failed, failed, now)
			}
		})
	}
	return next
}

// meant says whether an action on services is about those of an expected instance.
func (x Expected) meant(a Action) bool {
	named := slices.Contains(x.Services, a.DoGroup) || len(x.Services) > 0 && (a.DoGroup == x.Name || x.IP != "" && a.DoGroup == x.IP)
	return named && (anything(a.DoType) || a.DoType == All) // what does not run has no mode
}

// offers says whether a node that hears, and is the expected instance as far as that is known, offers what an action is
// about.
func (x Expected) offers(a Action, s Status) bool {
	for _, target := range (Action{DoLevel: Services, DoGroup: All}).Targets(s, nil) {
		id, name := Target(target)
		i := slices.IndexFunc(s.Instances, func(i Instance) bool { return i.ID == id })
		here := id == x.Name || x.IP == "" || i >= 0 && s.Instances[i].IP == x.IP
		if here && slices.Contains(x.Services, name) && (!slices.Contains(x.Services, a.DoGroup) || name == a.DoGroup) {
			return true
		}
	}
	return false
}

// instanceOf is the instance that is the expected one, by its id or its address.
func (s Status) instanceOf(x Expected) (Instance, bool) {
	i := slices.IndexFunc(s.Instances, func(i Instance) bool {
		return i.ID == x.Name || x.IP != "" && i.IP == x.IP && i.State != Terminated
	})
	if i < 0 {
		return Instance{}, false
	}
	return s.Instances[i], true
}

// delayed is the code of the ancestor for an action on services that waits or goes on.
func (e Entry) delayed() string {
	if code, _, said := strings.Cut(e.Result, " "); said && len(e.Awaits) > 0 && (code == AwaitsStart || code == AwaitsMake) {
		return code
	}
	return map[string]string{"install": "ER0021", "stop": "ER0020", "drain": "ER0020"}[e.DoAction]
}
