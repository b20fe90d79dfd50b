package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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

func (p *program) instancesCommand() *cobra.Command {
	var noWait bool
	c := &cobra.Command{
		Use:   "instances ACTION [GROUP [TYPE]]",
		Short: "Show or change the machines of the fleet, with the ancestor's command line",
		Long: `heartbeat prints the whole status as the JSON of the ancestor's global heartbeat: every
value is a text, but an address that is not known, which is null. In it, status is the
role of a service, and code and state are how it is. What is not known, or is a secret, is
na. The host is the machine that runs this command.

status prints a line for each instance: running while its agent is heard, stopping when its
node leaves, stopped when the node is missing. With credentials for EC2 (as addctl doctor
has them) the states are those of EC2, but one that runs and is not heard is pending.
--json prints the ancestor's envelope.

actions prints what waits in the queue, with the ancestor's keys.

start, stop, launch and terminate put an action into the queue and wait until a doctor
(addctl doctor) has done it; --no-wait does not wait. They print the ancestor's envelope.
GROUP is an instance id, an address or all, which is refused for stop and terminate; for
launch a name or address in the doctor's --expect.

Exit codes: 0 printed or done, 1 it failed, 2 an action that is refused, 130 interrupted.`,
		Example: `  addctl instances heartbeat | jq .services_status.services
  addctl instances status
  addctl instances start i-0123456789abcdef0 --no-wait`,
		Args: cobra.RangeArgs(1, 3),
		RunE: func(c *cobra.Command, args []string) error {
			m := event.Message{Level: event.Instances, Action: args[0], Group: event.All, Type: event.All}
			if len(args) > 1 {
				m.Group = args[1]
			}
			if len(args) > 2 {
				m.Type = args[2]
			}
			return p.obey(c.Context(), m, noWait, !p.json && m.Action == "status")
		},
	}
	c.Flags().BoolVar(&noWait, "no-wait", false, "do not wait until an action is done")
	return p.requestsFlag(c)
}

func (p *program) servicesCommand() *cobra.Command {
	var noWait bool
	c := &cobra.Command{
		Use:   "services [ACTION [GROUP [TYPE]]]",
		Short: "List the services of the fleet, and who uses them",
		Long: `Prints a line for each service of a deployment, trouble first: how many of its endpoints are
available, how many items use it, which endpoints are not available with their code, and
which users are behind: their last success was with other endpoints than there are now.

With an ACTION it is the ancestor's command line. status prints its envelope. install,
start, stop, restart, drain and undrain put an action into the queue and wait until the
nodes that offer the services have answered (requests, docs/doctor.md); --no-wait does not
wait. GROUP is a service, a node, an address, a deployment or all, TYPE a mode or a section
of the ancestor (db nosql proxy lb bench monitor http); stop and drain need one of them.
Where the instance of a service does not run, a doctor with --expect starts or launches it
first. What was an action of the ancestor and is none today is refused with what does its
work.

--json prints a list of objects: service, deployment, available, endpoints, users.

Exit codes: 0 printed or done, 1 it failed, 2 an action that is refused, 130 interrupted.`,
		Example: `  addctl services
  addctl services --json | jq -r '.[] | select(.available == 0) | .service'
  addctl services status all db
  addctl services restart db --no-wait`,
		Args: cobra.MaximumNArgs(3),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				args = append(args, []string{event.All, event.All}[len(args)-1:]...)
				return p.obey(c.Context(), event.Message{Level: event.Services, Action: args[0], Group: args[1], Type: args[2]}, noWait, false)
			}
			return p.withRepository(func(o *control.Repository) error {
				f, all, err := o.Services(c.Context())
				if err != nil {
					return err
				}
				p.notes(f)
				switch {
				case p.json:
					return cli.PrintJSON(p.Out, all)
				case len(all) == 0:
					p.says("no node offers or uses a service")
					return nil
				}
				p.table(view.ServicesTable(all))
				return nil
			})
		},
	}
	c.Flags().BoolVar(&noWait, "no-wait", false, "do not wait until an action is done")
	return p.requestsFlag(c)
}

func (p *program) rawCommand() *cobra.Command {
	var noWait bool
	c := &cobra.Command{
		Use:   "raw MESSAGE",
		Short: "Do what a message of the ancestor asks, and print its answer",
		Long: `MESSAGE is {"level","command":{"action","group","type"}}, or - for standard input. The levels
are instances (heartbeat status actions start stop launch terminate) and services (status
install start stop restart drain undrain). What was an action of the ancestor and is none today is refused with what does
its work. docs/doctor.md has the answers.

Exit codes: 0 printed or done, 1 it failed, 2 refused, or a mistake in MESSAGE, 130
interrupted.`,
		Example: `  addctl raw '{"level":"services","command":{"action":"status","group":"all","type":"db"}}'`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			data := []byte(args[0])
			if args[0] == "-" {
				var err error
				if data, err = io.ReadAll(io.LimitReader(p.In, actionsLimit)); err != nil {
					return err
				}
			}
			m, problems := event.ParseMessage("message", data)
			if err := p.mistakes("message", problems); err != nil {
				return err
			}
			return p.obey(c.Context(), m, noWait, false)
		},
	}
	c.Flags().BoolVar(&noWait, "no-wait", false, "do not wait until an action is done")
	return p.requestsFlag(c)
}

// status reads the nodes and derives the status of the fleet.
func (p *program) status(ctx context.Context, o *control.Repository) (event.Status, error) {
	f, err := o.Read(ctx)
	if err != nil {
		return event.Status{}, err
	}
	p.notes(f)
	provider := event.Provider{}
	a, err := p.account(ctx)
	if err == nil && a != nil {
		provider.At = time.Now()
		provider.Instances, err = a.Instances(ctx)
	}
	if err != nil {
		p.says("%v: the states are those that the nodes report", err)
	}
	return event.StatusOf(f, provider, time.Now()), nil
}

// obey does what a message asks, and prints the answer: as a table, or as the ancestor did.
func (p *program) obey(ctx context.Context, m event.Message, noWait, table bool) error {
	if why := m.Refusal(); why != "" {
		data, err := m.Refuse(why)
		return errors.Join(p.write(data, err), cli.Misuse(errors.New(why)))
	}
	switch {
	case m.Action == "actions":
		return p.withQueue(func(s *doctor.Store) error {
			q, err := s.Read(ctx)
			if err != nil {
				return err
			}
			return p.write(m.Read(event.Status{}, q, event.Host{}, event.Cloud{}))
		})
	case !m.Reads():
		return p.withQueue(func(s *doctor.Store) error { return p.await(ctx, s, m, noWait) })
	}
	return p.withRepository(func(o *control.Repository) error {
		s, err := p.status(ctx, o)
		if err != nil {
			return err
		}
		host, err := control.ThisHost()
		switch {
		case err != nil:
			return err
		case table:
			p.instances(s, m.Group)
			return nil
		}
		return p.write(m.Read(s, event.Queue{}, host, event.Cloud{}))
	})
}

func (p *program) write(data []byte, err error) error {
	if err == nil {
		_, err = p.Out.Write(data)
	}
	return err
}

// awaitEach is how often the queue is read while a command waits for an action.
const awaitEach = 2 * time.Second

// await puts the action of a message into the queue, and waits until it has ended.
func (p *program) await(ctx context.Context, s *doctor.Store, m event.Message, noWait bool) error {
	now := time.Now()
	var ids []string
	q, err := s.Change(ctx, now, func(q event.Queue) (next event.Queue, _ []event.Line, err error) {
		next, ids, err = q.Add([]event.Action{m.ToDo()}, now)
		return next, nil, err
	})
	if err != nil {
		return err
	}
	e, there := q.Find(ids[0])
	if !noWait {
		e, there, err = s.Await(ctx, ids[0], awaitEach)
	}
	switch {
	case ctx.Err() != nil: // also while it was read, which then found nothing
		p.says("interrupted; action %s stays in the queue: addctl action:list", ids[0])
		return &cli.Exit{Code: cli.ExitInterrupted}
	case err != nil:
		return err
	case !there:
		return fmt.Errorf("action %s is not in the queue any more", ids[0])
	}
	if err := p.write(m.Done(e, time.Now())); err != nil || e.Phase == event.Succeeded || !e.Over() {
		return err
	}
	return fmt.Errorf("action %s %s: %s", e.ID, e.Phase, e.Result)
}

func (p *program) instances(s event.Status, group string) {
	t := view.Table{Head: []string{"ID", "IP", "STATE"}}
	meant := s.InstancesOf(group)
	for _, i := range s.Instances {
		if slices.Contains(meant, i.ID) {
			t.Rows = append(t.Rows, []view.Cell{{Text: human.Safe(i.ID)}, {Text: human.Safe(i.IP)}, {Text: human.Safe(i.State)}})
		}
	}
	p.table(t)
}
