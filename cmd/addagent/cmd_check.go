package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/addagent/addagent/config"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/node"
	"github.com/spf13/cobra"
)

func (p *process) checkCommand(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Validate the config and print it with its defaults",
		Long: `Prints every key with its value and where it was set, secrets masked, who this node
is, and all problems at once. Exit code 2 when there is one. It asks no server.`,
		Example: `  addagent check
  addagent check --config ./addagent.yaml && cp addagent.yaml /etc/addagent/`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := loading{p: p, g: g, all: true}.read()
			if err != nil { // what is in force is another one
				if kept, wrong, none := (loading{p: p, g: g}).good(); none == nil && wrong != nil {
					cfg = kept
				}
			}
			report := checked{Config: cfg.Lines(), Problems: problemsOf(err)}
			if _, err := os.Stat(cli.DefaultConfig); g.config == "" && err != nil {
				report.Notes = append(report.Notes, "no config file at "+cli.DefaultConfig+": everything is as it is by default")
			}
			for _, n := range cfg.Notes {
				report.Notes = append(report.Notes, n.Error())
			}
			info, err := node.ReadInfo(filepath.Join(cfg.Home, "nodeinfo"))
			report.Problems = append(report.Problems, problemsOf(err)...)
			if len(report.Problems) == 0 {
				_, err = p.clones(cfg, info)
				report.Problems = append(report.Problems, problemsOf(err)...)
			}
			if me, err := p.identify(c.Context(), cfg, true); err != nil {
				report.Problems = append(report.Problems, problemsOf(err)...)
			} else {
				report.Node = &checkedNode{ID: me.ID, Source: me.Source, Hardware: me.Hardware.String(), Copied: me.Copied,
					Nodepart: info.Nodepart, Stacktype: info.Stacktype, Deployment: info.Deployment, InitGitRepo: info.InitGitRepo}
				if s, err := settingsOf(cfg, me.ID); err == nil {
					report.Node.NextBeat = s.Schedule.Next(time.Now()).UTC()
				}
			}
			return p.printCheck(report, g.json)
		},
	}
}

// checked is what `check --json` prints.
type checked struct {
	Node     *checkedNode      `json:"node,omitempty"`
	Config   []config.Resolved `json:"config"`
	Notes    []string          `json:"notes,omitempty"` // worth knowing, no problems
	Problems []string          `json:"problems"`
}

type checkedNode struct {
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

func (p *process) printCheck(c checked, asJSON bool) error {
	if asJSON {
		if c.Problems == nil {
			c.Problems = []string{}
		}
		if err := printJSON(p.out, c); err != nil {
			return err
		}
	} else {
		t := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
		for _, l := range c.Config {
			fmt.Fprintf(t, "%s\t%s\t%s\n", l.Key, l.Value, l.From)
		}
		if n := c.Node; n != nil {
			fmt.Fprintf(t, "\ninstance-id\t%s\t%s\n", n.ID, n.Source)
			for _, f := range []struct{ name, value string }{{"nodepart", n.Nodepart}, {"stacktype", n.Stacktype}, {"deployment", n.Deployment}, {"initgitrepo", n.InitGitRepo}} {
				if f.value == "" {
					f.value = "-"
				}
				fmt.Fprintf(t, "%s\t%s\tnodeinfo\n", f.name, f.value)
			}
			if !n.NextBeat.IsZero() {
				fmt.Fprintf(t, "next beat\t%s\tthe schedule, at this node's own second\n", n.NextBeat.Format("15:04:05Z"))
			}
		}
		if err := t.Flush(); err != nil {
			return failed(fmt.Errorf("write: %w", err))
		}
		for _, note := range c.Notes {
			fmt.Fprintln(p.err, "note:", note)
		}
		for _, problem := range c.Problems {
			fmt.Fprintln(p.err, problem)
		}
	}
	switch n := len(c.Problems); n {
	case 0:
		return nil
	case 1:
		return misuse(errors.New("1 problem"))
	default:
		return misuse(fmt.Errorf("%d problems", n))
	}
}

// problemsOf takes a joined error apart: a line each.
func problemsOf(err error) []string {
	if err == nil {
		return nil
	}
	var many config.Problems
	if errors.As(err, &many) {
		var lines []string
		for _, one := range many {
			lines = append(lines, one.Error())
		}
		return lines
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var lines []string
		for _, e := range joined.Unwrap() {
			lines = append(lines, problemsOf(e)...)
		}
		return lines
	}
	return []string{err.Error()}
}
