package groupcmd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/addagent/addagent/fleet/nodegroup/deploy"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/human"
	"github.com/spf13/cobra"
)

// deployEach is how often presence is read while nodes work.
const deployEach = 2 * time.Second

func (p *Tool) instanceDeployCommand() *cobra.Command {
	var most int
	var deadline time.Duration
	var dryRun bool
	c := p.nodesFlag(&cobra.Command{
		Use:   "instance:deploy [GROUP]",
		Short: "Ask the nodes of groups to do all their work again, a few at a time",
		Long: `Asks the nodes of GROUP, or of all groups in the order of the file, to do all their work
again (the request work, docs/doctor.md), at most N at a time, and waits for the answer of
each in presence. At the first node that fails, wedges or does not answer within
--deadline it stops asking. It then waits for the nodes that were asked, and lists the
remaining ones. It needs no AWS and no doctor.

Nodes that are missing, gone, disabled, held, or obey no request for work are listed at
once, and skipped. A group's nodes are those whose part is its name, of its
node.deployment where it has one.

It prints a line for each node: done, failed, unanswered, skipped or left, with the reason.
--dry-run prints which nodes would be asked. --json prints a list of objects: group, node,
phase, reason, asked, ended, wedged.

Exit codes: 0 all that could be asked did it, 1 one did not or none could be asked, 2 a
mistake in nodes.json, no such group, 3 a node that failed is wedged, 130 interrupted: the
nodes that were asked go on.`,
		Example: `  addctl instance:deploy web -n 2
  addctl instance:deploy --deadline 20m --requests git@git.example.org:requests.git`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case most < 1:
				return cli.Misuse(errors.New("-n must be at least 1"))
			case deadline < time.Second:
				return cli.Misuse(errors.New("--deadline must be at least 1s"))
			}
			groups, err := p.deployGroups(strings.Join(args, ""))
			if err != nil {
				return err
			}
			return p.Deploy(func(f deploy.Fleet, r deploy.Requests, by string) error {
				id := "deploy-" + strconv.FormatInt(time.Now().UnixNano(), 36)
				return p.deploy(c.Context(), f, r, groups, deploy.Rollout{Request: id, Most: most, Deadline: deadline}, by, dryRun)
			})
		},
	})
	c.Flags().IntVarP(&most, "most", "n", 10, "ask at most `N` nodes at a time")
	c.Flags().DurationVar(&deadline, "deadline", time.Hour, "how long a node may take, such as `30m`")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "print which nodes would be asked")
	return p.RequestsFlag(c)
}

// deployGroups are the groups whose nodes are meant; "" = all.
func (p *Tool) deployGroups(name string) (list []deploy.Group, err error) {
	f, err := p.groups()
	if err == nil && name != "" {
		_, err = f.Group(name)
		err = misuse(err)
	}
	if err != nil {
		return nil, err
	}
	for _, g := range f.Groups {
		if name == "" || g.Name == name {
			list = append(list, deploy.Group{Name: g.Name, Deployment: g.Text("node", "deployment")})
		}
	}
	return list, nil
}

// misuse is an error that ends the program with the code of misuse; nil stays nil.
func misuse(err error) error {
	if err == nil {
		return nil
	}
	return cli.Misuse(err)
}

func (p *Tool) deploy(ctx context.Context, f deploy.Fleet, requests deploy.Requests, groups []deploy.Group, r deploy.Rollout, by string, dryRun bool) error {
	fleet, err := f.Read(ctx)
	if err != nil {
		return err
	}
	var empty []string
	r.Nodes, empty = deploy.Plan(fleet, groups, time.Now())
	for _, name := range empty {
		fmt.Fprintf(p.Err, "addctl: no node of the group %s has reported\n", name)
	}
	for _, n := range r.Nodes {
		if n.Phase == deploy.Skipped || dryRun {
			p.deployed(n)
		}
	}
	switch {
	case dryRun:
		return p.deployJSON(r)
	case r.Count(deploy.Waits) == 0:
		return errors.Join(p.deployJSON(r), errors.New("no node can be asked"))
	}
	run := deploy.Runner{Fleet: f, Requests: requests, By: by, Each: deployEach, Ended: p.deployed,
		Going: func(r deploy.Rollout, asked []string) {
			if text := "asked " + human.Some(asked, 10); len(asked) > 0 {
				if n := r.Count(deploy.Waits); n > 0 {
					text += "; " + human.Count(n, "node") + " to come"
				}
				fmt.Fprintln(p.Err, "addctl:", text)
			}
		},
		Trouble: func(err error) { fmt.Fprintln(p.Err, "addctl: trying again:", human.Lines(err.Error())) },
	}
	r, err = run.Run(ctx, r)
	if err != nil {
		if going := r.Going(); len(going) > 0 {
			fmt.Fprintf(p.Err, "addctl: interrupted; %s: asked, and go on; addctl nodes shows how they end\n", human.Some(going, 10))
		}
		return errors.Join(p.deployJSON(r), &cli.Exit{Code: cli.ExitInterrupted})
	}
	if err := p.deployJSON(r); err != nil {
		return err
	}
	text := fmt.Sprintf("%d of %s did it", r.Count(deploy.Done), human.Count(len(r.Nodes), "node"))
	switch {
	case r.Wedged():
		return &cli.Exit{Code: cli.ExitWedged, Err: errors.New(text)}
	case r.Count(deploy.Failed)+r.Count(deploy.Unanswered) > 0:
		return errors.New(text)
	case r.Count(deploy.Done) == 0:
		return errors.New("no node could be asked")
	}
	fmt.Fprintln(p.Err, "addctl:", text)
	return nil
}

// deployed prints a line for a node, but not where JSON is printed at the end.
func (p *Tool) deployed(n deploy.Node) {
	text := n.Group + " " + n.ID + ": "
	switch {
	case *p.JSON:
		return
	case n.Phase == deploy.Waits:
		text += "would be asked"
	case n.Phase == deploy.Done:
		text += "done in " + human.Duration(n.Ended.Sub(n.Asked))
	default:
		text += string(n.Phase) + ": " + strings.TrimPrefix(n.Reason, "failed: ")
	}
	fmt.Fprintln(p.Out, human.Safe(text))
}

func (p *Tool) deployJSON(r deploy.Rollout) error {
	if !*p.JSON {
		return nil
	}
	return cli.PrintJSON(p.Out, append([]deploy.Node{}, r.Nodes...))
}
