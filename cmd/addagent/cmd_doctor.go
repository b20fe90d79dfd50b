package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/addagent/addagent/config"
	"github.com/addagent/addagent/node"
	"github.com/spf13/cobra"
)

func (p *process) doctorCommand(g *global) *cobra.Command {
	quiet := false
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Test every credential and service once, and suggest fixes",
		Long: `Tries what this node needs, each thing once and side by side: its config and folders,
the clock, each repository and each mirror by itself, the presence repository and
whether it would let this node push, each room, the cloud, the way to end a wedged
machine, metrics, systemd. A server that hangs costs beat.look_timeout and holds up
nothing else. Below what does not work a line says how to mend it.

It SPEAKS: each room of the config hears one grey line, since nothing else tells that
a message arrives. With --quiet-rooms it only sees whether their addresses are
understood.

It takes no lock, moves no ref and writes none of the agent's files, so it may run
beside a living agent. As another account than the agent's it skips what that account
may not see, and says so.

Exit codes: 0 all works, 1 something does not, 2 a bad config.`,
		Example: `  addagent doctor
  addagent doctor --quiet-rooms --json | jq -r '.[] | select(.status == "fail") | .mend'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.doctor(c.Context(), g, quiet)
		},
	}
	c.Flags().BoolVar(&quiet, "quiet-rooms", false, "say nothing in the rooms")
	return c
}

func (p *process) doctor(ctx context.Context, g *global, quiet bool) error {
	d := &doctor{p: p, g: g, quiet: quiet, now: now()}
	found, usable := d.settle(ctx)
	misused := fails(found) > 0
	if usable {
		found = append(found, examine(ctx, d.cfg.Beat.LookTimeout, d.checks())...)
	}
	if ctx.Err() != nil {
		return &exit{Code: exitInterrupted}
	}
	for i := range found {
		found[i].Text, found[i].Mend = oneLine(found[i].Text), oneLine(found[i].Mend)
	}
	if err := p.printFindings(found, g.json); err != nil {
		return err
	}
	switch {
	case misused:
		return misuse(nil)
	case fails(found) > 0:
		return failed(nil)
	}
	return nil
}

// doctor tries what one node needs.
type doctor struct {
	p     *process
	g     *global
	quiet bool // no room is spoken to
	now   time.Time

	cfg  *config.Config
	info node.Info
	me   node.Identity // its ID is "" when that is not known
}

// settle reads what all else is tried with: the config and who this node is. What fails here is a bad config; usable says
// that there is one to go on with all the same.
func (d *doctor) settle(ctx context.Context) (found []finding, usable bool) {
	cfg, wrong, err := loading{p: d.p, g: d.g}.good()
	d.cfg = cfg
	add := func(f finding) { f.Check = "config"; found = append(found, f) }
	bad := func(err error) {
		problems := problemsOf(err) // each says what to do
		for i, problem := range problems {
			mend := ""
			if i == len(problems)-1 {
				mend = "edit it, until addagent check" + d.g.flags() + " is content"
			}
			add(fail(problem, mend))
		}
	}
	if err != nil {
		bad(err)
		return found, false
	}
	if wrong != nil {
		bad(wrong)
		add(note("all else is tried with the last good config", ""))
	} else if len(cfg.Files()) == 0 {
		add(good("no file: everything is as it is by default"))
	} else {
		add(good("%s", strings.Join(cfg.Files(), ", ")))
	}
	for _, n := range cfg.Notes {
		add(note(n.Error(), ""))
	}
	d.info, err = node.ReadInfo(filepath.Join(cfg.Home, "nodeinfo"))
	bad(err)
	if _, err := sources(cfg, d.info); err != nil {
		bad(err)
	}
	return append(found, d.identity(ctx)), true
}

func (p *process) printFindings(found []finding, asJSON bool) error {
	if asJSON {
		return printJSON(p.out, found)
	}
	marks := map[status]string{worksWell: "ok", isFailing: "FAIL", isNoted: "note", isSkipped: "skipped"}
	counts := map[status]int{}
	wide := 0
	for _, f := range found {
		wide = max(wide, len([]rune(f.Check)))
	}
	for _, f := range found {
		counts[f.Status]++
		fmt.Fprintf(p.out, "%-7s  %-*s  %s\n", marks[f.Status], wide, f.Check, f.Text)
		if f.Mend != "" {
			fmt.Fprintf(p.out, "%-7s  %-*s  mend: %s\n", "", wide, "", f.Mend)
		}
	}
	words := fmt.Sprintf("%d ok", counts[worksWell])
	for _, c := range []struct {
		status status
		word   string
	}{{isNoted, "to note"}, {isSkipped, "skipped"}, {isFailing, "FAILED"}} {
		if n := counts[c.status]; n > 0 {
			words += fmt.Sprintf(", %d %s", n, c.word)
		}
	}
	if _, err := fmt.Fprintln(p.out, words); err != nil {
		return failed(fmt.Errorf("write: %w", err))
	}
	return nil
}
