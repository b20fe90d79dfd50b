package main

import (
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/work/run"
	"github.com/spf13/cobra"
)

// shimArg is how the agent starts itself as the supervisor of one script.
const shimArg = "work-shim"

// shimCommand is not for people: it expects an order on standard input and the
// work lock as descriptor 3.
func (p *process) shimCommand() *cobra.Command {
	return &cobra.Command{
		Use:    shimArg,
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if code := run.Supervise(c.Context()); code != 0 {
				return &cli.Exit{Code: code}
			}
			return nil
		},
	}
}
