package work

import (
	"encoding/json"
	"maps"
	"path/filepath"

	"github.com/addagent/addagent/service"
)

// NodeSet is what is known of a set of nodes.
type NodeSet struct {
	ID    string // any text that differs when the set does, "" for no node at all
	Known bool   // false = it was not read yet since the start
	Await string // why an item that never met the set had better wait for it; "" = it need not

	Overdue   bool            // of services: Await has lasted for an hour
	Endpoints json.RawMessage // of services: the set, for the script
}

// withSets completes the ids of an item by those of the nodes and services that it watches. They are no part of what is
// kept between beats: nodes come and go without a push.
//
// What is not known now is taken to be what the item last met: nothing becomes due for not knowing, and a failed item
// does not get new tries by a restart of the agent. That is the last attempt where it was no success, else the last
// success. Not met yet is "", so a first success without knowledge is followed by another run as soon as there is some:
// await says why that one had better wait.
func withSets(it Item, ids map[string]string, m Memory, nodes func(filter map[string]string) NodeSet, services func(service.Watch) NodeSet) (all map[string]string, await NodeSet, notice string) {
	all = maps.Clone(ids)
	var sets []json.RawMessage
	watched := 0
	for _, w := range it.Watch {
		if !w.ofSet() {
			continue
		}
		key, set := w.key(it.Repo), NodeSet{}
		switch {
		case w.Service != (service.Watch{}) && services != nil:
			set = services(w.Service)
		case w.Service.Required: // without presence nothing tells
			continue
		case w.Service != (service.Watch{}):
			set.Await = "waiting for services: presence.url is not set"
			notice = it.Name + " watches services, but presence.url is not set"
		case nodes != nil:
			set = nodes(w.Nodes.Filter())
		default:
			notice = it.Name + " watches nodes, but presence.read is 0"
		}
		if w.Service != (service.Watch{}) {
			watched++
		}
		if set.Endpoints != nil {
			sets = append(sets, set.Endpoints)
		}
		last, met := m.lastMet(key)
		if all[key] = set.ID; !set.Known {
			all[key] = last
		}
		if !met && (await.Await == "" || set.Overdue) {
			await = NodeSet{Await: set.Await, Overdue: set.Overdue}
		}
	}
	if watched > 0 { // and each set is JSON; one that is not known is as the last run had it
		if await.Endpoints = []byte{}; len(sets) == watched {
			text, _ := json.Marshal(sets)
			await.Endpoints = append(text, '\n')
		}
	}
	return all, await, notice
}

// lastMet is the id of a watch when the item last ran, false when that is not known.
func (m Memory) lastMet(key string) (id string, met bool) {
	if m.Last != nil && !m.Last.OK() {
		if id, met = m.Last.Ids[key]; met {
			return id, true
		}
	}
	if m.Done != nil {
		id, met = m.Done.Ids[key]
	}
	return id, met
}

// SetsFile is the file in the memory of its item that names the sets of services to the script, "" for one that watches
// none, and what is to be in it before a run that is recorded with them: nothing where not all are known.
func (j Judgement) SetsFile(memory string) (file string, write map[string][]byte) {
	if write = map[string][]byte{}; j.Sets != nil {
		file = filepath.Join(memory, "services.json")
	}
	if len(j.Sets) > 0 {
		write[file] = j.Sets
	}
	return file, write
}
