package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/addagent/addagent/fleet/control"
	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/fleet/view"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence/fold"
	"github.com/spf13/cobra"
)

func (p *program) eventsCommand() *cobra.Command {
	var types []string
	var f readingFlags
	c := &cobra.Command{
		Use:   "events",
		Short: "Show what changed in the fleet, in the form that actions and handlers take",
		Long: `Prints a line an event, oldest first: the time, the type, the name and node, the state
before and after. The type nodes is of the states and ages of nodes, services of the codes of
their services, and roles of the roles of these.

Events are the lines of the history (addctl log). The id of an event is the same for every
reader, so it tells a repetition.

--json prints an object a line: id, type, name, node, ip, state, code, previous_state,
previous_code, time. All values are texts.

Exit codes: 0 the history was read, 1 it could not be read, 130 interrupted, which is how
--follow ends.`,
		Example: `  addctl events --since 7d
  addctl events -f --json --type nodes`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := f.reading(c)
			if err != nil {
				return err
			}
			for _, t := range types {
				if !slices.Contains(event.Types(), t) {
					return cli.Misuse(fmt.Errorf("--type %s: unknown; the types are: %s", human.Quote(t), human.List(event.Types(), "and")))
				}
			}
			return p.withRepository(func(o *control.Repository) error { return p.events(c.Context(), o, types, r) })
		},
	}
	f.add(c, "events")
	c.Flags().StringSliceVar(&types, "type", nil, "only events of this `TYPE`: "+human.List(event.Types(), "or")+"; several with commas")
	return c
}

func (p *program) events(ctx context.Context, o *control.Repository, types []string, r reading) error {
	f, err := o.Read(ctx) // for the addresses
	if err != nil {
		return err
	}
	p.notes(f)
	s := event.StatusOf(f, event.Provider{}, time.Now())
	of := func(t fold.Transition) event.Event { return event.FromHistory([]fold.Transition{t}, s)[0] }
	r.keep = func(t fold.Transition) bool { return len(types) == 0 || slices.Contains(types, of(t).Type) }
	r.print = func(t fold.Transition) error {
		if p.json {
			return cli.PrintJSONLine(p.Out, of(t))
		}
		return p.print(view.Event(of(t), p.colours()))
	}
	return p.read(ctx, o, r)
}
