package main

import (
	"fmt"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/daemon"
	"github.com/spf13/cobra"
)

// root is the list of commands: one file each.
func (p *process) root() *cobra.Command {
	g := &cli.Flags{}
	root := &cobra.Command{
		Use:   "addagent",
		Short: "Pull git, see what changed, do the work once, and report it",
		Long: `addagent looks at git repositories once a minute, at this node's own second. When
something that this node watches has changed, it runs the repository's work script
under a lock and reports the state of the node.

Exit codes: 0 done (or nothing due), 1 failed, 2 misuse (bad flag, bad config),
3 wedged, 4 busy (another agent holds the beat lock), 5 disabled, 10 something is due
(plan --exit-code), 130 interrupted.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       cli.Version(),
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.PersistentFlags().StringVar(&g.Config, "config", "", "config `FILE` (default /etc/addagent/addagent.yaml)")
	root.PersistentFlags().StringVar(&g.Home, "home", "", "`FOLDER` for all files, locks included, instead of the config's home")
	root.PersistentFlags().BoolVar(&g.JSON, "json", false, "print data as JSON")
	root.AddCommand(
		p.runCommand(g), p.beatCommand(g), p.planCommand(g), p.statusCommand(g), p.whyCommand(g),
		p.servicesCommand(g), p.disableCommand(g), p.enableCommand(g), p.wedgeCommand(g), p.unwedgeCommand(g), p.drainCommand(g), p.undrainCommand(g),
		p.checkCommand(g), p.doctorCommand(g), cli.VersionCommand("addagent", &g.JSON), p.shimCommand(),
		p.logCommand(g), p.exampleCommand(g), cli.CompletionCommand("addagent", completed),
	)
	root.SetHelpCommand(cli.HelpCommand())
	cli.Completions(root, p.completer(g))
	return root
}

// withConfig is a command that needs the config, and reports what is wrong with it.
func (p *process) withConfig(g *cli.Flags, do func(c *cobra.Command, cfg *config.Config, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		cfg, wrong, err := daemon.ConfigLoader{Process: p.Process, Flags: g}.LastGood()
		if wrong != nil {
			fmt.Fprintln(p.Err, "addagent:", wrong)
		}
		if err != nil {
			return err
		}
		return do(c, cfg, args)
	}
}
