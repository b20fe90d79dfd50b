package check

import (
	"context"
	"time"

	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/daemon"
	"github.com/addagent/addagent/internal/human"
)

// Report is what `check --json` prints.
type Report struct {
	Node     *Node             `json:"node,omitempty"`
	Config   []config.Resolved `json:"config"`
	Notes    []string          `json:"notes,omitempty"` // worth knowing, no problems
	Problems []string          `json:"problems"`
}

// Node is who this node is, as its files and its hardware say.
type Node struct {
	ID          string    `json:"instance-id"`
	Source      string    `json:"source"` // where the id comes from
	Hardware    string    `json:"hardware"`
	Copied      bool      `json:"copied"` // the image was copied: the agent will begin at presetup
	Nodepart    string    `json:"nodepart"`
	Stacktype   string    `json:"stacktype"`
	Deployment  string    `json:"deployment"`
	InitGitRepo string    `json:"initgitrepo"`
	NextBeat    time.Time `json:"next_beat,omitzero"` // when an agent that runs here beats next
}

// Run checks, and returns what it found and how many of that are problems of the config; all else that fails is not.
func (c *Checker) Run(ctx context.Context) (found []Finding, problems int) {
	found, usable := c.settle(ctx)
	problems = Failures(found)
	if usable {
		found = append(found, c.trees()...)
	}
	if c.Live && usable {
		found = append(found, runProbes(ctx, c.cfg.Beat.LookTimeout, c.probes())...)
	}
	for i := range found {
		found[i].Text, found[i].Fix = human.Safe(found[i].Text), human.Safe(found[i].Fix)
	}
	return found, problems
}

// Report is the config and the node as they are understood, and what is wrong with them.
func (c *Checker) Report(found []Finding) Report {
	report := Report{Config: c.cfg.Lines(), Problems: []string{}}
	if c.me.ID != "" {
		report.Node = &Node{ID: c.me.ID, Source: c.me.Source, Hardware: c.me.Hardware.String(), Copied: c.me.Copied,
			Nodepart: c.info.Nodepart, Stacktype: c.info.Stacktype, Deployment: c.info.Deployment, InitGitRepo: c.info.InitGitRepo}
		if s, err := daemon.AgentSettings(c.cfg, c.me.ID); err == nil {
			report.Node.NextBeat = s.Schedule.Next(c.Now).UTC()
		}
	}
	for _, f := range found {
		switch {
		case f.Status == Failing && f.Fix != "":
			report.Problems = append(report.Problems, f.Text+": "+f.Fix)
		case f.Status == Failing:
			report.Problems = append(report.Problems, f.Text)
		case f.Status == Noted && (f.Check == "config" || f.Check == "services"):
			report.Notes = append(report.Notes, f.Text)
		}
	}
	return report
}
