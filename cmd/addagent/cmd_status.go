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
		Long: `Reads the state files: it asks nobody and takes no lock. When no beat came for too
long it tells what else there is to see: the process that holds the lock, whether
the agent's folders can be written (which it tries), the last line of the log.

Exit codes: 0 all is well, 1 failing, a trouble, no agent is running, or it is late and
its folders cannot be written, 3 wedged, 5 disabled.`,
		Example: `  addagent status
  addagent status --json | jq -r .beat.reason`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := p.settings(g)
			if err != nil {
				return err
			}
			return p.status(g, cfg, time.Now())
		},
	}
}

func (p *process) status(g *cli.Flags, cfg *config.Config, now time.Time) error {
	s, unread, err := status.Read(cfg, now)
	if err != nil {
		return failed(err)
	}
	if unread != nil {
		fmt.Fprintln(p.Err, "addagent:", unread) // all else is told nevertheless
	}
	switch {
	case g.JSON:
		err = printJSON(p.Out, s)
	case s.Beat == nil && !s.Running:
		fmt.Fprintf(p.Err, "no agent has ever beaten in %s\nrun: addagent check%[2]s, then addagent run%[2]s\n", cfg.Home, g.Suffix())
	default:
		s.Print(p.Out, cfg, g.Suffix(), now)
	}
	if code := s.ExitCode(); err == nil && code != exitDone {
		err = &exit{Code: code}
	}
	return err
}
