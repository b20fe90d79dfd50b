package main

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/addagent/addagent/fleet/control"
	"github.com/addagent/addagent/fleet/view"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
	"github.com/addagent/addagent/presence/gitstore"
	"github.com/spf13/cobra"
)

const (
	// nodeLog is how many of its last transitions a node is shown with, nodeLogDays how far back they are looked for.
	nodeLog     = 10
	nodeLogDays = 30
)

func (p *program) nodeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "node ID",
		Short: "Show one node's record and its latest transitions",
		Long: `ID is the node's id, the beginning of its id or hostname, or an address; it must match
exactly one node. The last ten transitions of thirty days follow.

--json prints an object: node (the record and its age) and log (the transitions).

Exit codes: 0 the node was found, 1 no node or several match, or the presence repository could not be read.`,
		Example: `  addctl node i-0123456789abcdef0
  addctl node web1
  addctl node 10.0.0.7 --json | jq .node.repos`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return p.withRepository(func(o *control.Repository) error { return p.node(c.Context(), o, args[0]) })
		},
	}
}

func (p *program) node(ctx context.Context, o *control.Repository, word string) error {
	f, err := o.Read(ctx)
	if err != nil {
		return err
	}
	n, err := view.Find(f, word)
	if err != nil {
		return err
	}
	now := time.Now()
	list, err := o.History(ctx, n.InstanceID, now.AddDate(0, 0, -nodeLogDays))
	if err != nil {
		return err
	}
	list = list[max(0, len(list)-nodeLog):]
	if p.json {
		data, err := presence.EncodeNodes(presence.Fleet{Nodes: []presence.Node{n}}, now)
		var nodes []json.RawMessage
		if err == nil {
			err = json.Unmarshal(data, &nodes)
		}
		if err != nil {
			return err
		}
		return cli.PrintJSON(p.Out, struct {
			Node json.RawMessage   `json:"node"`
			Log  []fold.Transition `json:"log"`
		}{nodes[0], append([]fold.Transition{}, list...)})
	}
	for _, note := range f.Notes {
		if strings.HasPrefix(note, n.InstanceID+": ") {
			p.says("%s", note)
		}
	}
	return p.print(strings.Join(view.Node(n, gitstore.RefName(o.Prefix, n.InstanceID), list, now, p.colours()), "\n"))
}
