package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/fleet/control"
	"github.com/addagent/addagent/fleet/view"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/trouble"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
	"github.com/spf13/cobra"
)

func (p *program) nodesCommand() *cobra.Command {
	var l view.Filter
	var watch, exitCode bool
	var commit string
	var every time.Duration
	c := &cobra.Command{
		Use:   "nodes",
		Short: "List the nodes and their state, trouble first",
		Long: `Prints a line a node: wedged nodes first, then missing, failing, late and disabled ones,
then healthy ones, then those that left.

SINCE is how long the node has been in its state. With > before it, only the last record
of the node is known, and the state may be older: without a fold (addctl presence:fold)
the time is not recorded. AGE is present, late (the node missed the time by which it
promised to report), missing (late by as much again) or gone (it announced that it
leaves), with the time since its last report. Read from a fold, ages are as of the time
that the last line names. A dead node shows as late at most one fold interval later.
VERSIONS are the commits that the node is at. In ops@1a2b3c4 -> 5d6e7f8 the first one is
that of the last success ("nothing" before there was one), and the second one is pulled
and not done.

--watch reads the list repeatedly until ^C. On a terminal it fills the screen and shows
a recent change in bold with a * before it. Elsewhere it prints a line a change (with
--json an object). If a reading fails, it reports that and keeps the last list.

--at REV lists the nodes of the repository that has this commit: which have worked it
(all their items are done at it), at which it failed, and which have not yet. With
--exit-code it exits with 0 when all have, 3 if it is wedged on one that has not, else
with 10.

--json prints a list of the nodes' records, sorted by id, each with its age and since
(when it went into its state, where the fold knows that). With --at it prints a list of
objects: id, deployment, nodepart, state, repo, version, worked, failed, reason.

Exit codes: 0 the nodes were read, 1 they could not be read, or with --exit-code one is
failing or missing or not all can be seen, 3 with --exit-code one is wedged, 10 with --at
and --exit-code one has not worked the commit, 130 interrupted.`,
		Example: `  addctl nodes
  addctl nodes --part app1,app2 --state wedged
  addctl nodes --at 1a2b3c4 --exit-code
  addctl nodes --watch
  addctl nodes --json | jq -r '.[] | select(.age == "missing") | .hostname'
  addctl nodes --presence git@git.example.org:presence.git`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case !watch && c.Flags().Changed("every"):
				return cli.Misuse(errors.New("--every needs --watch"))
			case every < time.Second:
				return cli.Misuse(errors.New("--every: the minimum is 1s"))
			case c.Flags().Changed("at") && (watch || len(commit) < 4 || strings.Trim(commit, "0123456789abcdef") != ""):
				return cli.Misuse(errors.New("--at: give the first four or more characters of the id of a commit, and no --watch"))
			case watch && exitCode:
				return cli.Misuse(errors.New("--exit-code cannot be combined with --watch, which runs until ^C"))
			}
			if err := knownStates(l.States); err != nil {
				return err
			}
			return p.withRepository(func(o *control.Repository) error {
				if watch {
					return p.watch(c.Context(), o, l, every)
				}
				if c.Flags().Changed("at") {
					return p.at(c.Context(), o, l, commit, exitCode)
				}
				return p.nodes(c.Context(), o, l, exitCode)
			})
		},
	}
	c.Flags().StringSliceVar(&l.Parts, "part", nil, "only nodes of this `PART`; several with commas")
	c.Flags().StringSliceVar(&l.States, "state", nil, "only nodes in this `STATE`, or of this age (late, missing, gone)")
	c.Flags().StringSliceVar(&l.Stacktypes, "stacktype", nil, "only nodes of this `STACKTYPE`")
	c.Flags().StringSliceVar(&l.Deployments, "deployment", nil, "only nodes of this `DEPLOYMENT`")
	c.Flags().StringVar(&commit, "at", "", "show which nodes have worked the commit `REV`, and which have not")
	c.Flags().BoolVarP(&watch, "watch", "w", false, "keep reading: a live view on a terminal, elsewhere a line a change")
	c.Flags().DurationVar(&every, "every", 5*time.Second, "with --watch, read every `DURATION`")
	c.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 3 if a node is wedged, else with 1 if one is failing or missing, or cannot be seen")
	return c
}

// stateWords are the words that --state takes: the states, and the ages.
func stateWords() []string {
	var words []string
	for _, r := range node.States() {
		words = append(words, string(r.State))
	}
	return append(words, string(presence.Present), string(presence.Late), string(presence.Missing), string(presence.Gone))
}

// knownStates refuses a misspelt state, which would match no node.
func knownStates(words []string) error {
	for _, word := range words {
		if all := stateWords(); !slices.Contains(all, word) {
			return cli.Misuse(fmt.Errorf("--state %s: give one of %s", word, strings.Join(all, ", ")))
		}
	}
	return nil
}

func (p *program) nodes(ctx context.Context, o *control.Repository, l view.Filter, exitCode bool) error {
	if exitCode {
		o.IgnoreFold()
	}
	f, err := o.Read(ctx)
	now := time.Now()
	if err != nil {
		if ctx.Err() != nil {
			return &cli.Exit{Code: cli.ExitInterrupted}
		}
		if f = o.Last(); p.json || len(f.Nodes) == 0 {
			return err
		}
		p.says("the nodes as last read:")
	}
	if code := p.printNodes(o, f, l, now); code != nil {
		return code
	}
	if err != nil {
		return err
	}
	if exitCode {
		return verdict(f, l, now)
	}
	return nil
}

func (p *program) printNodes(o *control.Repository, f presence.Fleet, l view.Filter, now time.Time) error {
	p.notes(f)
	nodes := l.Nodes(f, now)
	if p.json {
		f.Nodes = slices.DeleteFunc(slices.Clone(f.Nodes), func(n presence.Node) bool { return !l.Matches(n, now) })
		data, err := presence.EncodeNodes(f, now)
		if err != nil {
			return err
		}
		_, err = p.Out.Write(data)
		return err
	}
	switch {
	case len(f.Nodes) == 0:
		p.says("no node has reported yet in %s", o.Source.Redacted())
		return nil
	case len(nodes) == 0:
		p.says("none of %s matches", human.Count(len(f.Nodes), "node"))
		return nil
	}
	p.table(view.Nodes(nodes, now), view.Summary(nodes, f, now))
	return nil
}

// at prints which nodes have worked a commit.
func (p *program) at(ctx context.Context, o *control.Repository, l view.Filter, commit string, exitCode bool) error {
	if exitCode {
		o.IgnoreFold()
	}
	f, err := o.Read(ctx)
	if err != nil {
		return err
	}
	p.notes(f)
	now := time.Now()
	nodes := slices.DeleteFunc(l.Nodes(f, now), func(n presence.Node) bool { return n.Age(now) == presence.Gone })
	all, worked, code := view.AtCommit(nodes, commit), 0, cli.ExitDone
	for _, a := range all {
		switch {
		case a.Worked:
			worked++
		case a.State == node.Wedged:
			code = cli.ExitWedged
		case code == cli.ExitDone:
			code = cli.ExitDue
		}
	}
	if code == cli.ExitDone && f.Unseen > 0 {
		code = cli.ExitFailed
	}
	switch {
	case p.json:
		err = cli.PrintJSON(p.Out, all)
	case len(all) == 0:
		p.says("no node has had the commit %s", commit)
	default:
		p.table(view.AtTable(all), fmt.Sprintf("%d of %s have worked %s", worked, human.Count(len(all), "node"), commit))
	}
	if len(all) == 0 {
		code = cli.ExitDue
	}
	if err != nil || !exitCode || code == cli.ExitDone {
		return err
	}
	return &cli.Exit{Code: code}
}

// verdict is the exit code that --exit-code asks for. That no node is seen, or not all of them, is not well.
func verdict(f presence.Fleet, l view.Filter, now time.Time) error {
	nodes := l.Nodes(f, now)
	code := cli.ExitDone
	if l.States = nil; f.Unseen > 0 || len(l.Nodes(f, now)) == 0 {
		code = cli.ExitFailed
	}
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

// readings reads at once and then every so often, until ctx ends; then it closes the channel.
func readings(ctx context.Context, o *control.Repository, every time.Duration) <-chan view.Reading {
	all := make(chan view.Reading)
	go func() {
		defer close(all)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			f, err := o.Read(ctx)
			if ctx.Err() != nil {
				return
			}
			select {
			case all <- view.Reading{Fleet: f, Err: err, At: time.Now()}:
			case <-ctx.Done():
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return all
}

// watch shows the nodes until ^C.
func (p *program) watch(ctx context.Context, o *control.Repository, l view.Filter, every time.Duration) error {
	ctx, stop := context.WithCancel(ctx)
	all := readings(ctx, o, every)
	defer func() { // the repository must not be closed while it is read
		stop()
		for range all {
		}
	}()
	if cli.IsTerminal(p.Out) && !p.json && p.Env("TERM") != "dumb" {
		s := view.Screen{Filter: l, Mark: max(2*every, 10*time.Second), Colours: p.colours()}
		if err := s.Show(p.Out, func() (int, int) { return cli.Size(p.Out) }, all); err != nil {
			return err
		}
		return &cli.Exit{Code: cli.ExitInterrupted}
	}
	return p.stream(all, l)
}

// stream prints a line a change.
func (p *program) stream(all <-chan view.Reading, l view.Filter) error {
	var before view.Snapshot
	var wrong trouble.Trouble
	var noted []string
	for r := range all {
		text := ""
		if wrong, text = wrong.NextOf(r.Err, r.At); text != "" {
			p.says("%s", text)
		}
		if r.Err != nil {
			continue
		}
		after := view.TakeSnapshot(r.Fleet.Nodes, r.At)
		for _, n := range r.Fleet.Notes {
			if !slices.Contains(noted, n) {
				p.says("%s", n)
			}
		}
		noted = r.Fleet.Notes
		if before == nil {
			p.says("%s; changes follow", view.Summary(l.Nodes(r.Fleet, r.At), r.Fleet, r.At))
			before = after
		}
		for _, t := range before.Changes(after, r.At) {
			// Also when it no longer matches: that is what changed.
			was, known := before[t.ID]
			is, still := after[t.ID]
			if !(known && l.Matches(was.Node, r.At) || still && l.Matches(is.Node, r.At)) {
				continue
			}
			if err := p.printTransition(t); err != nil {
				return err
			}
		}
		before = after
	}
	return &cli.Exit{Code: cli.ExitInterrupted}
}

// printTransition prints one of a stream.
func (p *program) printTransition(t fold.Transition) error {
	if p.json {
		return cli.PrintJSONLine(p.Out, t)
	}
	return p.print(view.Transition(t, p.colours()))
}
