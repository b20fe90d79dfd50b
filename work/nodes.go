package work

import (
	"fmt"
	"maps"
	"strings"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
)

// Nodes names the nodes that a watch depends on: those that agree in every field that is set. The zero value is no
// watch of nodes.
type Nodes struct{ Part, Stacktype, Deployment string }

// nodesKey begins the key of a watch of nodes, see Fingerprints. The blank keeps it apart from a repository of that
// name.
const nodesKey = "nodes of "

// key is the watch's name among the ids, and what people read: "nodes of part app1, deployment prod".
func (n Nodes) key() string {
	var all []string
	for _, f := range []struct{ name, value string }{{"part", n.Part}, {"stacktype", n.Stacktype}, {"deployment", n.Deployment}} {
		switch {
		case f.value == "":
		case plain.MatchString(f.value):
			all = append(all, f.name+" "+f.value)
		default: // quoted: a comma in a name must not make two watches one
			all = append(all, f.name+" "+fmt.Sprintf("%q", f.value))
		}
	}
	return nodesKey + strings.Join(all, ", ")
}

// filter is what Survey.Nodes is asked with.
func (n Nodes) filter() map[string]string {
	f := map[string]string{"part": n.Part, "stacktype": n.Stacktype, "deployment": n.Deployment}
	maps.DeleteFunc(f, func(_, value string) bool { return value == "" })
	return f
}

// NodeSet is what is known of a set of nodes.
type NodeSet struct {
	ID    string // any text that differs when the set does, "" for no node at all
	Known bool   // false = it was not read yet since the start
	Await string // why an item that never met the set had better wait for it; "" = it need not
}

// withNodes completes the ids of an item by those of the nodes that it watches. They are no part of what is kept
// between beats: nodes come and go without a push.
//
// What is not known now is taken to be what the item last met: nothing becomes due for not knowing, and a failed item
// does not get new tries by a restart of the agent. That is the last attempt where it was no success, else the last
// success. Not met yet is "", so a first success without knowledge is followed by another run as soon as there is some:
// await says why that one had better wait.
func withNodes(it Item, ids map[string]string, m Memory, ask func(filter map[string]string) NodeSet) (all map[string]string, await, notice string) {
	all = maps.Clone(ids)
	for _, w := range it.Watch {
		if w.Nodes == (Nodes{}) {
			continue
		}
		key, set := w.Nodes.key(), NodeSet{}
		if ask != nil {
			set = ask(w.Nodes.filter())
		} else {
			notice = it.Name + " watches nodes, but presence.read is 0"
		}
		last, met := m.lastMet(key)
		if all[key] = set.ID; !set.Known {
			all[key] = last
		}
		if !met && await == "" {
			await = set.Await
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

// readNodes reads the value of nodes in a watch: at least one of { part: app1, stacktype: lad1, deployment: prod }.
func readNodes(y *strictyaml.File, f strictyaml.Field) (n Nodes) {
	if f.Value.Kind != strictyaml.Map || len(f.Value.Fields) == 0 {
		y.Wrong(f.Key, "nodes: must be keys and values, as in { part: app1 }, not %s", strictyaml.What(f.Value))
		return n
	}
	to := map[string]*string{"part": &n.Part, "stacktype": &n.Stacktype, "deployment": &n.Deployment}
	for _, f := range y.Fields(f.Value, []string{"part", "stacktype", "deployment"}) {
		s, ok := y.Text(f)
		if ok && (s == "" || !folderName(s)) {
			y.Wrong(f.Key, "%s: %s is not a valid %[1]s", f.Key.Text, human.Quote(s))
		}
		*to[f.Key.Text] = s
	}
	return n
}

// folderName tells whether a name can be one folder of a path.
func folderName(name string) bool {
	return name != "." && name != ".." && !strings.ContainsAny(name, "/\\") && human.Printable(name) == name
}
