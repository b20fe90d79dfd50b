package main

import (
	"github.com/addagent/addagent/fleet/control"
	"github.com/addagent/addagent/fleet/nodegroup/groupcmd"
	"github.com/addagent/addagent/fleet/web/webcmd"
	"github.com/addagent/addagent/internal/cli"
	"github.com/spf13/cobra"
)

// root is the list of commands: one file each.
func (p *program) root() *cobra.Command {
	home, _ := p.Account()
	p.setup = control.Setup{UserAgent: cli.UserAgent("addctl"), Env: p.Env, Home: home, Root: p.Getuid() == 0}
	root := &cobra.Command{
		Use:   "addctl",
		Short: "Show the nodes of a fleet, their state and their history",
		Long: `addctl reads the nodes' reports from the presence repository. It asks git, never a node.
It takes presence.url, presence.auth, presence.ref_prefix and network from the agent's
config; with --presence and without --config it reads no config. Unless a flag or the
config says otherwise, ssh uses your own keys (~/.ssh, your ssh agent) and known hosts.

It caches what it read below XDG_CACHE_HOME/addagent (~/.cache/addagent), so that the
next reading asks only for changes.

Exit codes: 0 done, 1 failed, 2 misuse (bad flag, bad config, no presence repository),
3 a node is wedged (nodes --exit-code), 130 interrupted.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       cli.Version(),
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	f := root.PersistentFlags()
	f.StringVar(&p.setup.Config, "config", "", "config `FILE` (default /etc/addagent/addagent.yaml, optional)")
	f.StringVar(&p.setup.Presence, "presence", "", "`URL` of the presence repository: https, ssh, scp-style or a path")
	f.StringVar(&p.setup.RefPrefix, "ref-prefix", "", "`PREFIX` of the nodes' refs (default refs/heads/presence/)")
	f.StringVar(&p.setup.TokenFile, "token-file", "", "`FILE` that holds the token, for https")
	f.BoolVar(&p.setup.GitCredentials, "git-credentials", false, "for https, use git's own credential helpers")
	f.StringVar(&p.setup.SSHKeyFile, "ssh-key-file", "", "`FILE` that holds the private key, for ssh")
	f.StringVar(&p.setup.KnownHostsFile, "known-hosts-file", "", "`FILE` that holds the keys of servers, for ssh")
	f.BoolVar(&p.json, "json", false, "print data as JSON")
	root.AddCommand(
		p.nodesCommand(), p.nodeCommand(), p.logCommand(), p.eventsCommand(), p.instancesCommand(), p.servicesCommand(),
		p.actionListCommand(), p.actionAddCommand(), p.actionCancelCommand(), p.doctorCommand(), p.shimCommand(), p.rawCommand(),
		p.listCommand(), p.foldCommand(), p.reapCommand(), p.sayCommand(),
		cli.VersionCommand("addctl", &p.json), cli.CompletionCommand("addctl", completed),
	)
	p.groups = &groupcmd.Tool{Process: p.Process, JSON: &p.json, Table: p.table, Deploy: p.deploy, RequestsFlag: p.requestsFlag}
	root.AddCommand(p.groups.Commands()...)
	root.AddCommand((&webcmd.Tool{Process: p.Process, Setup: &p.setup, RequestsFlag: p.requestsFlag}).Commands()...)
	root.SetHelpCommand(cli.HelpCommand())
	cli.Completions(root, p.completer)
	return root
}
