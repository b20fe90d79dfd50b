package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/addagent/addagent/internal/check"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/daemon"
	"github.com/addagent/addagent/internal/human"
	"github.com/spf13/cobra"
)

func (p *process) checkCommand(g *cli.Flags) *cobra.Command {
	live, quiet, image := false, false, false
	c := &cobra.Command{
		Use:   "check",
		Short: "Check the config, or test every credential and service (--live)",
		Long: `Prints every key with its value and its source, with secrets masked, the identity of
this node, and all problems at once. It contacts no server. In the clones that are here it
reads service.yaml and services.yaml of all services, also those of other nodes.

With --live it tests every credential and service once, and suggests fixes: config and
folders, the clock, each repository and each mirror, the presence repository and
permission to push to it, each room, the cloud, the way to end a wedged machine,
metrics, systemd. The tests run side by side. A server that hangs costs
beat.look_timeout and delays no other test.

--live SENDS MESSAGES: one grey line to each room of the config, because nothing else
shows that a message arrives. With --quiet-rooms it only checks the addresses.

It takes no lock, moves no ref and writes none of the agent's files, so it may run
beside a running agent. Under another account than the agent's it skips and names what
that account may not see.

With --image it lists what must not be in an image of this machine, a line each with
tabs between its fields: "home" and "folder" with the agent's folders, "file" with a
file that holds a secret, "value" with FILE:LINE of a secret in the config or in
/etc/default/addagent, then the key.

Exit codes: 0 no problem, 1 a mistake in a service, or a test of --live failed, 2 a bad
config.`,
		Example: `  addagent check
  addagent check --config ./addagent.yaml && cp addagent.yaml /etc/addagent/
  addagent check --live
  addagent check --live --quiet-rooms --json | jq -r '.[] | select(.status == "fail") | .mend'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if image {
				return p.checkImage(g)
			}
			return p.check(c.Context(), &check.Checker{Process: p.Process, Flags: g, Live: live, Quiet: quiet, Now: time.Now().UTC()})
		},
	}
	c.Flags().BoolVar(&image, "image", false, "list what must not be in an image of this machine")
	c.Flags().BoolVar(&live, "live", false, "test every credential and service once, and suggest fixes")
	c.Flags().BoolVar(&quiet, "quiet-rooms", false, "with --live, send nothing to the rooms")
	c.MarkFlagsMutuallyExclusive("image", "live")
	return c
}

// doctorCommand is what check --live was called before. It goes with the next version.
func (p *process) doctorCommand(g *cli.Flags) *cobra.Command {
	c := p.checkCommand(g)
	c.Use, c.Hidden = "doctor", true
	_ = c.Flags().Set("live", "true") // it takes true
	return c
}

func (p *process) check(ctx context.Context, c *check.Checker) error {
	found, problems := c.Run(ctx)
	if ctx.Err() != nil {
		return &cli.Exit{Code: cli.ExitInterrupted}
	}
	var err error
	switch {
	case c.Live && c.Flags.JSON:
		err = cli.PrintJSON(p.Out, found)
	case c.Live:
		err = printFindings(p.Out, found)
	default:
		err = p.printConfig(c, found)
	}
	switch {
	case err != nil:
		return err
	case problems > 0 && c.Live:
		return cli.Misuse(nil)
	case problems > 0:
		return cli.Misuse(fmt.Errorf("%s", human.Count(check.Failures(found), "problem")))
	case check.Failures(found) > 0 && !c.Live:
		return cli.Failed(fmt.Errorf("%s", human.Count(check.Failures(found), "problem")))
	case check.Failures(found) > 0:
		return cli.Failed(nil)
	}
	return nil
}

// checkImage prints what must not be in an image of this machine.
func (p *process) checkImage(g *cli.Flags) error {
	all, err := check.Image(daemon.ConfigLoader{Process: p.Process, Flags: g})
	if err != nil {
		return cli.Misuse(err)
	}
	if g.JSON {
		return cli.PrintJSON(p.Out, all)
	}
	for _, u := range all {
		if _, err := fmt.Fprintf(p.Out, "%s\t%s\t%s\n", u.Kind, u.Where, u.Key); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

// printConfig prints the config and the node as they are understood, then what is wrong with them.
func (p *process) printConfig(c *check.Checker, found []check.Finding) error {
	report := c.Report(found)
	if c.Flags.JSON {
		return cli.PrintJSON(p.Out, report)
	}
	t := tabwriter.NewWriter(p.Out, 0, 0, 2, ' ', 0)
	for _, l := range report.Config {
		fmt.Fprintf(t, "%s\t%s\t%s\n", l.Key, l.Value, l.From)
	}
	if n := report.Node; n != nil {
		fmt.Fprintf(t, "\ninstance-id\t%s\t%s\n", n.ID, n.Source)
		for _, f := range [][2]string{{"nodepart", n.Nodepart}, {"stacktype", n.Stacktype}, {"deployment", n.Deployment}, {"initgitrepo", n.InitGitRepo}} {
			fmt.Fprintf(t, "%s\t%s\tnodeinfo\n", f[0], cmp.Or(f[1], "-"))
		}
		if !n.NextBeat.IsZero() {
			fmt.Fprintf(t, "next beat\t%s\tthe schedule, at this node's own second\n", human.Moment(n.NextBeat, time.Now()))
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	for _, note := range report.Notes {
		fmt.Fprintln(p.Err, "note:", note)
	}
	for _, problem := range report.Problems {
		fmt.Fprintln(p.Err, problem) // which begins with file:line:column, where an editor looks for it
	}
	return nil
}

// printFindings prints what --live found.
func printFindings(w io.Writer, found []check.Finding) error {
	marks := map[check.Result]string{check.OK: "ok", check.Failing: "FAIL", check.Noted: "note", check.Skipped: "skipped"}
	counts := map[check.Result]int{}
	wide := 0
	for _, f := range found {
		wide = max(wide, len([]rune(f.Check)))
	}
	for _, f := range found {
		counts[f.Status]++
		fmt.Fprintf(w, "%-7s  %-*s  %s\n", marks[f.Status], wide, f.Check, f.Text)
		if f.Fix != "" {
			fmt.Fprintf(w, "%-7s  %-*s  fix: %s\n", "", wide, "", f.Fix)
		}
	}
	words := fmt.Sprintf("%d ok", counts[check.OK])
	for _, c := range []struct {
		Result check.Result
		word   string
	}{{check.Noted, "to note"}, {check.Skipped, "skipped"}, {check.Failing, "FAILED"}} {
		if n := counts[c.Result]; n > 0 {
			words += fmt.Sprintf(", %d %s", n, c.word)
		}
	}
	if _, err := fmt.Fprintln(w, words); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
