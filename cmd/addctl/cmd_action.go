package main

import (
	"context"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/addagent/addagent/fleet/control"
	"github.com/addagent/addagent/fleet/doctor"
	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/fleet/nodegroup/deploy"
	"github.com/addagent/addagent/fleet/view"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/human"
	"github.com/spf13/cobra"
)

// person names who asks.
func (p *program) person() string {
	_, user := p.Account()
	host, _ := os.Hostname()
	return strings.Trim(user+"@"+host, "@")
}

// deploy opens what instance:deploy needs.
func (p *program) deploy(run func(deploy.Fleet, deploy.Requests, string) error) error {
	return p.withRepository(func(o *control.Repository) error {
		return p.withQueue(func(s *doctor.Store) error { return run(o, s, p.person()) })
	})
}

// withQueue opens the queue for a command.
func (p *program) withQueue(run func(*doctor.Store) error) error {
	source, err := p.setup.RequestsSource()
	if err != nil {
		return cli.Misuse(err)
	}
	s, err := doctor.Open(source, p.person())
	if err != nil {
		return cli.Misuse(err)
	}
	defer s.Close()
	return run(s)
}

func (p *program) requestsFlag(c *cobra.Command) *cobra.Command {
	c.Flags().StringVar(&p.setup.Requests, "requests", "", "`URL` of the requests repository (default requests.url of the config)")
	return c
}

func (p *program) actionListCommand() *cobra.Command {
	return p.requestsFlag(&cobra.Command{
		Use:   "action:list",
		Short: "List the actions that wait, run, or ended within a week",
		Long: `Prints a line for each action of the queue, in the order of adding: its id, how far it is,
what it does and when, how often it failed, and the last result.

--json prints a list of objects with the keys of an action (docs/doctor.md) and phase,
added, matched, by, until, tries, next, nodes, request, result, ended.

Exit codes: 0 listed, 1 the queue could not be read.`,
		Example: `  addctl action:list --requests git@git.example.org:requests.git
  addctl action:list --json | jq '.[] | select(.phase == "failed")'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.withQueue(func(s *doctor.Store) error {
				q, err := s.Read(c.Context())
				if err != nil {
					return err
				}
				return p.actionList(q)
			})
		},
	})
}

func (p *program) actionList(q event.Queue) error {
	if p.json {
		return cli.PrintJSON(p.Out, append([]event.Entry{}, q.Actions...))
	}
	if n := len(q.Deliveries); n > 0 {
		p.says("%s for handlers (addctl doctor --handlers)", human.Count(n, "event"))
	}
	if len(q.Actions) == 0 {
		p.says("no actions")
		return nil
	}
	t := view.Table{Head: []string{"ID", "PHASE", "ACTION", "FAILED", "ADDED", "RESULT"}}
	colours := map[event.Phase]string{event.Runs: "yellow", event.Asked: "yellow", event.Succeeded: "green", event.Failed: "red", event.Expired: "red"}
	for _, e := range q.Actions {
		failed := ""
		if e.Tries > 0 {
			failed = strconv.Itoa(e.Tries)
		}
		t.Rows = append(t.Rows, []view.Cell{{Text: e.ID}, {Text: string(e.Phase), Colour: colours[e.Phase]}, {Text: e.String()}, {Text: failed},
			{Text: human.When(e.Added, time.Now())}, {Text: e.Result}})
	}
	p.table(t)
	for _, e := range q.Neglected(time.Now()) {
		p.says("%s has been due for more than %s, and no doctor has claimed it: run addctl doctor", e.ID, human.Setting(event.NeglectedAfter))
	}
	return nil
}

func (p *program) actionAddCommand() *cobra.Command {
	return p.requestsFlag(&cobra.Command{
		Use:   "action:add FILE",
		Short: "Add the actions of a file to the queue",
		Long: `FILE is a list of actions in YAML or JSON, or - for standard input. All mistakes in it are
reported at once, with line and column. The actions are added together or not at all.

An action that equals one that waits or runs counts as that one, so a repeated call adds
nothing. Prints the id of each action, in the order of the file. A doctor (addctl doctor)
does them.

--json prints a list of ids.

Exit codes: 0 added, 1 the queue could not be written, or is full, 2 a mistake in FILE.`,
		Example: `  addctl action:add chain.yaml
  echo '[{ do_level: nodes, do_action: work, do_group: i-1 }]' | addctl action:add -`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			list, err := p.readActions(args[0])
			if err != nil {
				return err
			}
			return p.withQueue(func(s *doctor.Store) error { return p.actionAdd(c.Context(), s, list) })
		},
	})
}

// actionsLimit bounds a file of actions.
const actionsLimit = 4 << 20

func (p *program) readActions(name string) ([]event.Action, error) {
	in := p.In
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, cli.Misuse(err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, actionsLimit))
	if err != nil {
		return nil, err
	}
	list, problems := event.ParseActions(name, data)
	return list, p.mistakes(name, problems)
}

func (p *program) actionAdd(ctx context.Context, s *doctor.Store, list []event.Action) error {
	now := time.Now()
	var ids []string
	_, err := s.Change(ctx, now, func(q event.Queue) (next event.Queue, _ []event.Line, err error) {
		next, ids, err = q.Add(list, now)
		return next, nil, err
	})
	switch {
	case err != nil:
		return err
	case p.json:
		return cli.PrintJSON(p.Out, append([]string{}, ids...))
	}
	for _, id := range ids {
		if err := p.print(id); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) actionCancelCommand() *cobra.Command {
	return p.requestsFlag(&cobra.Command{
		Use:   "action:cancel ACTION",
		Short: "Cancel an action that has not ended",
		Long: `What a doctor or a node already does for it goes on, and its result no longer counts.
Actions that come after it fail.

Exit codes: 0 cancelled, 1 the action is unknown, or has ended.`,
		Example: `  addctl action:cancel 53ac2f9e1b`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return p.withQueue(func(s *doctor.Store) error {
				now := time.Now()
				_, err := s.Change(c.Context(), now, func(q event.Queue) (event.Queue, []event.Line, error) {
					next, err := q.Cancel(args[0], now)
					return next, nil, err
				})
				return err
			})
		},
	})
}
