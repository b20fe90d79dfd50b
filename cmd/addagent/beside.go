package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/proc"
	"github.com/addagent/addagent/work"
	"github.com/addagent/addagent/work/run"
)

const (
	// besidePoll is how often the files of a living agent are looked at while a person waits.
	besidePoll = 100 * time.Millisecond
	// besideWait is how long a living agent may take to begin the beat it was asked
	// for: a look at a server that hangs takes its deadline, a first clone longer.
	besideWait = 2 * time.Minute
	// besideSay is how long a stopped agent may take to be sent on.
	besideSay = 3 * time.Second
)

// beatBeside asks a living agent to beat now, waits for that beat and for the
// work that it begins, and prints what became of it.
func (p *process) beatBeside(ctx context.Context, g *cli.Flags, cfg *config.Config, holder run.Holder, ask journal.Ask) error {
	b, err := p.ask(ctx, cfg, holder, ask)
	if err != nil {
		return err
	}
	b.Ended = ofThese(b.Ended, b.Started) // of other work hears who began that
	if len(b.Started) > 0 && b.InHand != nil {
		if !g.JSON && isTerminal(p.Err) {
			p.newVoice(cfg).Beat(b)
		}
		if b, err = p.followWork(ctx, cfg, b); err != nil {
			return err
		}
	}
	shown := g.JSON
	switch {
	case g.JSON:
		if err := printJSON(p.Out, b); err != nil {
			return err
		}
	case isTerminal(p.Err):
		shown = true
		sayBeat(p.newVoice(cfg), b)
	}
	return p.outcome(b, ask, shown)
}

// newVoice speaks to the person at this terminal alone.
func (p *process) newVoice(cfg *config.Config) *journal.HumanLog {
	v := journal.NewHumanLog(journal.LogOptions{Screen: p.Err})
	v.Configure(config.Log{Level: "info", Format: cfg.Log.Format})
	return v
}

// sayBeat is how a beat ended, and the work in it.
func sayBeat(v *journal.HumanLog, b journal.Beat) {
	for _, e := range b.Ended {
		level := journal.Info
		if !e.OK && e.Reason != string(work.ReasonWaiting) {
			level = journal.Warning
		}
		v.Say(journal.News{At: e.At, Level: level, Text: e.String()})
	}
	for _, t := range b.Troubles {
		v.Say(journal.News{At: now(), Level: journal.Warning, Text: t.Text})
	}
	v.Say(journal.News{At: now(), Level: journal.Info, Text: strings.TrimSpace(string(b.State) + " " + b.Reason)})
}

// ask leaves a request for a living agent, wakes it up and waits for the beat that obeyed.
func (p *process) ask(ctx context.Context, cfg *config.Config, holder run.Holder, ask journal.Ask) (journal.Beat, error) {
	if err := putAsk(cfg.StateDir, ask); err != nil {
		return journal.Beat{}, err
	}
	if err := wakeUp(holder.PID); err != nil {
		takeBack(cfg.StateDir, ask.ID)
		return journal.Beat{}, &exit{Code: exitBusy, Err: fmt.Errorf("an agent runs here: %w", err)}
	}
	tick := time.NewTicker(besidePoll)
	defer tick.Stop()
	begun, said, waited := time.Now(), false, false
	for {
		if gone(cfg.StateDir, ask.ID) {
			return beatThatObeyed(cfg.Home, ask.ID)
		}
		since := time.Since(begun)
		inHand, working, _ := run.ReadHolder(cfg.WorkLock())
		waits := ask.What != journal.AskBeat && working && inHand.Purpose == run.PurposeWork
		if waited && !waits {
			_ = wakeUp(holder.PID) // the end of work takes no requests, a beat does
		}
		stays := waited && waits // a beat that just took the lock has not noted it yet: the words are still those of the last work
		if waited = waits; waits {
			begun = time.Now() // of the wait for a beat
		}
		switch {
		case stays && !said:
			said = true
			fmt.Fprintf(p.Err, "addagent: waiting for the end of %s, in hand since %s\n", inHand.Item, human.When(inHand.Started, time.Now()))
		case since > besideSay && proc.Stopped(holder.PID):
			takeBack(cfg.StateDir, ask.ID)
			return journal.Beat{}, &exit{Code: exitBusy, Err: fmt.Errorf("the agent (process %d) is stopped and does nothing: kill -CONT %[1]d, or restart it", holder.PID)}
		case !waits && since > besideWait:
			takeBack(cfg.StateDir, ask.ID)
			return journal.Beat{}, &exit{Code: exitBusy, Err: fmt.Errorf("the agent (process %d) did not begin a beat within %s: addagent status", holder.PID, human.Duration(besideWait))}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			takeBack(cfg.StateDir, ask.ID)
			return journal.Beat{}, &exit{Code: exitInterrupted}
		}
	}
}

// takeBack removes a request that nobody waits for any more; one that is obeyed
// at this very moment is obeyed.
func takeBack(stateDir, id string) { _ = os.Remove(askPath(stateDir, id)) }

// beatThatObeyed finds the record that answers a request: beat.json, or, when
// the next beat has followed, the journal.
func beatThatObeyed(home, id string) (journal.Beat, error) {
	obeyed := func(b *journal.Beat) bool {
		return slices.ContainsFunc(b.Asked, func(a journal.Asked) bool { return a.ID == id })
	}
	if b, err := journal.ReadBeat(home); err == nil && b != nil && obeyed(b) {
		return *b, nil
	}
	var found journal.Beat
	err := journal.EachBeat(home, func(b *journal.Beat) {
		if obeyed(b) {
			found = *b
		}
	})
	if err != nil {
		return journal.Beat{}, failed(err)
	}
	if found.Seq == 0 {
		return found, failed(fmt.Errorf("the request was taken up, but no record tells what became of it: addagent status"))
	}
	return found, nil
}

// followWork waits for the end of the work that a beat began, and adds the ends to it.
func (p *process) followWork(ctx context.Context, cfg *config.Config, b journal.Beat) (journal.Beat, error) {
	tick := time.NewTicker(besidePoll)
	defer tick.Stop()
	for {
		now, err := journal.ReadBeat(cfg.Home)
		if err != nil {
			return b, failed(err)
		}
		if now != nil {
			b.Started, b.Ended = merged(b.Started, now.Started, func(s journal.Started) string { return s.RunID }), merged(b.Ended, ofThese(now.Ended, b.Started), func(e journal.Ended) string { return e.RunID })
			b.State, b.Reason, b.InHand, b.Troubles, b.Items, b.Next = now.State, now.Reason, now.InHand, now.Troubles, now.Items, now.Next
			if now.InHand == nil {
				return b, nil
			}
		}
		if _, held, err := run.ReadHolder(cfg.BeatLock()); err == nil && !held {
			fmt.Fprintf(p.Err, "addagent: the agent has ended; %s goes on in its shim\n", b.InHand.Name())
			return b, &exit{Code: exitFailed}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			fmt.Fprintf(p.Err, "addagent: interrupted; %s goes on (pid %d); addagent status tells how it ends\n", b.InHand.Name(), b.InHand.PID)
			return b, &exit{Code: exitInterrupted}
		}
	}
}

// ofThese are the ends of the runs that began.
func ofThese(all []journal.Ended, began []journal.Started) []journal.Ended {
	return slices.DeleteFunc(slices.Clone(all), func(e journal.Ended) bool {
		return !slices.ContainsFunc(began, func(s journal.Started) bool { return s.RunID == e.RunID })
	})
}

// merged adds those that are not there yet, by their run.
func merged[T any](all, more []T, run func(T) string) []T {
	for _, m := range more {
		if !slices.ContainsFunc(all, func(a T) bool { return run(a) == run(m) }) {
			all = append(all, m)
		}
	}
	return all
}
