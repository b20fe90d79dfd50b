package service

import (
	"fmt"
	"slices"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
)

// Listed is a name in services.yaml.
type Listed struct {
	Name string
	At   string // file:line:column
}

// ParseList reads services.yaml: the names of the services that the nodes of a level offer. file is how it is called in
// the problems, each of which has line and column. With problems the names mean nothing.
func ParseList(file string, data []byte) (names []Listed, problems []string) {
	problems = strictyaml.ReadList(file, data, "[ db, cache ]", func(y *strictyaml.File, n strictyaml.Node) {
		switch {
		case !n.Is(strictyaml.Text, strictyaml.Block) || !ValidName(n.Text):
			y.Wrong(n, "%s is not the name of a service: small letters, digits and -", human.Quote(n.Text))
		case slices.ContainsFunc(names, func(l Listed) bool { return l.Name == n.Text }):
			y.Wrong(n, "%s is there twice", n.Text)
		}
		names = append(names, Listed{n.Text, fmt.Sprintf("%s:%d:%d", file, n.Line, n.Column)})
	})
	return names, problems
}
