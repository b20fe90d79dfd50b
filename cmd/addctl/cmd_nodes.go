package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// filter narrows a list of nodes; an empty list lets all through.
type filter struct{ parts, states, stacktypes, deployments []string }

func (l *filter) flags(f *pflag.FlagSet) {
	f.StringSliceVar(&l.parts, "part", nil, "only nodes of this `PART`; several with commas")
	f.StringSliceVar(&l.states, "state", nil, "only nodes in this `STATE`, or of this age (late, missing, gone)")
	f.StringSliceVar(&l.stacktypes, "stacktype", nil, "only nodes of this `STACKTYPE`")
	f.StringSliceVar(&l.deployments, "deployment", nil, "only nodes of this `DEPLOYMENT`")
}

func (l *filter) matches(n presence.Node, now time.Time) bool {
	in := func(list []string, words ...string) bool {
		return len(list) == 0 || slices.ContainsFunc(words, func(w string) bool { return slices.Contains(list, w) })
	}
	return in(l.parts, n.Nodepart) && in(l.stacktypes, n.Stacktype) && in(l.deployments, n.Deployment) &&
		in(l.states, string(n.State), string(n.Age(now)))
}

// nodes are those that match, trouble on top.
func (l *filter) nodes(f presence.Fleet, now time.Time) []presence.Node {
	return slices.DeleteFunc(presence.Troubled(f, now), func(n presence.Node) bool { return !l.matches(n, now) })
}

func (p *process) nodesCommand(g *global) *cobra.Command {
	var l filter
	var watch, exitCode bool
	var every time.Duration
	c := &cobra.Command{
		Use:   "nodes",
		Short: "List the nodes and their state, trouble first",
		Long: `Prints a line a node: wedged ones first, then missing, failing, late and disabled
ones, then those that are well, those that left last.

SINCE is for how long the node is in its state. With > before it only the last
statement of the node is known, and the state may be older: without a fold (addctl
presence:fold) nobody keeps the time. AGE is present, late (it missed the time that it
named), missing (it missed that by as much again) or gone (it said that it leaves), and
for how long it has not been heard. Read from a fold it is as the fold saw it, for what
the nodes said since is not there yet: the last line says as of when. A node that dies
is known to be late one interval of the fold later at the most.

With --watch the list is read again and again, until ^C. On a terminal it fills the
screen, and what changed just now is bold and has a * before it; elsewhere it is a line a change (an object a
line with --json). A reading that fails is said, and what was read before stays.

--json prints a list of the nodes' records, sorted by id, each with its age.

Exit codes: 0 the nodes were read, 1 they could not be read, or with --exit-code one is
failing or missing, 3 with --exit-code one is wedged, 130 interrupted.`,
		Example: `  addctl nodes
  addctl nodes --part app1,app2 --state wedged
  addctl nodes --watch
  addctl nodes --json | jq -r '.[] | select(.age == "missing") | .hostname'
  addctl nodes --presence git@git.example.org:presence.git`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case !watch && c.Flags().Changed("every"):
				return cli.Misuse(errors.New("--every goes with --watch"))
			case every < time.Second:
				return cli.Misuse(errors.New("--every: once a second is the most"))
			case watch && exitCode:
				return cli.Misuse(errors.New("--exit-code does not go with --watch, which only ^C ends"))
			}
			for _, word := range l.states {
				if all := standings(); !slices.Contains(all, word) { // a misspelt one would find nothing
					return cli.Misuse(fmt.Errorf("--state %s: the states and ages are %s", word, strings.Join(all, ", ")))
				}
			}
			o, err := p.open(g)
			if err != nil {
				return err
			}
			defer o.Close()
			if watch {
				return p.watch(c.Context(), g, o, l, every)
			}
			return p.nodes(c.Context(), g, o, l, exitCode)
		},
	}
	l.flags(c.Flags())
	c.Flags().BoolVarP(&watch, "watch", "w", false, "go on: a live view on a terminal, elsewhere a line a change")
	c.Flags().DurationVar(&every, "every", 5*time.Second, "with --watch, read every `DURATION`")
	c.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 3 when a node is wedged, else with 1 when one is failing or missing")
	return c
}

// standings are the words that --state takes: the states, and the ages.
func standings() []string {
	var words []string
	for _, r := range node.States() {
		words = append(words, string(r.State))
	}
	return append(words, string(presence.Present), string(presence.Late), string(presence.Missing), string(presence.Gone))
}

func (p *process) nodes(ctx context.Context, g *global, o *outside, l filter, exitCode bool) error {
	f, err := o.Read(ctx, time.Now())
	now := time.Now()
	if err != nil {
		if ctx.Err() != nil {
			return &cli.Exit{Code: cli.ExitInterrupted}
		}
		if f = o.Last(); g.json || len(f.Nodes) == 0 {
			return unread(err, o.Options)
		}
		p.says("the nodes as they were read last:")
	}
	if code := p.printNodes(g, o, f, l, now); code != nil {
		return code
	}
	if err != nil {
		return unread(err, o.Options)
	}
	if exitCode {
		return verdict(l.nodes(f, now), now)
	}
	return nil
}

func (p *process) printNodes(g *global, o *outside, f presence.Fleet, l filter, now time.Time) error {
	p.notes(f)
	nodes := l.nodes(f, now)
	if g.json {
		f.Nodes = slices.DeleteFunc(slices.Clone(f.Nodes), func(n presence.Node) bool { return !l.matches(n, now) })
		data, err := presence.EncodeNodes(f, now)
		if err != nil {
			return cli.Failed(err)
		}
		return p.write(data)
	}
	switch {
	case len(f.Nodes) == 0:
		p.says("no node has spoken yet in %s", o.Source.Redacted())
		return nil
	case len(nodes) == 0:
		p.says("none of %s is like that", human.Count(len(f.Nodes), "node"))
		return nil
	}
	width, _ := size(p.Out)
	for _, text := range nodesTable(nodes, now).lines(width, p.colours()) {
		fmt.Fprintln(p.Out, text)
	}
	fmt.Fprintln(p.Out, summary(nodes, f, now))
	return nil
}

// verdict is the exit code that --exit-code asks for.
func verdict(nodes []presence.Node, now time.Time) error {
	code := cli.ExitDone
	for _, n := range nodes {
		switch age := n.Age(now); {
		case n.State == node.Wedged && age != presence.Gone:
			return &cli.Exit{Code: cli.ExitWedged}
		case n.State == node.Failing && age != presence.Gone, age == presence.Missing:
			code = cli.ExitFailed
		}
	}
	if code == cli.ExitDone {
		return nil
	}
	return &cli.Exit{Code: code}
}
