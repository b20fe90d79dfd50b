package view

import (
	"fmt"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
)

// Find returns the node that a person means by its id, by the beginning of its id or hostname, or by an address. An
// exact match wins.
func Find(f presence.Fleet, word string) (presence.Node, error) {
	if n, ok := f.Node(word); ok {
		return n, nil
	}
	for _, meant := range []func(presence.Node) bool{
		func(n presence.Node) bool { return n.Hostname == word || slices.Contains(n.Addresses, word) },
		func(n presence.Node) bool {
			return strings.HasPrefix(n.InstanceID, word) || strings.HasPrefix(n.Hostname, word)
		},
	} {
		var ids []string
		var found presence.Node
		for _, n := range f.Nodes {
			if word != "" && meant(n) {
				ids, found = append(ids, n.InstanceID), n
			}
		}
		switch {
		case len(ids) == 1:
			return found, nil
		case len(ids) > 6:
			return found, fmt.Errorf("%s matches %s, such as %s", word, human.Count(len(ids), "node"), strings.Join(ids[:6], ", "))
		case len(ids) > 1:
			return found, fmt.Errorf("%s matches %s: %s", word, human.Count(len(ids), "node"), strings.Join(ids, ", "))
		}
	}
	return presence.Node{}, fmt.Errorf("no node %s among %s (addctl nodes lists them)", word, human.Count(len(f.Nodes), "node"))
}
