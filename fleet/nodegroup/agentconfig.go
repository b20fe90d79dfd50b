package nodegroup

import (
	"strings"

	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
)

// agentKeys finds keys of node.config that the agent does not have. Their values are checked on the node, where the
// files are that they name.
func (c *checker) agentKeys(at string, n strictyaml.Node) {
	var known []string
	for _, k := range config.Keys() {
		known = append(known, k.Key)
	}
	c.keysBelow(at, "", n, known)
}

// keysBelow checks the keys of one section, whose dotted name is above with a dot, "" for the whole.
func (c *checker) keysBelow(at, above string, n strictyaml.Node, known []string) {
	var here []string
	for _, k := range known {
		if rest, below := strings.CutPrefix(k, above); below {
			name, _, _ := strings.Cut(strings.ReplaceAll(rest, "[].", "."), ".")
			here = append(here, name)
		}
	}
	for _, f := range n.Fields {
		name, full := at+"."+f.Key.Text, above+f.Key.Text
		begins := func(with string) bool {
			for _, k := range known {
				if k == with || strings.HasPrefix(k, with) && strings.HasSuffix(with, ".") {
					return true
				}
			}
			return false
		}
		near := strictyaml.Nearest(f.Key.Text, here)
		switch {
		case begins(full + "[]."):
			for _, one := range f.Value.List {
				c.keysBelow(name, full+"[].", one, known)
			}
		case begins(full + "."):
			c.keysBelow(name, full+".", f.Value, known)
		case begins(full):
		case near != "":
			c.wrong(f.Key, name, "%s is not a key of the agent's config: did you mean %s?", human.Quote(f.Key.Text), near)
		default:
			c.wrong(f.Key, name, "%s is not a key of the agent's config (docs/config.md)", human.Quote(f.Key.Text))
		}
	}
}
