package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/addagent/addagent/fleet/control"
	"github.com/addagent/addagent/fleet/view"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
	"github.com/spf13/cobra"
)

func (p *program) reapCommand() *cobra.Command {
	var olderThan time.Duration
	var dryRun bool
	c := &cobra.Command{
		Use:   "presence:reap",
		Short: "Delete the refs of nodes that are gone or have been missing for long",
		Long: `Deletes the refs of nodes that have been gone or missing for longer than --older-than.
A ref that moved meanwhile stays, because its node came back. Refs of nodes that are
present or late stay, and so do refs whose record cannot be read. The history of a
reaped node stays in the fold. If the node comes back, it makes a new ref.

It needs the permission to delete refs, which nodes do not need.

--json prints a list of objects: id, age, since, deleted.`,
		Example: `  addctl presence:reap --dry-run
  addctl presence:reap --older-than 168h`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if olderThan <= 0 {
				return cli.Misuse(errors.New("--older-than: give how long a node must be gone or missing, such as 24h"))
			}
			return p.withRepository(func(o *control.Repository) error { return p.reap(c.Context(), o, olderThan, dryRun) })
		},
	}
	c.Flags().DurationVar(&olderThan, "older-than", fold.ReapAfter, "only nodes that are gone or missing for longer than this `DURATION`")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "print the nodes to reap, and delete nothing")
	return c
}

func (p *program) reap(ctx context.Context, o *control.Repository, olderThan time.Duration, dryRun bool) error {
	now := time.Now()
	list, err := o.Reap(ctx, olderThan, now, dryRun)
	type reaped struct {
		ID      string       `json:"id"`
		Age     presence.Age `json:"age"`
		Since   time.Time    `json:"since"`
		Deleted bool         `json:"deleted"`
	}
	all := make([]reaped, 0, len(list))
	did := "reaped"
	if dryRun {
		did = "would be reaped"
	}
	for _, r := range list {
		all = append(all, reaped{r.Node.InstanceID, r.Age, r.Since.UTC(), !dryRun})
		if !p.json {
			fmt.Fprintf(p.Out, "%s %s %s: %s for %s\n", r.Node.InstanceID, view.Part(r.Node.Deployment, r.Node.Nodepart), did, r.Age, human.Seconds(now.Sub(r.Since)))
		}
	}
	if p.json {
		if err := cli.PrintJSON(p.Out, all); err != nil {
			return err
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", o.Source.Redacted(), err)
	}
	if len(list) == 0 {
		p.says("no node has been gone or missing for longer than %s", human.Seconds(olderThan))
	}
	return nil
}
