package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence/fold"
	"github.com/spf13/cobra"
)

func (p *process) foldCommand(g *global) *cobra.Command {
	var every time.Duration
	c := &cobra.Command{
		Use:   "presence:fold",
		Short: "Aggregate the records of all nodes into one branch, with a table and a history",
		Long: `Writes the record of every node, a table for people (README.md) and every transition
(history/YYYY/MM/DD.jsonl) into the branch main of the presence repository. Whoever
reads the grid then asks for one ref, not for all.

Once, as cron would do it, or with --every as a service: a line when something was
folded, a line when something goes wrong (once, then hourly, and when it is over), until
^C or SIGTERM. One control node is enough; where several fold, each does what the
others have not done yet.

Rooms of the config with from: fleet are told by the folding control node, a line for
all nodes of a part in one state at one version, as their number changes: "37 of 40
fed1/app1 wedged at 1a2b3c4: exit 100". Of several control nodes with the same rooms one
says each line: the one that holds the lease. When it dies another one takes over, some
minutes later.

As a service it notices a changed config between two folds. One with mistakes is said,
and the one before stays in force.

--json prints an object a fold: nodes, moved, transitions, pushed, commit, notes.

Exit codes: 0 folded, or stopped as a service, 1 it could not be folded, or a room
refused what it was told.`,
		Example: `  addctl presence:fold --every 1m
  addctl presence:fold --presence git@git.example.org:presence.git`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("every") && every < time.Second {
				return cli.Misuse(errors.New("--every: once a second is the most"))
			}
			return p.fold(c.Context(), g, every)
		},
	}
	c.Flags().DurationVar(&every, "every", 0, "go on, and fold every `DURATION`, such as 1m")
	return c
}

func (p *process) fold(ctx context.Context, g *global, every time.Duration) error {
	l := &folding{p: p, g: g, every: every, files: config.Stamp(g.configPath())}
	cfg, err := p.settings(g)
	if err != nil {
		return err
	}
	if err := l.begin(cfg); err != nil {
		return err
	}
	defer l.end()
	if every > 0 {
		return l.loop(ctx)
	}
	return l.once(ctx, time.Now())
}

// print tells what a fold did. One that found nothing new is silent, unless it is the
// only one; notes that stay are said once.
func (l *folding) print(r fold.Report, now time.Time, always bool) error {
	for _, n := range r.Notes {
		if !slices.Contains(l.notes, n) {
			l.say("%s", n)
		}
	}
	l.notes = r.Notes
	if !always && len(r.Transitions) == 0 && r.Moved == 0 {
		return nil
	}
	if l.g.json {
		return l.printJSON(r)
	}
	text := fmt.Sprintf("folded %s: %s", human.Count(r.Nodes, "node"), news(r))
	switch {
	case r.Commit == "":
		text = "nothing to fold: no node has spoken yet"
	case r.Pushed:
		text += ", main is at " + human.ID(r.Commit)
	}
	return l.p.write([]byte(l.stamp(now) + text + "\n"))
}

// printJSON prints a report, compact and on one line: more may follow.
func (l *folding) printJSON(r fold.Report) error {
	err := cli.PrintJSONLine(l.p.Out, struct {
		Nodes       int               `json:"nodes"`
		Moved       int               `json:"moved"`
		Transitions []fold.Transition `json:"transitions"`
		Pushed      bool              `json:"pushed"`
		Commit      string            `json:"commit"`
		Notes       []string          `json:"notes"`
	}{r.Nodes, r.Moved, append([]fold.Transition{}, r.Transitions...), r.Pushed, r.Commit, append([]string{}, r.Notes...)})
	if err != nil {
		return cli.Failed(fmt.Errorf("write: %w", err))
	}
	return nil
}

// news is what a fold brought: its one transition in full, of several how many.
func news(r fold.Report) string {
	switch len(r.Transitions) {
	case 0:
		return "no transition"
	case 1:
		t := r.Transitions[0]
		if t.From == "" {
			return fmt.Sprintf("%s is new and %s", t.ID, human.Safe(t.To))
		}
		return fmt.Sprintf("%s %s → %s", t.ID, human.Safe(t.From), human.Safe(t.To))
	}
	return human.Count(len(r.Transitions), "transition")
}

// stamp is the time before a line of a service; the journal has its own.
func (l *folding) stamp(now time.Time) string {
	if !l.timed {
		return ""
	}
	return human.Time(now) + " "
}

// say prints words beside the data, with the time where lines have one.
func (l *folding) say(format string, args ...any) {
	fmt.Fprintf(l.p.Err, "%saddctl: %s\n", l.stamp(time.Now()), human.Safe(fmt.Sprintf(format, args...)))
}
