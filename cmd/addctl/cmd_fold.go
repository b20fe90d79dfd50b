package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/addagent/addagent/fleet/control"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence/fold"
	"github.com/spf13/cobra"
)

func (p *program) foldCommand() *cobra.Command {
	var every time.Duration
	c := &cobra.Command{
		Use:   "presence:fold",
		Short: "Aggregate the records of all nodes into one branch, with a table and a history",
		Long: `Writes the record of every node, a table for people (README.md) and what nodes reported
(history/YYYY/MM/DD.jsonl) into the branch main of the presence repository. This is the
fold. Readers then ask for one ref instead of all.

It runs once, for cron, or with --every as a service until ^C or SIGTERM. The service
prints a line when it folded something, and reports an error once, then hourly, and when
it is resolved. One control node is enough; several share the work.

Rooms of the config with from: fleet get a message about all nodes of a part in one
state at one version when their number changes: "37 of 40 fed1/app1 wedged at 1a2b3c4:
exit 100". Of several control nodes with the same rooms, the one that holds the lease
sends it. If it dies, another one takes over after some minutes.

The service applies a changed config between two folds. It reports a bad one and keeps
the previous one.

--json prints an object a fold: nodes, moved, transitions, pushed, commit, notes.

Exit codes: 0 folded, or stopped as a service, 1 folding failed, or a room refused a
message.`,
		Example: `  addctl presence:fold --every 1m
  addctl presence:fold --presence git@git.example.org:presence.git`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("every") && every < time.Second {
				return cli.Misuse(errors.New("--every: the minimum is 1s"))
			}
			return p.fold(c.Context(), every)
		},
	}
	c.Flags().DurationVar(&every, "every", 0, "keep running and fold every `DURATION`, such as 1m")
	return c
}

func (p *program) fold(ctx context.Context, every time.Duration) error {
	out := &foldOutput{program: p, once: every == 0, timed: every > 0 && p.Env("JOURNAL_STREAM") == ""}
	s, err := control.NewService(&p.setup, every, out)
	if err != nil {
		return cli.Misuse(err)
	}
	defer s.Close()
	if every == 0 {
		return s.Once(ctx, time.Now())
	}
	if err := s.Run(ctx); err != nil {
		return cli.Failed(err) // also after a signal, which is how a service ends
	}
	return nil
}

// foldOutput prints what folds did.
type foldOutput struct {
	*program
	once  bool     // it prints also a fold that found nothing new
	timed bool     // lines begin with the time; systemd's journal has its own
	notes []string // of the fold before
}

// Folded prints what a fold did, if that is news. A note that stays is printed once.
func (o *foldOutput) Folded(r fold.Report, now time.Time) error {
	for _, n := range r.Notes {
		if !slices.Contains(o.notes, n) {
			o.Say(n)
		}
	}
	o.notes = r.Notes
	if !o.once && len(r.Transitions) == 0 && r.Moved == 0 {
		return nil
	}
	if o.json {
		// Compact and on one line: more may follow.
		return cli.PrintJSONLine(o.Out, struct {
			Nodes       int               `json:"nodes"`
			Moved       int               `json:"moved"`
			Transitions []fold.Transition `json:"transitions"`
			Pushed      bool              `json:"pushed"`
			Commit      string            `json:"commit"`
			Notes       []string          `json:"notes"`
		}{r.Nodes, r.Moved, append([]fold.Transition{}, r.Transitions...), r.Pushed, r.Commit, append([]string{}, r.Notes...)})
	}
	text := fmt.Sprintf("folded %s: %s", human.Count(r.Nodes, "node"), foldNews(r))
	switch {
	case r.Commit == "":
		text = "nothing to aggregate: no node has reported yet"
	case r.Pushed:
		text += ", main is at " + human.ID(r.Commit)
	}
	return o.print(o.stamp(now) + text)
}

// Say prints a line for people on standard error.
func (o *foldOutput) Say(text string) {
	fmt.Fprintf(o.Err, "%saddctl: %s\n", o.stamp(time.Now()), human.Safe(text))
}

func (o *foldOutput) stamp(now time.Time) string {
	if !o.timed {
		return ""
	}
	return human.Time(now) + " "
}

// foldNews is what a fold brought: a single transition in full, the number of several.
func foldNews(r fold.Report) string {
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
