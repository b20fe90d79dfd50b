package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// helpCommand takes the place of cobra's, which says to standard output, and calls a
// success, that there is no such command.
func (p *process) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "what a command does and takes",
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
			for _, other := range c.Root().Commands() {
				if !other.Hidden && len(args) == 0 {
					names = append(names, cobra.CompletionWithDesc(other.Name(), other.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			of, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return misuse(fmt.Errorf("there is no command %q: addagent help lists them", args[0]))
			}
			return of.Help()
		},
	}
}
