package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/daemon"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/work"
	"github.com/spf13/cobra"
)

func (p *process) planCommand(g *cli.Flags) *cobra.Command {
	exitCode := false
	c := &cobra.Command{
		Use:   "plan",
		Short: "Show what the next beat would do, without doing it",
		Long: `Asks every repository, fetches changes into a private temporary folder, judges the
items, and prints what would run and why. It takes no lock, reports nothing and writes
nothing else.

Exit codes: 0 nothing is due, or no --exit-code, 1 a repository could not be reached or
an item cannot run, 10 something is due, 130 interrupted.`,
		Example: `  addagent plan
  addagent plan --exit-code || echo "something is due, or a repository could not be reached"`,
		Args: cobra.NoArgs,
		RunE: p.withConfig(g, func(c *cobra.Command, cfg *config.Config, _ []string) error {
			return p.plan(c.Context(), cfg, g.JSON, exitCode)
		}),
	}
	c.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 10 if something is due")
	return c
}

func (p *process) plan(ctx context.Context, cfg *config.Config, asJSON, exitCode bool) error {
	now := time.Now().UTC()
	out, err := daemon.MakePlan(ctx, p.Process, cfg, now)
	if ctx.Err() != nil {
		return &cli.Exit{Code: cli.ExitInterrupted, Err: errors.New("interrupted: nothing was planned, and nothing was changed")}
	}
	if err != nil {
		return err
	}
	if asJSON {
		if err := cli.PrintJSON(p.Out, out); err != nil {
			return err
		}
	} else {
		p.printPlan(out, now)
	}
	broken := len(out.Problems) > 0 || slices.ContainsFunc(out.Looks, func(l journal.Look) bool { return l.Trouble != "" })
	if broken || slices.ContainsFunc(out.Items, func(i journal.Judged) bool { return strings.HasPrefix(i.Why, work.CannotRun) }) {
		return &cli.Exit{Code: cli.ExitFailed}
	}
	if exitCode && out.Due > 0 {
		return &cli.Exit{Code: cli.ExitDue}
	}
	return nil
}

func (p *process) printPlan(out *daemon.Plan, now time.Time) {
	for _, l := range out.Looks {
		switch {
		case l.Trouble != "":
			fmt.Fprintln(p.Err, "addagent:", human.Safe(l.Trouble))
		case l.Moved && l.Previous != "":
			fmt.Fprintf(p.Out, "%s would move %s -> %s (%s)\n", l.Repo, human.ID(l.Previous), human.ID(l.Version), l.Branch)
		case l.Moved:
			fmt.Fprintf(p.Out, "%s would be cloned at %s (%s)\n", l.Repo, human.ID(l.Version), l.Branch)
		case l.Old:
			fmt.Fprintf(p.Out, "%s disabled: %s\n", l.Repo, l.Resting)
		default:
			fmt.Fprintf(p.Out, "%s stays at %s (%s)\n", l.Repo, human.ID(l.Version), l.Branch)
		}
	}
	for _, i := range out.Items {
		what := "would not run: "
		switch {
		case strings.HasPrefix(i.Why, work.CannotRun):
			what = ""
		case out.InHand == i.Repo+":"+i.Item:
			what = "runs now: "
		case i.Held != "":
			what = i.Held + "; "
		case i.Due:
			what = "WOULD RUN: "
		case i.NotBefore != nil:
			what = "would run " + human.When(*i.NotBefore, now) + ": "
		}
		if i.Always {
			what += "run: always; "
		}
		fmt.Fprintf(p.Out, "%s:%s %s%s\n", i.Repo, i.Item, what, i.Why)
	}
	for _, h := range out.Held {
		fmt.Fprintln(p.Out, h)
	}
	for _, t := range out.Problems {
		fmt.Fprintln(p.Err, "addagent:", human.Safe(t))
	}
	switch {
	case len(out.Looks) == 0:
		fmt.Fprintln(p.Err, "no repositories: add some to the config (repos:), or put clones into gitrepo/")
	case len(out.Items) == 0:
		fmt.Fprintln(p.Err, "these repositories have no item for this node")
	}
}
