package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/fleet/control"
	"github.com/addagent/addagent/fleet/view"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/presence/fold"
	"github.com/spf13/cobra"
)

func (p *program) logCommand() *cobra.Command {
	var states []string
	var f readingFlags
	c := &cobra.Command{
		Use:   "log [ID]",
		Short: "Show the transitions of every node, or of one",
		Long: `Prints a line a transition, oldest first: the time, the node, the state (or age) before
and after, the version of its first repository, and the reason. Two versions,
1a2b3c4 -> 5d6e7f8, are that of the last success and the pulled one, which is not done.
The time of a state is by the clock of the node, that of an age by the clock of the
control node. A dash in place of the first state means that the node is new, or that its
state before is not known.

ID is a node's id, the beginning of its id or hostname, or an address. A node that was
reaped is found by its whole id. Without a fold (addctl presence:fold) the history is
what the nodes' own refs still have.

--json prints an object a line.

Exit codes: 0 the history was read, 1 it could not be read, or the node is unknown,
130 interrupted, which is how --follow ends.`,
		Example: `  addctl log
  addctl log i-0123 --since 7d
  addctl log --since 2026-03-01
  addctl log --state wedged,missing --since 7d
  addctl log -f`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := f.reading(c)
			if err != nil {
				return err
			}
			return p.withRepository(func(o *control.Repository) error {
				return p.log(c.Context(), o, strings.Join(args, ""), states, r)
			})
		},
	}
	f.add(c, "transitions")
	c.Flags().StringSliceVar(&states, "state", nil, "only what became this `STATE`, or of this age (late, missing, gone); several with commas")
	return c
}

// readingFlags are those of the commands that print the history.
type readingFlags struct {
	from   string
	follow bool
	every  time.Duration
}

func (f *readingFlags) add(c *cobra.Command, what string) {
	c.Flags().StringVar(&f.from, "since", "24h", "start at `TIME` (2026-03-01, 2026-03-01T09:30:00Z) or an age (90m, 7d)")
	c.Flags().BoolVarP(&f.follow, "follow", "f", false, "follow new "+what+" until ^C")
	c.Flags().DurationVar(&f.every, "every", 5*time.Second, "with --follow, look every `DURATION`")
}

func (f *readingFlags) reading(c *cobra.Command) (reading, error) {
	since, err := cli.Moment(f.from, time.Now())
	switch {
	case err != nil:
		return reading{}, cli.Misuse(fmt.Errorf("--since %s: %w", f.from, err))
	case !f.follow && c.Flags().Changed("every"):
		return reading{}, cli.Misuse(errors.New("--every needs --follow"))
	case f.every < time.Second:
		return reading{}, cli.Misuse(errors.New("--every: the minimum is 1s"))
	}
	if !f.follow {
		return reading{since: since}, nil
	}
	return reading{since: since, every: f.every}, nil
}

// reading is what of the history is printed.
type reading struct {
	since time.Time
	every time.Duration // follow, and look so often; 0 = do not
}

func (p *program) log(ctx context.Context, o *control.Repository, word string, states []string, r reading) error {
	if err := knownStates(states); err != nil {
		return err
	}
	id, err := p.meant(ctx, o, word)
	if err != nil {
		return err
	}
	return control.Stream[fold.Transition, moved]{Since: r.since, Every: r.every, Print: p.printTransition, Key: moveOf,
		At: func(t fold.Transition) time.Time { return t.Time }, Say: p.say, None: "no transition",
		Read: func(ctx context.Context, since time.Time) ([]fold.Transition, error) {
			list, err := o.History(ctx, id, since)
			return slices.DeleteFunc(list, func(t fold.Transition) bool { return len(states) > 0 && !slices.Contains(states, t.To) }), err
		}}.Run(ctx)
}

// moved identifies a transition. From is not part of it: one reading may know it and the next one, with less history,
// may not.
type moved struct {
	id, kind, service, to string
	at                    int64 // unix seconds
}

func moveOf(t fold.Transition) moved { return moved{t.ID, t.Kind, t.Service, t.To, t.Time.Unix()} }

// meant is the id of the node that a person means by a word. A node that was reaped is found by its whole id.
func (p *program) meant(ctx context.Context, o *control.Repository, word string) (string, error) {
	if word == "" {
		return "", nil
	}
	f, err := o.Read(ctx)
	if err != nil {
		return "", err
	}
	n, err := view.Find(f, word)
	if err == nil {
		return n.InstanceID, nil
	}
	list, herr := o.History(ctx, word, time.Time{})
	if herr != nil || len(list) == 0 {
		return "", err
	}
	return word, nil
}
