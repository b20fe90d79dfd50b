package event

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/presence"
)

// The states of a set.
const (
	Settled  = "settled"  // every node that uses the service has worked with its present endpoints
	Changing = "changing" // one has not yet
)

// Set is the available endpoints of a service, in all deployments, and how far its users are with them.
type Set struct {
	Service string
	State   string // Settled or Changing
	ID      string // another one when an endpoint came, went or changed
}

// WithSets adds the sets of services that nodes offer or use. A node that is silent or leaves is not waited for.
func (s Status) WithSets(ends presence.Endpoints) Status {
	states := map[string]string{}
	for name := range ends {
		states[name] = Settled
	}
	for _, n := range s.Nodes {
		if age := n.Age(s.At); age != presence.Present && age != presence.Late {
			continue
		}
		for _, u := range n.Uses {
			if ends.Behind(u, n.Deployment) {
				states[u.Service] = Changing
			}
			states[u.Service] = cmp.Or(states[u.Service], Settled)
		}
	}
	s.Sets = make([]Set, 0, len(states))
	for name, state := range states {
		id := presence.SetID(ends.Set(presence.ServiceFilter{Service: name, Deployment: presence.AllDeployments}, ""))
		s.Sets = append(s.Sets, Set{name, state, id})
	}
	slices.SortFunc(s.Sets, func(a, b Set) int { return strings.Compare(a.Service, b.Service) })
	return s
}

// setsSeen is what a status shows of the sets, for the next one to be compared with.
func (s Status) setsSeen() map[string]string {
	seen := make(map[string]string, len(s.Sets))
	for _, one := range s.Sets {
		seen[one.Service] = one.State + " " + one.ID
	}
	return seen
}

// setChanges are the events of sets since was was seen. A set that has settled with other endpoints than before is an
// event, too: nothing that happens between two views is missed.
func (s Status) setChanges(was map[string]string) (all []Event) {
	for _, one := range s.Sets {
		state, id, _ := strings.Cut(was[one.Service], " ")
		if state != one.State || id != one.ID {
			all = append(all, identified(Event{Type: Sets, Name: one.Service, State: one.State, Code: one.ID, PreviousState: state,
				PreviousCode: cmp.Or(id, noCode)}, s.At))
		}
	}
	return all
}

// viewLag bounds by how much a view may be older than the newest one that was taken in. Beyond it one of the two clocks
// is wrong, and the view counts.
const viewLag = 10 * time.Minute

// outdated says that another doctor has taken in a newer view than that of the status. What differs is then no change.
func (q Queue) outdated(s Status) bool {
	return s.At.Before(q.Seen) && q.Seen.Sub(s.At) < viewLag
}

// News are the changes of instances and sets since the view that was taken in last. The first view is no change, and
// what a status does not show has not changed.
func (q Queue) News(s Status) (all []Event) {
	if q.outdated(s) {
		return nil
	}
	if s.Provided && q.Instances != nil {
		all = Seen(q.Instances).Changes(s)
	}
	if s.Sets != nil && q.Sets != nil {
		all = append(all, s.setChanges(q.Sets)...)
	}
	return all
}

// see takes in what a status shows of instances and sets.
func (q *Queue) see(s Status) {
	if q.outdated(s) {
		return
	}
	changed := q.Instances == nil && s.Provided || q.Sets == nil && s.Sets != nil || len(q.News(s)) > 0
	if s.Provided {
		q.Instances = s.SeenIn()
	}
	if s.Sets != nil {
		q.Sets = s.setsSeen()
	}
	if changed {
		q.Seen = s.At.Truncate(time.Second)
	}
}
