package nodegroup

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/addagent/addagent/internal/strictyaml"
)

// Row is one value of a group, and where it came from.
type Row struct {
	Key    string `json:"key"`
	Value  string `json:"value"` // as JSON
	From   string `json:"from"`  // __base__, the group, or default
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// JSON is the merged group.
func (g Group) JSON() []byte { return encode(object(g.Fields...), "    ") }

// Explain tells of each value of a group where it came from: one row for each element of a list and each key of a map,
// as far as both are merged, and one for each default.
func (f *File) Explain(g Group) (rows []Row) {
	add := func(key string, n strictyaml.Node) {
		rows = append(rows, Row{key, compact(n), f.Owner(n), f.Path, n.Line, n.Column})
	}
	for _, field := range g.Fields {
		key, n := field.Key.Text, field.Value
		for i, item := range n.List {
			add(fmt.Sprintf("%s[%d]", key, i), item)
		}
		for _, inner := range n.Fields {
			add(key+"."+inner.Key.Text, inner.Value)
		}
		if len(n.List)+len(n.Fields) == 0 {
			add(key, n)
		}
	}
	return append(rows, defaults(g, nil, groupKeys())...)
}

// defaults are what holds for keys that a group does not have.
func defaults(g Group, above []string, keys []key) (rows []Row) {
	for _, k := range keys {
		path := append(append([]string{}, above...), k.name)
		name := k.name
		if len(above) > 0 {
			name = above[0] + "." + k.name
		}
		n := g.Value(path...)
		if k.def != "" && n.Kind == strictyaml.Null {
			value := k.def
			if k.kind.what == strictyaml.Text {
				value = quoted(value)
			}
			rows = append(rows, Row{Key: name, Value: value, From: "default"})
		}
		if n.Kind == strictyaml.Map || len(k.kind.or) == 0 {
			rows = append(rows, defaults(g, path, k.kind.inner())...)
		}
	}
	return rows
}

// compact is a value as JSON in one line.
func compact(n strictyaml.Node) string {
	var b bytes.Buffer
	write(&b, n, "", "")
	return b.String()
}

// Summary is a group in one line.
type Summary struct {
	Name         string   `json:"name"`
	Description  string   `json:"description"`
	Region       string   `json:"region"`
	InstanceType string   `json:"instance_type"`
	Autoscale    any      `json:"autoscale"` // false, or the sizes
	RunList      []string `json:"run_list"`
	Services     []string `json:"services"`
}

type sizes struct {
	Least int `json:"node_min"`
	Most  int `json:"node_max"`
}

// Summary is the group in one line.
func (g Group) Summary() Summary {
	services, _ := g.Services()
	s := Summary{g.Name, g.Text("description"), g.Text("region"), g.Text("instance_type"), false, texts(g.RunList()), texts(services)}
	if least, most, ok := g.Autoscale(); ok {
		s.Autoscale = sizes{least, most}
	}
	return s
}

// Size is the size of the Auto Scaling group: "2 to 4", "2", or "" where there is none.
func (s Summary) Size() string {
	size, ok := s.Autoscale.(sizes)
	switch {
	case !ok:
		return ""
	case size.Least == size.Most:
		return strconv.Itoa(size.Least)
	}
	return fmt.Sprintf("%d to %d", size.Least, size.Most)
}

func texts(nodes []strictyaml.Node) []string {
	all := make([]string, len(nodes))
	for i, n := range nodes {
		all[i] = n.Text
	}
	return all
}
