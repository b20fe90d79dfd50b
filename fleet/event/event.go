package event

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
	"github.com/addagent/addagent/presence/history"
	"github.com/addagent/addagent/service"
)

// The types of events.
const (
	Nodes     = "nodes"     // a node has another state, or another age
	Services  = "services"  // a service of a node has another code
	Roles     = "roles"     // a service of a node has another role
	Instances = "instances" // an instance has another state
	Sets      = "sets"      // not all users of a service have worked with its endpoints, or all have
)

// Types lists all of them.
func Types() []string { return []string{Nodes, Services, Roles, Instances, Sets} }

// Derived lists those that no history of the fold has: a doctor sees them, and writes them to the log of its queue.
func Derived() []string { return []string{Instances, Sets} }

// Event is a change, in the form of the ancestor's events: all values are texts.
type Event struct {
	ID            string `json:"id"` // the same for every reader of the same change
	Type          string `json:"type"`
	Name          string `json:"name"` // of the node, the instance or the service
	Node          string `json:"node"` // "" = of no node
	IP            string `json:"ip"`   // "" = not known
	State         string `json:"state"`
	Code          string `json:"code"`
	PreviousState string `json:"previous_state"`
	PreviousCode  string `json:"previous_code"`
	Time          string `json:"time"` // RFC 3339, UTC

	At time.Time `json:"-"`
}

// noCode is the code of what has none, as the ancestor wrote it.
const noCode = "0"

// identified fills in the id and the time. The address and what was before are not part of the id: one reader may know
// them and another, with less history, may not.
func identified(e Event, at time.Time) Event {
	e.At = at.UTC().Truncate(time.Second)
	e.Time = human.Stamp(e.At)
	parts := []string{e.Time, e.Type, e.Name, e.Node, e.State, e.Code}
	line, _ := json.Marshal(parts) // texts alone
	sum := sha256.Sum256(line)
	e.ID = hex.EncodeToString(sum[:8])
	return e
}

// Clean makes an event that another machine wrote fit to be shown and used; false = it is none.
func (e Event) Clean() (Event, bool) {
	at, err := time.Parse(time.RFC3339, e.Time)
	for _, text := range []*string{&e.ID, &e.Type, &e.Name, &e.Node, &e.IP, &e.State, &e.Code, &e.PreviousState, &e.PreviousCode} {
		*text = human.Truncate(human.Line(*text), resultLimit)
	}
	e.At, e.Time = at.UTC(), human.Stamp(at)
	return e, err == nil && e.ID != "" && e.Name != "" && slices.Contains(Types(), e.Type)
}

// FromHistory are the events in lines of the fold's history; addresses are those of the status.
func FromHistory(list []fold.Transition, s Status) []Event {
	addresses := map[string]string{}
	for _, i := range s.Instances {
		addresses[i.ID] = i.IP
	}
	all := make([]Event, 0, len(list))
	for _, t := range list {
		e := Event{Type: Nodes, Name: t.ID, Node: t.ID, IP: addresses[t.ID], State: human.Safe(t.To), PreviousState: human.Safe(t.From), Code: noCode, PreviousCode: noCode}
		switch t.Kind {
		case history.KindCode:
			e.Type, e.Name, e.Code, e.PreviousCode = Services, t.Service, e.State, cmp.Or(e.PreviousState, noCode)
			e.State, e.PreviousState = cmp.Or(human.Safe(t.Reason), stateOfCode(t.To)), stateOfCode(t.From)
		case history.KindRole:
			e.Type, e.Name = Roles, t.Service
		}
		all = append(all, identified(e, t.Time))
	}
	return all
}

// stateOfCode is a code in a word. What is no code stays: "" = there was none, "gone" = the node offers it no longer.
func stateOfCode(code string) string {
	if code == "" || code == string(presence.Gone) {
		return code
	}
	return service.Code(code).State()
}

// Seen is the state of each instance as a doctor saw it last, by id.
type Seen map[string]string

// SeenIn is what a status shows of the instances.
func (s Status) SeenIn() Seen {
	seen := make(Seen, len(s.Instances))
	for _, i := range s.Instances {
		seen[i.ID] = i.State
	}
	return seen
}

// Changes are the events of instances between two views. Instances are matched by their id: one that was not there
// before has no previous state, and one that is not there any more is terminated.
func (was Seen) Changes(s Status) []Event {
	var all []Event
	is := s.SeenIn()
	change := func(id, ip, from, to string) {
		if from != to {
			all = append(all, identified(Event{Type: Instances, Name: id, Node: id, IP: ip, State: to, PreviousState: from, Code: noCode, PreviousCode: noCode}, s.At))
		}
	}
	for _, i := range s.Instances {
		change(i.ID, i.IP, was[i.ID], i.State)
	}
	for id, from := range was {
		if _, there := is[id]; !there {
			change(id, "", from, Terminated)
		}
	}
	slices.SortFunc(all, func(a, b Event) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
