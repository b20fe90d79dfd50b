package main

import (
	"github.com/spf13/cobra"
)

func (p *process) demoCommand(*global) *cobra.Command {
	var dir string
	keep := false
	c := &cobra.Command{
		Use:   "demo",
		Short: "a throw-away grid on this machine: a git server, an agent, pushes, work",
		Long: `Makes a bare repository below DIR, serves it over HTTP on the loopback address,
starts an agent that beats every two seconds, pushes to it, and shows what the agent
makes of that: the four verdicts, a broken script and its repair, the state files and
the log. Needs git; no root. --keep leaves it running so that you can push yourself.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			d := &demo{process: p, dir: dir, keep: keep}
			return d.run(c.Context())
		},
	}
	c.Flags().StringVar(&dir, "dir", ".demo", "`FOLDER` to make the grid in")
	c.Flags().BoolVar(&keep, "keep", false, "leave it running until ^C")
	return c
}
