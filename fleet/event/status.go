// Package event turns what is known of a fleet into a status, the differences of two into events, and a queue of
// actions that wait for them into what is to be done next.
//
// It is pure. Begin with StatusOf in status.go; heartbeat.go is the form of the ancestor, event.go what changed.
package event

import (
	"cmp"
	"slices"
	"time"

	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/service"
)

// The states of an instance: those of the provider.
const (
	Pending      = "pending"
	Running      = "running"
	Stopping     = "stopping"
	Stopped      = "stopped"
	ShuttingDown = "shutting-down"
	Terminated   = "terminated"
)

// Provided is an instance as the provider reports it.
type Provided struct {
	ID    string
	IP    string // its private address; "" = none
	State string
}

// Provider is what the provider said at a time. The zero value was never asked.
type Provider struct {
	At        time.Time
	Instances []Provided
}

// Instance is a machine: what the provider and its own agent say of it.
type Instance struct {
	ID    string `json:"id"`
	IP    string `json:"ip"` // "" = not known
	State string `json:"state"`
}

// Service is one node's offer of a service.
type Service struct {
	presence.Service
	Node string
}

// Status is a fleet at one time. Instances and nodes are matched by their id, services by id and name.
type Status struct {
	At        time.Time
	Nodes     []presence.Node
	Instances []Instance // sorted by id
	Services  []Service  // sorted by name and node
	Sets      []Set      // sorted by service; nil = not known: see WithSets
	Provided  bool       // the provider's view is in it; without it, what it does not show may exist
}

// StatusOf derives the status from the records and from the provider's view.
func StatusOf(f presence.Fleet, p Provider, now time.Time) Status {
	s := Status{At: now.UTC(), Nodes: f.Nodes, Provided: !p.At.IsZero()}
	provided := map[string]Provided{}
	for _, one := range p.Instances {
		provided[one.ID] = one
	}
	for _, n := range f.Nodes {
		age := n.Age(now)
		one, known := provided[n.InstanceID]
		state := Instance{ID: n.InstanceID, IP: cmp.Or(Address(n.Record), one.IP), State: stateOf(one.State, known, age)}
		s.Instances = append(s.Instances, state)
		delete(provided, n.InstanceID)
		for _, offer := range n.Services {
			offer.IP = cmp.Or(offer.IP, state.IP)
			s.Services = append(s.Services, Service{silenced(offer, age), n.InstanceID})
		}
	}
	for _, one := range provided {
		s.Instances = append(s.Instances, Instance{one.ID, one.IP, stateOf(one.State, true, presence.Gone)})
	}
	slices.SortFunc(s.Instances, func(a, b Instance) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortStableFunc(s.Services, func(a, b Service) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Node, b.Node))
	})
	return s
}

// Address is where others reach a node: the address that it announces, or else the first one it has.
func Address(r presence.Record) string {
	if r.IP == "" && len(r.Addresses) > 0 {
		return r.Addresses[0]
	}
	return r.IP
}

// stateOf is the state of an instance. A provider knows only that a machine runs; it counts as running when its agent
// is heard.
func stateOf(provided string, known bool, age presence.Age) string {
	heard := age == presence.Present || age == presence.Late
	switch {
	case known && provided == Running && !heard:
		return Pending
	case known:
		return provided
	case heard:
		return Running
	case age == presence.Gone:
		return Stopping
	}
	return Stopped
}

// silenced is a service as far as its node still vouches for it.
func silenced(s presence.Service, age presence.Age) presence.Service {
	switch age {
	case presence.Gone: // it leaves: nothing there is for use any more
		s.Code = string(service.Draining)
	case presence.Missing:
		s.Code = Unknown
	}
	return s
}
