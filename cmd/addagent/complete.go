package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// shells are those that `completion` writes for.
func shells() []string { return []string{"bash", "zsh", "fish"} }

func (p *process) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "print the script that teaches a shell (bash, zsh or fish) to complete addagent",
		Long: `Prints a script for SHELL: bash (with the bash-completion package), zsh or fish. With
it, Tab completes commands, flags, files and folders, and, where a command takes
REPO[:ITEM], the repositories and items of this node with the verdict on each.`,
		Example: `  # this shell only
  source <(addagent completion bash)

  # every shell from now on
  addagent completion bash >/etc/bash_completion.d/addagent
  addagent completion zsh >/usr/local/share/zsh/site-functions/_addagent
  addagent completion fish >/etc/fish/completions/addagent.fish`,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: shells(),
		RunE: func(c *cobra.Command, args []string) error {
			write := map[string]func() error{
				"bash": func() error { return c.Root().GenBashCompletionV2(p.out, true) },
				"zsh":  func() error { return c.Root().GenZshCompletion(p.out) },
				"fish": func() error { return c.Root().GenFishCompletion(p.out, true) },
			}[args[0]]
			if err := write(); err != nil {
				return failed(fmt.Errorf("write: %w", err))
			}
			return nil
		},
	}
}

// completions teaches every command what its arguments and flags take, from the
// words by which its usage names them: a new command needs nothing more.
func (p *process) completions(root *cobra.Command, g *global) {
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	for _, c := range append(root.Commands(), root) {
		if _, args, _ := strings.Cut(c.Use, " "); c.ValidArgsFunction == nil && len(c.ValidArgs) == 0 {
			c.ValidArgsFunction = p.completer(g, args)
		}
		learn := func(f *pflag.Flag) {
			word, _ := pflag.UnquoteUsage(f)
			if complete := p.completer(g, word); complete != nil {
				_ = c.RegisterFlagCompletionFunc(f.Name, complete) // it fails for a flag that has one of its own
			}
		}
		c.LocalFlags().VisitAll(learn)
	}
}

// completer completes what a usage calls by this word; nil = nothing can be said.
func (p *process) completer(g *global, word string) cobra.CompletionFunc {
	switch {
	case strings.Contains(word, "REPO[:ITEM]"):
		return p.completeItems(g, true)
	case strings.Contains(word, "REPO"):
		return p.completeItems(g, false)
	case strings.Contains(word, "FILE"):
		return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	case strings.Contains(word, "FOLDER"), strings.Contains(word, "DIR"):
		return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
	case strings.Contains(word, "URL"): // may be a path
		return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	}
	return nil
}

// completeItems offers the repositories of the last beat and, where a command takes
// them, their items. It is silent where nothing can be read: it runs at each Tab.
func (p *process) completeItems(g *global, items bool) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		cfg, err := loading{p: p, g: g}.read()
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		b, err := readBeat(cfg.Home)
		if err != nil || b == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var all []cobra.Completion
		for _, l := range b.Looks {
			all = append(all, cobra.CompletionWithDesc(l.Repo, "repository"))
		}
		known := knownItems(cfg.Home)
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
