package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/request"
	"github.com/addagent/addagent/internal/status"
	"github.com/addagent/addagent/presence/peers"
	"github.com/addagent/addagent/work/run"
	"github.com/spf13/cobra"
)

func (p *process) drainCommand(g *cli.Flags) *cobra.Command {
	var reason, until string
	var wait bool
	c := &cobra.Command{
		Use:   "drain --reason WHY [--until T] [--wait] [NAME]",
		Short: "Take services of this node out of use",
		Long: `Announces a service as draining, so that others stop using it; without NAME all services
of this node. The service itself keeps running. It stays drained across restarts and
reboots, until --until or addagent undrain.

--wait returns when the presence repository has the announcement and the users have had
their time (drain in service.yaml). Then a script can stop or replace the service.`,
		Example: `  addagent drain --reason "new disk" --until 2h
  addagent drain db --reason deploy --wait && ./replace && addagent undrain db   # in a script`,
		Args: cobra.MaximumNArgs(1),
		RunE: p.withConfig(g, func(c *cobra.Command, cfg *config.Config, args []string) error {
			at := time.Now()
			b, err := p.brakeUntil(c, reason, until, at)
			if err != nil {
				return err
			}
			name := strings.Join(args, "")
			if err := status.KnownService(cfg.Home, name); err != nil {
				return err
			}
			if err := b.Put(node.DrainedPath(cfg.StateDir, name)); err != nil {
				return err
			}
			fmt.Fprintf(p.Err, "%s drained%s: %s\n", cmp.Or(name, "all services of this node"), b.Ends(at, strings.TrimSpace("addagent undrain "+name)+g.Suffix()), b.Reason)
			p.letKnow(cfg)
			if !wait {
				return nil
			}
			holder, held, err := run.ReadHolder(cfg.BeatLock())
			if err != nil || !held || holder.Purpose != "run" {
				return errors.Join(errors.New("cannot wait: no agent is running here that announces it"), err)
			}
			return request.Running{Cfg: cfg, Holder: holder, Words: p.Err}.Drained(c.Context(), name, at)
		}),
	}
	c.Flags().StringVar(&reason, "reason", "", "`WHY`; required")
	c.Flags().StringVar(&until, "until", "", "undrain at `T`: 2h, 18:00 or 2026-03-01T18:00:00Z")
	c.Flags().BoolVar(&wait, "wait", false, "wait until the users have had their time")
	return c
}

func (p *process) undrainCommand(g *cli.Flags) *cobra.Command {
	return &cobra.Command{
		Use:   "undrain [NAME]",
		Short: "Put drained services of this node into use again",
		Long: `Reverts addagent drain, for one service or for all. A service is available again when its
check passes.`,
		Args: cobra.MaximumNArgs(1),
		RunE: p.withConfig(g, func(_ *cobra.Command, cfg *config.Config, args []string) error {
			name := strings.Join(args, "")
			if err := status.KnownService(cfg.Home, name); err != nil {
				return err
			}
			was, err := node.Lift(node.DrainedPath(cfg.StateDir, name))
			if err != nil {
				return err
			}
			if was {
				fmt.Fprintf(p.Err, "%s undrained\n", cmp.Or(name, "all services of this node"))
				p.letKnow(cfg)
			} else {
				fmt.Fprintf(p.Err, "%s was not drained\n", cmp.Or(name, "the node as a whole"))
			}
			brakes, err := node.ReadBrakes(cfg.StateDir, time.Now())
			for _, other := range slices.Sorted(maps.Keys(brakes.Drained)) {
				b := brakes.Drained[other]
				fmt.Fprintf(p.Err, "still drained: %s: %s (%s)\n", cmp.Or(other, "all services"), b, strings.TrimSpace("addagent undrain "+other)+g.Suffix())
			}
			return err
		}),
	}
}

func (p *process) servicesCommand(g *cli.Flags) *cobra.Command {
	var q peers.Query
	c := &cobra.Command{
		Use:   "services [NAME]",
		Short: "Print the endpoints of the services that this node watches",
		Long: `Prints the endpoints of service NAME, or of all services that an item of this node watches,
as they were read last. In a work script it prints those that the run is recorded with
($ADD_SERVICES_FILE). haproxy and nginx print the lines of one backend, so they need NAME.

Exit codes: 0 printed, also where there is no endpoint, 1 no item watches the service.`,
		Example: `  addagent services
  addagent services db --role master --format env
  addagent services web --format haproxy >backend.cfg   # in a script`,
		Args: cobra.MaximumNArgs(1),
		RunE: p.withConfig(g, func(_ *cobra.Command, cfg *config.Config, args []string) error {
			if q.Service = strings.Join(args, ""); g.JSON {
				q.Format = "json"
			}
			if err := q.Wrong(); err != nil {
				return cli.Misuse(err)
			}
			return q.Print(p.Out, cmp.Or(p.Env("ADD_SERVICES_FILE"), filepath.Join(cfg.Home, "nodeinfo", "services.json")))
		}),
	}
	c.Flags().StringVar(&q.Role, "role", "", "only endpoints of this `ROLE`")
	c.Flags().StringVar(&q.Format, "format", "", "`FORMAT`: "+strings.Join(peers.Formats[:], ", "))
	return c
}
