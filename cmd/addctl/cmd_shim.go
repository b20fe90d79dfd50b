package main

import (
	"os"

	"github.com/addagent/addagent/fleet/handler"
	"github.com/spf13/cobra"
)

// shimArg is how the doctor starts this program as the supervisor of one handler.
const shimArg = "handler-shim"

// shimCommand is not for people: it expects an order on standard input.
func (p *program) shimCommand() *cobra.Command {
	return &cobra.Command{
		Use:    shimArg,
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return handler.Supervise(c.Context(), os.Stdin, os.Stdout)
		},
	}
}
