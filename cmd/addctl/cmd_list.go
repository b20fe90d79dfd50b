package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/addagent/addagent/fleet/control"
	"github.com/addagent/addagent/fleet/view"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
	"github.com/spf13/cobra"
)

func (p *program) listCommand() *cobra.Command {
	var raw bool
	c := &cobra.Command{
		Use:   "presence:list",
		Short: "List the refs of the presence repository, with node, commit and age",
		Long: `Prints a line for each ref of the presence repository: the nodes' own refs, the branch
of the fold, leases, and others. A node whose ref has moved since the fold was made is
marked; the next fold includes it.

--raw prints full ids and names, as git ls-remote does, and reads no record.

--json prints a list of objects: ref, id, what (node, fold, lease, other) and, of nodes,
node, age and told.`,
		Example: `  addctl presence:list
  addctl presence:list --raw | wc -l`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.withRepository(func(o *control.Repository) error { return p.list(c.Context(), o, raw) })
		},
	}
	c.Flags().BoolVar(&raw, "raw", false, "print full ids and names, as git ls-remote does")
	return c
}

// listed is one ref of `presence:list --json`.
type listed struct {
	Ref   string       `json:"ref"`
	ID    string       `json:"id"`   // of the commit
	What  string       `json:"what"` // node, fold, lease, other
	Node  string       `json:"node,omitempty"`
	Age   presence.Age `json:"age,omitempty"`
	Told  *time.Time   `json:"told,omitempty"`
	Newer bool         `json:"newer,omitempty"` // than what was read: the fold does not know it yet
}

func (p *program) list(ctx context.Context, o *control.Repository, raw bool) error {
	refs, err := o.Refs(ctx)
	if err != nil {
		return err
	}
	if len(refs) == 0 {
		p.says("no ref begins with %s in %s", o.Prefix, o.Source.Redacted())
		if p.json {
			return cli.PrintJSON(p.Out, []listed{})
		}
		return nil
	}
	if raw && !p.json {
		for _, r := range refs {
			fmt.Fprintf(p.Out, "%s\t%s\n", r.ID, r.Name)
		}
		return nil
	}
	f, err := o.Read(ctx)
	if err != nil {
		return err
	}
	p.notes(f)
	all := describe(refs, f, o, time.Now())
	if p.json {
		return cli.PrintJSON(p.Out, all)
	}
	p.table(refsTable(all, time.Now()))
	return nil
}

// describe tells of each ref what it is.
func describe(refs []remote.Ref, f presence.Fleet, o *control.Repository, now time.Time) []listed {
	all := make([]listed, 0, len(refs))
	for _, r := range refs {
		l := listed{Ref: r.Name, ID: r.ID, What: "other"}
		id, ofNode := gitstore.IDOf(o.Prefix, r.Name)
		switch {
		case r.Name == gitstore.FoldRef:
			l.What = "fold"
		case strings.HasPrefix(r.Name, o.LeasePrefix()):
			l.What = "lease"
		case ofNode:
			l.What, l.Node, l.Newer = "node", id, true
			if n, ok := f.Node(id); ok {
				l.Age, l.Newer = n.Age(now), n.Commit != r.ID
				if !n.Told.IsZero() {
					l.Told = &n.Told
				}
			}
		}
		all = append(all, l)
	}
	return all
}

func refsTable(all []listed, now time.Time) view.Table {
	t := view.Table{Head: []string{"REF", "AT", "WHAT", "AGE", "TOLD"}}
	for _, l := range all {
		age, told := string(l.Age), ""
		switch {
		case l.What == "node" && l.Age == "":
			age = "no record"
		case l.Newer:
			age += ", moved since"
		}
		if l.Told != nil {
			told = human.When(*l.Told, now)
		}
		t.Rows = append(t.Rows, []view.Cell{{Text: human.Safe(l.Ref)}, {Text: human.ID(l.ID)}, {Text: l.What}, {Text: human.Safe(age), Colour: view.AgeColour(l.Age)}, {Text: told}})
	}
	return t
}
