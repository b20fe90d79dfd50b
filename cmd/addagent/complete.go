package main

import (
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/daemon"
	"github.com/addagent/addagent/internal/journal"
	"github.com/spf13/cobra"
)

// completed is what the shells' scripts complete, in the words of their help.
const completed = `commands, flags, files and folders. Where a command takes REPO[:ITEM],
it offers the repositories and items of this node, with their verdicts.`

// completer completes what a usage calls by a word of this program alone.
func (p *process) completer(g *cli.Flags) func(word string) cobra.CompletionFunc {
	return func(word string) cobra.CompletionFunc {
		switch {
		case strings.Contains(word, "REPO[:ITEM]"):
			return p.completeItems(g, true)
		case strings.Contains(word, "REPO"):
			return p.completeItems(g, false)
		}
		return nil
	}
}

// completeItems offers the repositories of the last beat and, where a command takes
// them, their items. It is silent where nothing can be read: it runs at each Tab.
func (p *process) completeItems(g *cli.Flags, items bool) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		cfg, err := daemon.ConfigLoader{Process: p.Process, Flags: g}.Read()
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		b, err := journal.ReadBeat(cfg.Home)
		if err != nil || b == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var all []cobra.Completion
		for _, l := range b.Looks {
			all = append(all, cobra.CompletionWithDesc(l.Repo, "repository"))
		}
		known := journal.KnownItems(cfg.Home)
		for i := 0; items && i < len(known); i++ {
			words := "ran here once"
			for _, j := range b.Items {
				if j.Repo+":"+j.Item != known[i] {
					continue
				}
				if words = string(j.Verdict); j.Standing != "" {
					words = j.Standing
				}
			}
			all = append(all, cobra.CompletionWithDesc(known[i], words))
			if repo, _, _ := strings.Cut(known[i], ":"); !slices.ContainsFunc(all, func(c string) bool { return strings.HasPrefix(c, repo+"\t") }) {
				all = append(all, cobra.CompletionWithDesc(repo, "repository"))
			}
		}
		return all, cobra.ShellCompDirectiveNoFileComp
	}
}
