package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/request"
	"github.com/addagent/addagent/work/run"
	"github.com/spf13/cobra"
)

// longestReason bounds what is said in every line about the node.
const longestReason = 1000

func (p *process) disableCommand(g *cli.Flags) *cobra.Command {
	var reason, until string
	c := &cobra.Command{
		Use:   "disable --reason WHY [--until T] [REPO]",
		Short: "Disable this node or one repository",
		Long: `A disabled node keeps beating and reports the reason, who disabled it and until when,
but neither looks nor works. With REPO only that repository is disabled. Running work
continues. The node stays disabled across restarts and reboots, until --until or
addagent enable.

--until takes a time such as 2026-03-01T18:00:00Z, a duration such as 2h, or local time
such as "2026-03-01 18:00" or 18:00 (the next one).`,
		Example: `  addagent disable --reason "moving the database" --until 2h
  addagent disable --reason "broken on this kernel" ops`,
		Args: cobra.MaximumNArgs(1),
		RunE: p.withConfig(g, func(c *cobra.Command, cfg *config.Config, args []string) error {
			at := time.Now()
			b, err := p.brakeUntil(c, reason, until, at)
			if err != nil {
				return err
			}
			repo := ""
			if len(args) > 0 {
				if repo = args[0]; !knownRepo(cfg, repo) {
					return unknownRepo(cfg, repo)
				}
			}
			path := node.DisabledPath(cfg.StateDir, repo)
			before, was := node.ReadBrake(path, at)
			if err := b.Put(path); err != nil {
				return err
			}
			fmt.Fprintf(p.Err, "%s disabled%s: %s\n", cmp.Or(repo, "this node"), b.Ends(at, "addagent enable"), b.Reason)
			if was {
				fmt.Fprintf(p.Err, "replaces: %s\n", before)
			}
			p.letKnow(cfg)
			return nil
		}),
	}
	c.Flags().StringVar(&reason, "reason", "", "`WHY`; required")
	c.Flags().StringVar(&until, "until", "", "enable again at `T`: 2h, 18:00 or 2026-03-01T18:00:00Z")
	return c
}

// brakeUntil is the brake of a command with --reason and --until.
func (p *process) brakeUntil(c *cobra.Command, reason, until string, now time.Time) (b node.Brake, err error) {
	if b, err = p.brake(reason, now); err != nil {
		return b, cli.Misuse(fmt.Errorf("--reason %w", err))
	}
	if c.Flags().Changed("until") {
		if b.Until, err = parseUntil(until, now); err != nil {
			return b, cli.Misuse(fmt.Errorf("--until %w", err))
		}
	}
	return b, nil
}

func (p *process) enableCommand(g *cli.Flags) *cobra.Command {
	return &cobra.Command{
		Use:   "enable [REPO]",
		Short: "Enable this node or one repository again",
		Long: `Reverts addagent disable, for this node or for one repository. A pushed hold
(nodework/hold.yaml) ends with another push.`,
		Args: cobra.MaximumNArgs(1),
		RunE: p.withConfig(g, func(_ *cobra.Command, cfg *config.Config, args []string) error {
			repo := strings.Join(args, "")
			if strings.Contains(repo, "/") {
				return cli.Misuse(fmt.Errorf("%q is not a repository name", repo))
			}
			was, err := node.Lift(node.DisabledPath(cfg.StateDir, repo))
			if err != nil {
				return err
			}
			if !was && repo != "" && !knownRepo(cfg, repo) {
				return unknownRepo(cfg, repo)
			}
			if !was {
				fmt.Fprintf(p.Err, "%s was not disabled\n", cmp.Or(repo, "this node"))
			} else {
				fmt.Fprintf(p.Err, "%s enabled\n", cmp.Or(repo, "this node"))
				p.letKnow(cfg)
			}
			if b, err := journal.ReadBeat(cfg.Home); err == nil && b != nil && repo == "" {
				if holds := holdsOf(b); holds != "" {
					fmt.Fprintf(p.Err, "it is still disabled: %s; push to end a hold\n", holds)
				}
			}
			brakes, err := node.ReadBrakes(cfg.StateDir, time.Now())
			if err != nil {
				return err
			}
			if brakes.Disabled != nil {
				fmt.Fprintf(p.Err, "the whole node is still disabled: %s\n", brakes.Disabled)
			}
			for name, b := range brakes.Repos {
				fmt.Fprintf(p.Err, "%s is still disabled: %s (addagent enable %[1]s%[3]s)\n", name, b, g.Suffix())
			}
			return nil
		}),
	}
}

// holdsOf are the holds that a beat found. It names a person's disable first, which may have ended by now.
func holdsOf(b *journal.Beat) string {
	_, holds, held := strings.Cut("; "+b.Reason, "; held by ")
	if b.State != node.Disabled || !held {
		return ""
	}
	return "held by " + human.Safe(holds)
}

func (p *process) wedgeCommand(g *cli.Flags) *cobra.Command {
	return &cobra.Command{
		Use:   "wedge REASON",
		Short: "Mark this node, or in a script its item, as wedged",
		Long: `In a work script it declares that a retry is useless before the next version: the item
becomes wedged when the script ends, without further retries in a row.

Run by a person it marks the node itself as wedged, everywhere its state is reported.
The node keeps looking and working. Only addagent unwedge clears the mark.`,
		Example: `  [ -d /data ] || { addagent wedge "no disk for /data"; exit 1; }    # in a script
  addagent wedge "disk errors, do not trust this node"               # a person`,
		RunE: func(c *cobra.Command, args []string) error {
			b, err := p.brake(strings.Join(args, " "), time.Now())
			if err != nil {
				return cli.Misuse(fmt.Errorf("REASON %w", err))
			}
			if runID, temp := p.Env("ADD_RUN_ID"), p.Env("ADD_TEMP"); runID != "" && temp != "" {
				if err := run.SayWedged(temp, runID, b.Reason); err != nil {
					return err
				}
				fmt.Fprintf(p.Err, "%s:%s becomes wedged when this script ends: %s\n", p.Env("ADD_REPO"), p.Env("ADD_ITEM"), b.Reason)
				return nil
			}
			return p.withConfig(g, func(_ *cobra.Command, cfg *config.Config, _ []string) error {
				if err := b.Put(node.WedgedPath(cfg.StateDir)); err != nil {
					return err
				}
				fmt.Fprintf(p.Err, "this node is wedged until addagent unwedge%s: %s\n", g.Suffix(), b.Reason)
				p.letKnow(cfg)
				return nil
			})(c, args)
		},
	}
}

// brake is an order of the person at this terminal.
func (p *process) brake(reason string, now time.Time) (node.Brake, error) {
	b := node.Brake{Reason: human.Safe(strings.TrimSpace(reason)), By: request.UserName(p.Process), Since: now}
	switch {
	case b.Reason == "":
		return b, errors.New("is missing: explain why")
	case len(b.Reason) > longestReason:
		return b, fmt.Errorf("is longer than %d characters: shorten it, and refer to the details", longestReason)
	}
	return b, nil
}

func (p *process) unwedgeCommand(g *cli.Flags) *cobra.Command {
	return &cobra.Command{
		Use:   "unwedge [REPO[:ITEM]]",
		Short: "Clear failures and retry now",
		Long: `Clears the mark of addagent wedge, and makes wedged and failing items due at once with
a fresh count of attempts. With an argument it only affects those items. It does not
repeat successful work: use addagent beat --again.

It waits until a running agent has done so. Without one, the next beat does it.`,
		Args: cobra.MaximumNArgs(1),
		RunE: p.withConfig(g, func(c *cobra.Command, cfg *config.Config, args []string) error {
			target := strings.Join(args, "")
			if target == "" {
				was, err := node.Lift(node.WedgedPath(cfg.StateDir))
				if err != nil {
					return err
				}
				if was {
					fmt.Fprintln(p.Err, "this node is no longer marked as wedged")
				}
			}
			ask := request.New(p.Process, journal.AskUnwedge, target)
			holder, held, err := run.ReadHolder(cfg.BeatLock())
			if err != nil {
				return err
			}
			if !held || holder.Purpose != "run" {
				if known := journal.KnownItems(cfg.Home); target != "" && len(itemsOf(known, target)) == 0 && !knownRepo(cfg, target) {
					return unknownItem(target, known)
				}
				if err := request.Put(cfg.StateDir, ask); err != nil {
					return err
				}
				fmt.Fprintf(p.Err, "no agent is running here: the next beat does it (addagent beat%s)\n", g.Suffix())
				return nil
			}
			b, err := request.Running{Cfg: cfg, Holder: holder, Words: p.Err}.Ask(c.Context(), ask)
			if err != nil {
				return err
			}
			for _, a := range b.Asked {
				switch {
				case a.ID != ask.ID:
				case a.Error != "":
					return errors.New(a.Error)
				case len(a.Did) == 0:
					fmt.Fprintln(p.Err, "no item is wedged or failing")
				default:
					fmt.Fprintf(p.Err, "retrying: %s\n", strings.Join(a.Did, ", "))
				}
			}
			return nil
		}),
	}
}

// letKnow makes a living agent see at once what a person has just said.
func (p *process) letKnow(cfg *config.Config) {
	h, held, err := run.ReadHolder(cfg.BeatLock())
	if err != nil || !held || h.Purpose != "run" {
		fmt.Fprintln(p.Err, "no agent is running here: it takes effect at the next beat")
		return
	}
	if err := request.Stopped(h.PID); err != nil {
		fmt.Fprintf(p.Err, "it takes effect when the agent goes on: %v\n", err)
		return
	}
	if err := request.WakeUp(h.PID); err != nil {
		fmt.Fprintf(p.Err, "it takes effect at the next beat of the agent (process %d): %v\n", h.PID, err)
	}
}

// repoNames are the repositories of this node: those of the config, and the clones that lie there.
func repoNames(cfg *config.Config) []string {
	var names []string
	for _, r := range cfg.Repos {
		names = append(names, r.Name)
	}
	if len(cfg.Repos) == 0 || cfg.Discover {
		for _, d := range files.Matching(filepath.Join(cfg.Home, "gitrepo"), "*/.git") {
			if name := filepath.Base(filepath.Dir(d)); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// unknownRepo is the error for a name that no repository of this node has.
func unknownRepo(cfg *config.Config, name string) error {
	if names := repoNames(cfg); len(names) > 0 {
		return fmt.Errorf("unknown repository %s; the repositories are: %s", name, strings.Join(names, ", "))
	}
	return fmt.Errorf("unknown repository %s: this node has none yet; add some to the config (repos:)", name)
}

// itemsOf are those of the known items that REPO or REPO:ITEM means.
func itemsOf(known []string, target string) []string {
	return slices.DeleteFunc(slices.Clone(known), func(name string) bool {
		repo, _, _ := strings.Cut(name, ":")
		return target != name && target != repo
	})
}

// unknownItem is the error for a REPO[:ITEM] that this node does not have.
func unknownItem(target string, known []string) error {
	return fmt.Errorf("unknown item %s; the items are: %s", target, cmp.Or(strings.Join(known, ", "), "none yet"))
}

func knownRepo(cfg *config.Config, name string) bool { return slices.Contains(repoNames(cfg), name) }

// parseUntil understands when something ends: a time, a duration from now, or
// the next time that the clock of this machine shows so.
func parseUntil(text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	var at time.Time
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		at = t
	} else if d, err := time.ParseDuration(text); err == nil {
		at = now.Add(d)
	} else if t, err := time.ParseInLocation("2006-01-02 15:04", text, now.Location()); err == nil {
		at = t
	} else if t, err := time.Parse("15:04", text); err == nil {
		at = time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), 0, 0, now.Location())
		if !at.After(now) {
			at = time.Date(now.Year(), now.Month(), now.Day()+1, t.Hour(), t.Minute(), 0, 0, now.Location())
		}
	} else {
		return time.Time{}, fmt.Errorf("%q is not a time: write 2h, 18:00, \"2026-03-01 18:00\" or 2026-03-01T18:00:00Z", text)
	}
	if !at.After(now) {
		return time.Time{}, fmt.Errorf("%q is in the past", text)
	}
	return at, nil
}
