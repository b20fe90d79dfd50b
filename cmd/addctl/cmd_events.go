package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/addagent/addagent/fleet/control"
	"github.com/addagent/addagent/fleet/doctor"
	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/fleet/view"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/human"
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
their services, and roles of the roles of these: they are the lines of the history (addctl
log). The types instances and sets are of what a doctor sees: a machine has another state, or
a service has other endpoints (changing) and all its users have worked with them (settled).
They are in the log of the queue, in the requests repository.

The id of an event is the same for every reader, so it tells a repetition.

--json prints an object a line: id, type, name, node, ip, state, code, previous_state,
previous_code, time. All values are texts.

Exit codes: 0 the history was read, 1 it could not be read, 130 interrupted, which is how
--follow ends.`,
		Example: `  addctl events --since 7d
  addctl events -f --json --type nodes
  addctl events --type sets --requests git@git.example.org:requests.git`,
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
			return p.withRepository(func(o *control.Repository) error {
				derived := slices.ContainsFunc(types, func(t string) bool { return slices.Contains(event.Derived(), t) })
				if _, err := p.setup.RequestsSource(); !derived && (len(types) > 0 || err != nil && p.setup.Requests == "") {
					return p.events(c.Context(), o, nil, types, r)
				}
				return p.withQueue(func(s *doctor.Store) error { return p.events(c.Context(), o, s, types, r) })
			})
		},
	}
	f.add(c, "events")
	c.Flags().StringSliceVar(&types, "type", nil, "only events of this `TYPE`: "+human.List(event.Types(), "or")+"; several with commas")
	return p.requestsFlag(c)
}

func (p *program) events(ctx context.Context, o *control.Repository, s *doctor.Store, types []string, r reading) error {
	f, err := o.Read(ctx) // for the addresses
	if err != nil {
		return err
	}
	p.notes(f)
	status := event.StatusOf(f, event.Provider{}, time.Now())
	return control.Stream[event.Event, string]{Since: r.since, Every: r.every, Say: p.say, None: "no event",
		Key: func(e event.Event) string { return e.ID },
		At:  func(e event.Event) time.Time { return e.At },
		Print: func(e event.Event) error {
			if p.json {
				return cli.PrintJSONLine(p.Out, e)
			}
			return p.print(view.Event(e, p.colours()))
		},
		Read: func(ctx context.Context, since time.Time) ([]event.Event, error) {
			list, err := o.History(ctx, "", since)
			all := event.FromHistory(list, status)
			if s != nil && err == nil {
				var derived []event.Event
				derived, err = s.Events(ctx, since)
				all = append(all, derived...)
			}
			slices.SortStableFunc(all, func(a, b event.Event) int { return a.At.Compare(b.At) })
			return slices.DeleteFunc(all, func(e event.Event) bool { return len(types) > 0 && !slices.Contains(types, e.Type) }), err
		}}.Run(ctx)
}
