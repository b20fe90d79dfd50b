package main

import (
	"github.com/addagent/addagent/fleet/view"
	"github.com/addagent/addagent/internal/human"
	"github.com/spf13/cobra"
)

// completed is what the shells' scripts complete, in the words of their help.
const completed = `commands, flags and files. Where a command takes a node, it offers the
nodes as last read, and where it takes a group, those of nodes.json.`

// completer completes the words that only the usage of this program has.
func (p *program) completer(word string) cobra.CompletionFunc {
	switch word {
	case "STATE":
		return cobra.FixedCompletions(stateWords(), cobra.ShellCompDirectiveNoFileComp)
	case "COLOUR":
		return cobra.FixedCompletions(colours(), cobra.ShellCompDirectiveNoFileComp)
	case "GROUP", "[GROUP]":
		return p.groups.Complete
	case "ID", "[ID]":
		return p.completeIDs
	}
	return nil
}

// completeIDs offers the nodes of the last reading. It runs at each Tab, so it asks no server, and is silent where
// nothing was read yet.
func (p *program) completeIDs(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	o, err := p.setup.Open()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer o.Close()
	_ = o.Recall() // a cache that cannot be read is an empty one
	var all []cobra.Completion
	for _, n := range o.Last().Nodes {
		about := human.Line(view.Part(n.Deployment, n.Nodepart) + " " + string(n.State) + " " + n.Hostname)
		all = append(all, cobra.CompletionWithDesc(n.InstanceID, about))
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}
