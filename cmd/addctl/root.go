package main

import (
	"github.com/addagent/addagent/internal/cli"
	"github.com/spf13/cobra"
)

// global are the flags that every command has.
type global struct {
	config         string
	presence       string
	refPrefix      string
	tokenFile      string
	sshKeyFile     string
	knownHostsFile string
	gitCredentials bool
	json           bool
}

// root is the list of commands: one file each.
func (p *process) root() *cobra.Command {
	g := &global{}
	root := &cobra.Command{
		Use:   "addctl",
		Short: "Show the nodes of a grid, their state, and what happened",
		Long: `addctl reads what the nodes said of themselves in the presence repository: it asks
git and never a node. It takes presence.url, presence.auth, presence.ref_prefix and
network from the agent's config; with --presence and without --config no config is
read. Without a flag or a config that says how, ssh goes as you do (the keys of
~/.ssh, your ssh agent, your known hosts).

What was read is remembered below XDG_CACHE_HOME/addagent (~/.cache/addagent), so
that a second look asks only for what moved.

Exit codes: 0 done, 1 failed, 2 misuse (bad flag, bad config, no presence repository),
3 a node is wedged (nodes --exit-code), 130 interrupted.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       cli.Version(),
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	f := root.PersistentFlags()
	f.StringVar(&g.config, "config", "", "config `FILE` (default /etc/addagent/addagent.yaml, which need not be there)")
	f.StringVar(&g.presence, "presence", "", "`URL` of the presence repository: https, ssh, scp-style or a path")
	f.StringVar(&g.refPrefix, "ref-prefix", "", "`PREFIX` of the nodes' refs (default refs/heads/presence/)")
	f.StringVar(&g.tokenFile, "token-file", "", "`FILE` that holds the token, for https")
	f.BoolVar(&g.gitCredentials, "git-credentials", false, "for https, ask git's own credential helpers, as git would")
	f.StringVar(&g.sshKeyFile, "ssh-key-file", "", "`FILE` that holds the private key, for ssh")
	f.StringVar(&g.knownHostsFile, "known-hosts-file", "", "`FILE` that holds the keys of servers, for ssh")
	f.BoolVar(&g.json, "json", false, "print data as JSON")
	root.AddCommand(
		p.nodesCommand(g), p.nodeCommand(g), p.logCommand(g),
		p.listCommand(g), p.foldCommand(g), p.reapCommand(g), p.sayCommand(g),
		cli.VersionCommand("addctl", &g.json), cli.CompletionCommand("addctl", completed),
	)
	root.SetHelpCommand(cli.HelpCommand())
	cli.Completions(root, p.completer(g))
	return root
}

// completed is what the shells' scripts complete, in the words of their help.
const completed = `commands, flags and files, and, where a command takes a node, the
nodes that were there when they were read last.`

// completer completes what a usage calls by a word of this program alone.
func (p *process) completer(g *global) func(word string) cobra.CompletionFunc {
	return func(word string) cobra.CompletionFunc {
		switch word {
		case "STATE":
			return cobra.FixedCompletions(standings(), cobra.ShellCompDirectiveNoFileComp)
		case "COLOUR":
			return cobra.FixedCompletions(colours(), cobra.ShellCompDirectiveNoFileComp)
		case "ID", "[ID]":
			return p.completeIDs(g)
		}
		return nil
	}
}
