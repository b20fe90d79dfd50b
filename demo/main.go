package main

import (
	"github.com/spf13/cobra"
)

func (p *process) demoCommand(*global) *cobra.Command {
	var dir string
	keep, grid := false, false
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run a throw-away grid on this machine: a git server, an agent, pushes, work",
		Long: `Makes a bare repository below DIR, serves it over HTTP on the loopback address,
starts an agent that beats every two seconds, pushes to it, and shows what the agent
makes of that: the four verdicts, a broken script and its repair, the state files and
the log. Needs git; no root. --keep leaves it running so that you can push yourself.

With --grid there are three agents, a presence repository and a chat room: they come up
from presetup to idle and work a push, one wedges on a broken script and a new commit
unwedges it, one is killed with -9, turns late and then missing, and comes back. What
the grid says of them is shown with addctl, which must stand beside addagent. The exit
code is 0 only if all of that came true.`,
		Example: `  addagent demo
  addagent demo --grid
  addagent demo --grid --keep`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			d := demo{process: p, dir: dir, keep: keep}
			if grid {
				return newDemoGrid(d).run(c.Context())
			}
			return d.run(c.Context())
		},
	}
	c.Flags().StringVar(&dir, "dir", ".demo", "`FOLDER` to make the grid in")
	c.Flags().BoolVar(&keep, "keep", false, "leave it running until ^C")
	c.Flags().BoolVar(&grid, "grid", false, "three agents, a presence repository and a chat room: about a minute")
	return c
}
