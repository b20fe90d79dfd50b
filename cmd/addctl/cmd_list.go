package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
	"github.com/spf13/cobra"
)

func (p *process) listCommand(g *global) *cobra.Command {
	var raw bool
	c := &cobra.Command{
		Use:   "presence:list",
		Short: "List the refs of the presence repository, with node, commit and age",
		Long: `Prints a line a ref, for whoever looks into the presence repository itself: the
nodes' own refs, the branch of the fold, leases, and what else lies beside them. A node
whose ref has moved since the fold was made is marked; the fold knows it within a
minute or so.

--raw prints each as git ls-remote does, the full id and the name, and reads no record.

--json prints a list of objects: ref, id, what (node, fold, lease, other) and, of nodes,
node, age and told.`,
		Example: `  addctl presence:list
  addctl presence:list --raw | wc -l`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := p.open(g)
			if err != nil {
				return err
			}
			defer o.Close()
			return ended(c.Context(), p.list(c.Context(), g, o, raw))
		},
	}
	c.Flags().BoolVar(&raw, "raw", false, "full ids and names, as git ls-remote prints them")
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

func (p *process) list(ctx context.Context, g *global, o *outside, raw bool) error {
	store, err := remote.New(o.Source)
	if err != nil {
		return cli.Misuse(err)
	}
	defer store.Close()
	lease := strings.TrimSuffix(gitstore.LeaseRef(o.Prefix, ""), "/") + "/"
	refs, err := store.Refs(ctx, o.Prefix, gitstore.FoldRef, lease)
	if err != nil {
		return unread(err, o.Options)
	}
	if len(refs) == 0 {
		p.says("no ref begins with %s in %s", o.Prefix, o.Source.Redacted())
		if g.json {
			return cli.PrintJSON(p.Out, []listed{})
		}
		return nil
	}
	if raw && !g.json {
		var b strings.Builder
		for _, r := range refs {
			fmt.Fprintf(&b, "%s\t%s\n", r.ID, r.Name)
		}
		return p.write([]byte(b.String()))
	}
	f, err := o.Read(ctx, time.Now())
	if err != nil {
		return unread(err, o.Options)
	}
	p.notes(f)
	all := whose(refs, f, o.Prefix, lease, time.Now())
	if g.json {
		return cli.PrintJSON(p.Out, all)
	}
	width, _ := size(p.Out)
	for _, text := range refsTable(all, time.Now()).lines(width, p.colours()) {
		if err := p.write([]byte(text + "\n")); err != nil {
			return err
		}
	}
	return nil
}

// whose says of refs what they are.
func whose(refs []remote.Ref, f presence.Fleet, prefix, lease string, now time.Time) []listed {
	all := make([]listed, 0, len(refs))
	for _, r := range refs {
		l := listed{Ref: r.Name, ID: r.ID, What: "other"}
		id, ofNode := gitstore.IDOf(prefix, r.Name)
		switch {
		case r.Name == gitstore.FoldRef:
			l.What = "fold"
		case strings.HasPrefix(r.Name, lease):
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

func refsTable(all []listed, now time.Time) table {
	t := table{head: []string{"REF", "AT", "WHAT", "AGE", "TOLD"}}
	for _, l := range all {
		age, told := string(l.Age), ""
		switch {
		case l.What == "node" && l.Age == "":
			age = "no record"
		case l.Newer:
			age += ", has moved since"
		}
		if l.Told != nil {
			told = human.When(*l.Told, now)
		}
		t.rows = append(t.rows, []cell{{text: human.Safe(l.Ref)}, {text: human.ID(l.ID)}, {text: l.What}, {human.Safe(age), ageColour(l.Age)}, {text: told}})
	}
	return t
}
