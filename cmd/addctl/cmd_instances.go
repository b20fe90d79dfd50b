package main

import (
	"context"
	"time"

	"github.com/addagent/addagent/fleet/control"
	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/fleet/view"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/human"
	"github.com/spf13/cobra"
)

func (p *program) instancesCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "instances heartbeat | status",
		Short: "Show the machines of the fleet and what they offer, as one status",
		Long: `An instance is running while its agent is heard, stopping when its node leaves, and
stopped when the node is missing.

heartbeat prints the whole status as the JSON of the ancestor's global heartbeat: every
value is a text, but an address that is not known, which is null. In it, status is the
role of a service, and code and state are how it is. What is not known, or is a secret, is
na. The host is the machine that runs this command.

status prints a line for each instance; --json prints a list of objects: id, ip, state.

Exit codes: 0 printed, 1 the presence repository could not be read, 2 another action.`,
		Example: `  addctl instances heartbeat | jq .services_status.services
  addctl instances status`,
		ValidArgs: []string{"heartbeat", "status"},
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE: func(c *cobra.Command, args []string) error {
			return p.withRepository(func(o *control.Repository) error {
				s, err := p.status(c.Context(), o)
				if err != nil {
					return err
				}
				return p.instances(s, args[0])
			})
		},
	}
	return c
}

// status reads the nodes and derives the status of the fleet.
func (p *program) status(ctx context.Context, o *control.Repository) (event.Status, error) {
	f, err := o.Read(ctx)
	if err != nil {
		return event.Status{}, err
	}
	p.notes(f)
	return event.StatusOf(f, event.Provider{}, time.Now()), nil
}

func (p *program) instances(s event.Status, action string) error {
	switch {
	case action == "heartbeat":
		host, err := control.ThisHost()
		if err != nil {
			return err
		}
		data, err := event.Heartbeat(s, host, event.Cloud{})
		if err == nil {
			_, err = p.Out.Write(data)
		}
		return err
	case p.json:
		return cli.PrintJSON(p.Out, append([]event.Instance{}, s.Instances...))
	}
	t := view.Table{Head: []string{"ID", "IP", "STATE"}}
	for _, i := range s.Instances {
		t.Rows = append(t.Rows, []view.Cell{{Text: human.Safe(i.ID)}, {Text: human.Safe(i.IP)}, {Text: human.Safe(i.State)}})
	}
	p.table(t)
	return nil
}
