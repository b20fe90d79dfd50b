package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/daemon"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/request"
	"github.com/addagent/addagent/internal/retry"
	"github.com/addagent/addagent/work"
	"github.com/addagent/addagent/work/run"
	"github.com/spf13/cobra"
)

func (p *process) beatCommand(g *cli.Flags) *cobra.Command {
	var spread, again bool
	c := &cobra.Command{
		Use:   "beat [--again [REPO[:ITEM]]]",
		Short: "Run one beat and wait for its work",
		Long: `Looks, decides, works and reports once, so that cron or a timer can drive a node. It
exits when its work has ended. Without a terminal it prints nothing unless something
failed. ^C leaves the work to its shim.

Beside a running agent it asks the agent to beat now, and prints that beat. While work
is running it only reports.

--again first clears the memory of one repository, of one item, or of all, so that the
work runs again. It clears init only when named, as in ops:init.

Exit codes: 0 done or nothing due, 1 something failed, 2 misuse, 3 wedged, 4 another beat
is running or the agent does not answer, 5 disabled, 130 interrupted.`,
		Example: `  addagent beat                       # look now
  addagent beat --again ops:part.app1 # run that work again
  * * * * * root addagent beat --spread   # in /etc/cron.d, instead of a daemon`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 && !again {
				return cli.Misuse(fmt.Errorf("%s: give --again before the item to run again", args[0]))
			}
			return cobra.MaximumNArgs(1)(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			l := daemon.ConfigLoader{Process: p.Process, Flags: g}
			cfg, _, err := l.LastGood()
			if err != nil {
				return err
			}
			ask := request.New(p.Process, journal.AskBeat, "")
			if again {
				ask.What = journal.AskAgain
				if len(args) > 0 {
					ask.Target = args[0]
				}
			}
			return p.beat(c.Context(), l, cfg, ask, spread)
		},
	}
	c.Flags().BoolVar(&spread, "spread", false, "first wait for this node's own second (for cron)")
	c.Flags().BoolVar(&again, "again", false, "clear the memory of past work and run it again")
	return c
}

func (p *process) beat(ctx context.Context, l daemon.ConfigLoader, cfg *config.Config, ask journal.Ask, spread bool) error {
	if spread {
		if err := p.waitForOwnSecond(ctx, cfg); err != nil {
			return err
		}
	}
	screen := journal.LogOptions{}
	if cli.IsTerminal(p.Err) && !l.Flags.JSON {
		screen.Screen = p.Err
	}
	var asks []journal.Ask
	if ask.What != journal.AskBeat { // that it beats needs no asking
		asks = append(asks, ask)
	}
	w, err := daemon.Start(ctx, l, cfg, daemon.Options{Purpose: "beat", Voice: screen, Asks: asks})
	var busy *run.Busy
	if errors.As(err, &busy) && busy.Path == cfg.BeatLock() && busy.Holder.Purpose == "run" {
		// One that holds only the same beat lock, of another home with the same run_dir by mistake, would never hear of
		// what is asked here.
		if home, _ := files.Held(cfg.HomeLock()); home {
			return p.beatViaAgent(ctx, l.Flags, cfg, busy.Holder, ask)
		}
	}
	if err != nil {
		return err
	}
	defer w.Close()
	b := w.Agent.Once(ctx)
	if ctx.Err() != nil {
		if b.InHand != nil {
			fmt.Fprintf(p.Err, "addagent: interrupted; %s continues in its shim (pid %d); addagent status shows how it ends\n", b.InHand.Name(), b.InHand.PID)
		}
		return &cli.Exit{Code: cli.ExitInterrupted}
	}
	p.sayAsked(b, ask)
	if len(asks) > 0 && !slices.ContainsFunc(b.Asked, func(a journal.Asked) bool { return a.ID == ask.ID }) {
		return &cli.Exit{Code: cli.ExitBusy, Err: errors.New("nothing cleared: work is running; try again when it has ended (addagent status)")}
	}
	if l.Flags.JSON {
		if err := cli.PrintJSON(p.Out, b); err != nil {
			return err
		}
	}
	return p.outcome(b, ask, screen.Screen != nil || l.Flags.JSON)
}

// waitForOwnSecond is what keeps a fleet driven by cron from asking all at once:
// the node's offset in the interval of the schedule, always the same.
func (p *process) waitForOwnSecond(ctx context.Context, cfg *config.Config) error {
	me, err := daemon.Identify(ctx, p.Process, cfg, true)
	if err != nil {
		return cli.Misuse(err)
	}
	s, err := daemon.ParseSchedule(cfg.Beat.Schedule)
	if err != nil {
		return cli.Misuse(err)
	}
	own := daemon.OwnOffset(cfg, s, me.ID)
	if cli.IsTerminal(p.Err) {
		fmt.Fprintf(p.Err, "addagent: waiting %s for this node's own second\n", human.Seconds(own))
	}
	if !retry.Wait(ctx, own) {
		return &cli.Exit{Code: cli.ExitInterrupted}
	}
	return nil
}

// sayAsked names the items whose memory was cleared, and what keeps them from running.
func (p *process) sayAsked(b journal.Beat, ask journal.Ask) {
	for _, a := range b.Asked {
		if a.ID == ask.ID && len(a.Did) > 0 {
			fmt.Fprintf(p.Err, "addagent: cleared the memory of %s, to run again: %s\n", human.Count(len(a.Did), "item"), human.Some(a.Did, 10))
		}
		for _, i := range b.Items {
			if a.ID == ask.ID && i.Held != "" && slices.Contains(a.Did, i.Repo+":"+i.Item) {
				fmt.Fprintf(p.Err, "addagent: %s:%s is due but waiting: %s\n", i.Repo, i.Item, human.Safe(i.Held))
			}
		}
	}
}

// outcome turns a beat into the exit code, and into words where the log was not shown.
func (p *process) outcome(b journal.Beat, ask journal.Ask, shown bool) error {
	var words []string
	code := cli.ExitDone
	for _, a := range b.Asked {
		if a.ID == ask.ID && a.Error != "" {
			fmt.Fprintln(p.Err, "addagent:", human.Safe(a.Error)) // the log does not say it
			code = cli.ExitFailed
		}
	}
	for _, t := range b.Troubles {
		if !strings.HasPrefix(t.Key, "nodeinfo ") { // a file that decides nothing cannot be read: nothing failed
			words = append(words, t.Text)
		}
	}
	for _, e := range b.Ended {
		if !e.OK && e.Reason != string(work.ReasonWaiting) {
			words = append(words, fmt.Sprintf("%s:%s failed: %s (log %s)", e.Repo, e.Item, e.Detail, e.Log))
		}
	}
	if code == cli.ExitDone && b.InHand != nil {
		return nil // it only reported: the beat that began that work says how it ends
	}
	switch b.State {
	case node.Wedged:
		code = cli.ExitWedged
		if len(words) == 0 {
			words = append(words, "wedged: "+b.Reason)
		}
	case node.Disabled:
		code = cli.ExitDisabled
	case node.Failing:
		code = cli.ExitFailed
		if len(words) == 0 {
			words = append(words, "failing: "+b.Reason)
		}
	default:
		if len(words) > 0 {
			code = cli.ExitFailed
		}
	}
	if code == cli.ExitDone {
		return nil
	}
	if !shown {
		for _, w := range words {
			fmt.Fprintln(p.Err, "addagent:", human.Safe(w))
		}
	}
	return &cli.Exit{Code: code}
}

// beatViaAgent asks a living agent to beat now, waits for that beat and for the
// work that it begins, and prints what became of it.
func (p *process) beatViaAgent(ctx context.Context, g *cli.Flags, cfg *config.Config, holder run.Holder, ask journal.Ask) error {
	r := request.Running{Cfg: cfg, Holder: holder, Words: p.Err}
	b, err := r.Ask(ctx, ask)
	if err != nil {
		return err
	}
	b.Started = slices.DeleteFunc(b.Started, func(s journal.Started) bool { return s.At.Before(b.Start) })
	b.Ended = request.EndedOf(b.Ended, b.Started) // of other work hears who began that
	p.sayAsked(b, ask)
	follow := len(b.Started) > 0 && b.InHand != nil
	if follow {
		if !g.JSON && cli.IsTerminal(p.Err) {
			p.newVoice(cfg).Beat(b)
		}
		if b, err = r.Follow(ctx, b); err != nil {
			return err
		}
	}
	shown := g.JSON
	switch {
	case g.JSON:
		if err := cli.PrintJSON(p.Out, b); err != nil {
			return err
		}
	case cli.IsTerminal(p.Err):
		shown = true
		sayBeat(p.newVoice(cfg), b, follow)
	}
	return p.outcome(b, ask, shown)
}

// newVoice speaks to the person at this terminal alone.
func (p *process) newVoice(cfg *config.Config) *journal.HumanLog {
	v := journal.NewHumanLog(journal.LogOptions{Screen: p.Err})
	v.Configure(config.Log{Level: "info", Format: cfg.Log.Format})
	return v
}

// sayBeat is how a beat ended, and the work in it when that was followed.
func sayBeat(v *journal.HumanLog, b journal.Beat, followed bool) {
	for _, e := range b.Ended {
		level := journal.Info
		if !e.OK && e.Reason != string(work.ReasonWaiting) {
			level = journal.Warning
		}
		v.Say(journal.News{At: e.At, Level: level, Text: e.String()})
	}
	for _, t := range b.Troubles {
		v.Say(journal.News{At: time.Now().UTC(), Level: journal.Warning, Text: t.Text})
	}
	if b.Reason == "" && !followed {
		v.Beat(b)
		return
	}
	v.Say(journal.News{At: time.Now().UTC(), Level: journal.Info, Text: strings.TrimSpace(string(b.State) + " " + b.Reason)})
}
