package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/addagent/addagent/agent"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/work"
	"github.com/addagent/addagent/work/run"
	"github.com/spf13/cobra"
)

func (p *process) planCommand(g *cli.Flags) *cobra.Command {
	exitCode := false
	c := &cobra.Command{
		Use:   "plan",
		Short: "Show what the next beat would do, without doing it",
		Long: `Asks every repository, fetches what moved into a private temporary folder, judges
from the trees, and prints what would run and why. Takes no lock, tells nobody,
writes nothing else.

Exit codes: 0 nothing is due, or no --exit-code, 1 a repository could not be asked,
10 something is due.`,
		Example: `  addagent plan
  addagent plan --exit-code || echo "something is due, or a repository was not reached"`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := p.settings(g)
			if err != nil {
				return err
			}
			return p.plan(c.Context(), cfg, g.JSON, exitCode)
		},
	}
	c.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 10 when something is due")
	return c
}

// planned is what `plan --json` prints.
type planned struct {
	Looks    []journal.Look   `json:"looks"`
	Items    []journal.Judged `json:"items"`
	Held     []string         `json:"held,omitempty"`
	InHand   string           `json:"in_hand,omitempty"` // repo:item of the work that runs now
	Problems []string         `json:"problems,omitempty"`
	Due      int              `json:"due"`
}

// makePlan looks, and decides what the next beat would do.
func makePlan(ctx context.Context, p *cli.Process, cfg *config.Config, now time.Time) (*planned, error) {
	info, err := node.ReadInfo(cfg.Nodeinfo())
	if err != nil {
		return nil, cli.Misuse(err)
	}
	me, err := identify(ctx, p, cfg, true)
	if err != nil {
		return nil, cli.Misuse(err)
	}
	repos, err := openClones(cfg, info)
	if err != nil {
		return nil, cli.Misuse(err)
	}
	defer repos.close()
	tmp, err := os.MkdirTemp("", "addagent-plan-")
	if err != nil {
		return nil, cli.Failed(err)
	}
	defer os.RemoveAll(tmp)

	brakes, err := node.ReadBrakes(cfg.StateDir, now)
	if err != nil {
		return nil, cli.Failed(err)
	}
	looks := repos.Ask(ctx, func(repo string) bool { _, rests := brakes.Repos[repo]; return rests })
	for i := range looks {
		if rest, rests := brakes.Repos[looks[i].Repo]; rests {
			looks[i].Resting = rest.String()
		}
		if !looks[i].Moved {
			looks[i].Previous = ""
		}
	}
	pre := &preview{repos: repos, tmp: tmp, trees: map[string]*objects.Tree{}}
	pre.fetch(ctx, looks)
	survey := &work.Survey{Root: filepath.Join(cfg.Home, "gitrepo"), Open: pre.open, ReadOnly: true, InitMemory: cfg.InitMemory()}
	if cfg.Presence.URL != "" && cfg.Presence.Read > 0 {
		// It asks nobody who else is there: what an item last met is taken to be so.
		survey.Nodes = plannedSet(cfg)
	}
	place := work.Place{Nodepart: info.Nodepart, Stacktype: info.Stacktype, Init: info.InitGitRepo}
	if journal.InitDone(cfg.Home, cfg.InitMemory()) {
		place.Init = ""
	}
	f := survey.Judge(agent.Positions(looks), place, now)
	waits := place.Init != "" && !f.InitDone
	rules := rulesOf(cfg, me.ID)

	out := &planned{Looks: looks, Problems: f.Problems, Items: []journal.Judged{}}
	if brakes.Disabled != nil {
		out.Held = append(out.Held, "disabled: "+brakes.Disabled.String())
	}
	for _, h := range f.Holds {
		out.Held = append(out.Held, h.String())
	}
	if h, held, err := run.ReadHolder(cfg.WorkLock()); err == nil && held && h.Purpose == run.PurposeWork {
		out.InHand = h.Item
	}
	for _, j := range f.Judgements {
		d := journal.Describe(j, work.PlanRun(j, rules, now))
		if out.InHand == j.Item.Repo+":"+j.Item.Name {
			d.Due = false // it is being done; what comes after it the next plan tells
		}
		if rest, rests := brakes.Repos[d.Repo]; rests && d.Due {
			d.Due, d.Held = false, "disabled: "+rest.String()
		}
		if waits && j.Item.Level != work.Init && d.Due {
			d.Due, d.Held = false, "waits for the init of this node"
		}
		if d.Due {
			out.Due++
		}
		out.Items = append(out.Items, d)
	}
	return out, nil
}

func (p *process) plan(ctx context.Context, cfg *config.Config, asJSON, exitCode bool) error {
	now := time.Now().UTC()
	out, err := makePlan(ctx, p.Process, cfg, now)
	if err != nil {
		return err
	}
	if asJSON {
		if err := printJSON(p.Out, out); err != nil {
			return err
		}
	} else {
		p.printPlan(out, now)
	}
	for _, l := range out.Looks {
		if l.Trouble != "" {
			return &exit{Code: exitFailed}
		}
	}
	if exitCode && out.Due > 0 && len(out.Held) == 0 {
		return &exit{Code: exitDue}
	}
	return nil
}

func (p *process) printPlan(out *planned, now time.Time) {
	for _, l := range out.Looks {
		switch {
		case l.Trouble != "":
			fmt.Fprintln(p.Err, "addagent:", human.Safe(l.Trouble))
		case l.Moved && l.Previous != "":
			fmt.Fprintf(p.Out, "%s would move %s -> %s (%s)\n", l.Repo, human.ID(l.Previous), human.ID(l.Version), l.Branch)
		case l.Moved:
			fmt.Fprintf(p.Out, "%s would be cloned at %s (%s)\n", l.Repo, human.ID(l.Version), l.Branch)
		case l.Old:
			fmt.Fprintf(p.Out, "%s rests: disabled: %s\n", l.Repo, l.Resting)
		default:
			fmt.Fprintf(p.Out, "%s stays at %s (%s)\n", l.Repo, human.ID(l.Version), l.Branch)
		}
	}
	for _, i := range out.Items {
		what := "would not run"
		switch {
		case out.InHand == i.Repo+":"+i.Item:
			what = "runs now"
		case i.Due && len(out.Held) > 0 || i.Held != "":
			what = "held"
		case i.Due:
			what = "WOULD RUN"
		case i.NotBefore != nil:
			what = "would run " + human.When(*i.NotBefore, now)
		}
		why := i.Why
		if i.Always {
			why = "run: always; " + why
		}
		if i.Held != "" {
			why = i.Held + "; " + why
		}
		fmt.Fprintf(p.Out, "%s:%s %s: %s\n", i.Repo, i.Item, what, why)
	}
	for _, h := range out.Held {
		fmt.Fprintln(p.Out, h)
	}
	for _, t := range out.Problems {
		fmt.Fprintln(p.Err, "addagent:", human.Safe(t))
	}
	switch {
	case len(out.Looks) == 0:
		fmt.Fprintln(p.Err, "no repository: name some in the config (repos:), or put clones below gitrepo/")
	case len(out.Items) == 0:
		fmt.Fprintln(p.Err, "this node has no item in these repositories")
	}
}

// preview holds trees that were fetched for a plan.
type preview struct {
	repos *clones
	tmp   string
	trees map[string]*objects.Tree
}

// fetch gets the tip of every repository that moved, side by side.
func (v *preview) fetch(ctx context.Context, looks []journal.Look) {
	var all sync.WaitGroup
	trees := make([]*objects.Tree, len(looks))
	for i := range looks {
		if looks[i].Trouble != "" || !looks[i].Moved {
			continue
		}
		all.Go(func() {
			r := v.repos.get(looks[i].Repo)
			tmp := filepath.Join(v.tmp, r.name)
			err := os.Mkdir(tmp, 0o700)
			var tree *objects.Tree
			if err == nil {
				tree, err = r.repo.Preview(ctx, tmp, r.tip)
			}
			if err != nil {
				looks[i].Trouble, looks[i].Version = fmt.Sprintf("fetch %s: %v", r.name, err), ""
				return
			}
			trees[i] = tree
		})
	}
	all.Wait()
	for i, t := range trees {
		if t != nil {
			v.trees[looks[i].Repo] = t
		}
	}
}

func (v *preview) open(repo, version string) (*objects.Tree, error) {
	if t := v.trees[repo]; t != nil {
		return t, nil
	}
	return v.repos.tree(repo, version)
}
