// Package sets names the sets of nodes that work watches, as work.yaml has them.
package sets

import (
	"fmt"
	"maps"
	"regexp"
	"strings"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
)

// plain is a name that needs no quotes.
var plain = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// Nodes names the nodes that a watch depends on: those that agree in every field that is set. The zero value is no
// watch of nodes.
type Nodes struct{ Part, Stacktype, Deployment string }

// NodesKey begins the key of a watch of nodes, see work.Fingerprints. The blank keeps it apart from a repository of
// that name.
const NodesKey = "nodes of "

// Key is the watch's name among the ids, and what people read: "nodes of part app1, deployment prod".
func (n Nodes) Key() string {
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
	return NodesKey + strings.Join(all, ", ")
}

// Filter is what work.Survey.Nodes is asked with.
func (n Nodes) Filter() map[string]string {
	f := map[string]string{"part": n.Part, "stacktype": n.Stacktype, "deployment": n.Deployment}
	maps.DeleteFunc(f, func(_, value string) bool { return value == "" })
	return f
}

// ReadNodes reads the value of nodes in a watch: at least one of { part: app1, stacktype: lad1, deployment: prod }.
func ReadNodes(y *strictyaml.File, f strictyaml.Field) (n Nodes) {
	if f.Value.Kind != strictyaml.Map || len(f.Value.Fields) == 0 {
		y.Wrong(f.Key, "nodes: must be keys and values, as in { part: app1 }, not %s", strictyaml.What(f.Value))
		return n
	}
	to := map[string]*string{"part": &n.Part, "stacktype": &n.Stacktype, "deployment": &n.Deployment}
	for _, f := range y.Fields(f.Value, []string{"part", "stacktype", "deployment"}) {
		s, ok := y.Text(f)
		if ok && (s == "" || !FolderName(s)) {
			y.Wrong(f.Key, "%s: %s is not a valid %[1]s", f.Key.Text, human.Quote(s))
		}
		*to[f.Key.Text] = s
	}
	return n
}

// FolderName tells whether a name can be one folder of a path.
func FolderName(name string) bool {
	return name != "." && name != ".." && !strings.ContainsAny(name, "/\\") && human.Printable(name) == name
}
