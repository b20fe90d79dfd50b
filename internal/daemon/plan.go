package daemon

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence/peers"
	"github.com/addagent/addagent/work"
	"github.com/addagent/addagent/work/run"
)

// Plan is what `plan --json` prints.
type Plan struct {
	Looks    []journal.Look   `json:"looks"`
	Items    []journal.Judged `json:"items"`
	Held     []string         `json:"held,omitempty"`
	InHand   string           `json:"in_hand,omitempty"` // repo:item of the work that runs now
	Problems []string         `json:"problems,omitempty"`
	Due      int              `json:"due"`
}

// MakePlan looks, and decides what the next beat would do.
func MakePlan(ctx context.Context, p *cli.Process, cfg *config.Config, now time.Time) (*Plan, error) {
	info, err := node.ReadInfo(cfg.Nodeinfo())
	if err != nil {
		return nil, cli.Misuse(err)
	}
	me, err := Identify(ctx, p, cfg, true)
	if err != nil {
		return nil, cli.Misuse(err)
	}
	settings, err := AgentSettings(cfg, me.ID)
	if err != nil {
		return nil, cli.Misuse(err)
	}
	repos, err := OpenClones(cfg, info)
	if err != nil {
		return nil, cli.Misuse(err)
	}
	defer repos.Close()
	tmp, err := files.Scratch("addagent-plan-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)

	brakes, err := node.ReadBrakes(cfg.StateDir, now)
	if err != nil {
		return nil, err
	}
	looks := repos.Ask(ctx, func(repo string) bool { _, rests := brakes.Repos[repo]; return rests })
	for i := range looks {
		if rest, rests := brakes.Repos[looks[i].Repo]; rests {
			looks[i].Resting = rest.String()
		}
	}
	looks = repos.Preview(ctx, looks, tmp)
	survey := &work.Survey{Root: filepath.Join(cfg.Home, "gitrepo"), Open: repos.Tree, ReadOnly: true, StateDir: cfg.StateDir}
	// It does not read presence: the sets of each item are assumed unchanged.
	survey.Nodes, survey.Services = peers.Planned(cfg)
	place := work.Place{Nodepart: info.Nodepart, Stacktype: info.Stacktype, Deployment: info.Deployment, Init: info.InitGitRepo}
	if states, err := node.PeekStateLog(cfg.Nodeinfo()); err == nil && journal.InitDone(states, cfg.InitMemory()) {
		place.Init = ""
	}
	f := survey.Judge(journal.Positions(looks), place, now)
	waits := place.Init != "" && !f.InitDone

	out := &Plan{Looks: looks, Problems: f.Problems, Items: []journal.Judged{}}
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
		d := journal.Describe(j, work.PlanRun(j, settings.Rules, now))
		rest, rests := brakes.Repos[d.Repo]
		switch {
		case out.InHand == j.Item.Repo+":"+j.Item.Name:
			d.Due = false // it is being done; what comes after it the next plan tells
		case !d.Due && d.NotBefore == nil:
		case len(out.Held) > 0:
			d.Due, d.Held = false, out.Held[0]
		case rests:
			d.Due, d.Held = false, "disabled: "+rest.String()
		case waits && j.Item.Level != work.Init:
			d.Due, d.Held = false, "waiting for the init of this node"
		}
		if d.Due {
			out.Due++
		}
		out.Items = append(out.Items, d)
	}
	return out, nil
}
