package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// HelpCommand replaces that of cobra, which reports an unknown command
// on standard output and exits with 0.
func HelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show what a command does and takes",
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
				return Misuse(fmt.Errorf("there is no command %q: %s help lists them", args[0], c.Root().Name()))
			}
			return of.Help()
		},
	}
}

// VersionCommand tells which program this is, of which version; json is the flag.
func VersionCommand(program string, json *bool) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version of " + program,
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			v := struct {
				Version string `json:"version"`
				Commit  string `json:"commit,omitempty"`
				Go      string `json:"go"`
				OS      string `json:"os"`
				Arch    string `json:"arch"`
			}{version, commit(), runtime.Version(), runtime.GOOS, runtime.GOARCH}
			if *json {
				return PrintJSON(c.OutOrStdout(), v)
			}
			id := ""
			if v.Commit != "" {
				id = " (" + v.Commit + ")"
			}
			fmt.Fprintf(c.OutOrStdout(), "%s %s%s %s %s/%s\n", program, v.Version, id, v.Go, v.OS, v.Arch)
			return nil
		},
	}
}

// version is set when a package is linked.
var version = "dev"

// Version is the version of both programs.
func Version() string { return version }

// UserAgent is how a program calls itself where it asks a server.
func UserAgent(program string) string { return program + "/" + version }

// stamped is the commit, set when a package is linked: the Go tool stamps none in a work tree of git, and with
// -buildvcs=false.
var stamped = ""

// commit is what was stamped into the binary.
func commit() string {
	if stamped != "" {
		return stamped
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	id, dirty := "", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			id = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "+"
			}
		}
	}
	if len(id) > 12 {
		id = id[:12]
	}
	return id + dirty
}

// CompletionCommand prints the shells' scripts; more is what it says of the
// arguments that this program alone completes.
func CompletionCommand(program, more string) *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print the completion script for bash, zsh or fish",
		Long: `Prints a script for SHELL: bash (with the bash-completion package), zsh or fish. With
it, Tab completes ` + more,
		Example: strings.ReplaceAll(`  # this shell only
  source <(PROGRAM completion bash)

  # every shell from now on
  PROGRAM completion bash >/etc/bash_completion.d/PROGRAM
  PROGRAM completion zsh >/usr/local/share/zsh/site-functions/_PROGRAM
  PROGRAM completion fish >/etc/fish/completions/PROGRAM.fish`, "PROGRAM", program),
		Args: cobra.MatchAll(cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
			if err := cobra.OnlyValidArgs(c, args); err != nil {
				return Misuse(fmt.Errorf("completion %s: it takes bash, zsh or fish", args[0]))
			}
			return nil
		}),
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(c *cobra.Command, args []string) error {
			out := c.OutOrStdout()
			write := map[string]func() error{
				"bash": func() error { return c.Root().GenBashCompletionV2(out, true) },
				"zsh":  func() error { return c.Root().GenZshCompletion(out) },
				"fish": func() error { return c.Root().GenFishCompletion(out, true) },
			}[args[0]]
			if err := write(); err != nil {
				return fmt.Errorf("write: %w", err)
			}
			return nil
		},
	}
}

// Completions teaches every command what its arguments and flags take, from the
// words by which its usage names them: a new command needs nothing more. own
// completes the words of this program alone; nil = it knows none such.
func Completions(root *cobra.Command, own func(word string) cobra.CompletionFunc) {
	completer := func(word string) cobra.CompletionFunc {
		if complete := own(word); complete != nil {
			return complete
		}
		switch {
		case strings.Contains(word, "FILE"):
			return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
		case strings.Contains(word, "FOLDER"), strings.Contains(word, "DIR"):
			return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
		case strings.Contains(word, "URL"): // may be a path
			return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
		}
		return nil
	}
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	for _, c := range append(root.Commands(), root) {
		if _, args, _ := strings.Cut(c.Use, " "); c.ValidArgsFunction == nil && len(c.ValidArgs) == 0 {
			c.ValidArgsFunction = completer(args)
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			word, _ := pflag.UnquoteUsage(f)
			if complete := completer(word); complete != nil {
				_ = c.RegisterFlagCompletionFunc(f.Name, complete) // it fails for a flag that has one of its own
			}
		})
	}
}
