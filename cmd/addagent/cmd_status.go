package main

import (
	"fmt"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/status"
	"github.com/spf13/cobra"
)

func (p *process) statusCommand(g *cli.Flags) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the state of this node",
		Long: `Reads the state files, contacts no server and takes no lock. If the last beat is too old,
it also shows the process that holds the lock, whether the agent's folders are writable
(it tries), and the last line of the log.

Exit codes: 0 no problem, 1 failing, a trouble, no running agent, or a late agent whose
folders cannot be written, 3 wedged, 5 disabled.`,
		Example: `  addagent status
  addagent status --json | jq -r .beat.reason`,
		Args: cobra.NoArgs,
		RunE: p.withConfig(g, func(_ *cobra.Command, cfg *config.Config, _ []string) error {
			return p.status(g, cfg, time.Now())
		}),
	}
}

func (p *process) status(g *cli.Flags, cfg *config.Config, now time.Time) error {
	s, unread, err := status.Read(cfg, now)
	if err != nil {
		return err
	}
	if unread != nil {
		fmt.Fprintln(p.Err, "addagent:", unread) // all else is told nevertheless
	}
	switch {
	case g.JSON:
		err = cli.PrintJSON(p.Out, s)
	case s.Beat == nil && !s.Running:
		fmt.Fprintf(p.Err, "no agent has run in %s yet\nrun addagent check%[2]s, then addagent run%[2]s\n", cfg.Home, g.Suffix())
	default:
		s.Print(p.Out, cfg, g.Suffix(), now)
	}
	if code := s.ExitCode(); err == nil && code != cli.ExitDone {
		err = &cli.Exit{Code: code}
	}
	return err
}
