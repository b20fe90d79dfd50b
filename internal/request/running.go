package request

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
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

// Running is an agent that runs, as a command sees it that is started beside it. What the command waits for goes to
// words.
type Running struct {
	Cfg    *config.Config
	Holder run.Holder
	Words  io.Writer
}

// Ask leaves a request for a living agent, wakes it up and waits for the beat that obeyed.
func (r Running) Ask(ctx context.Context, ask journal.Ask) (journal.Beat, error) {
	if err := Put(r.Cfg.StateDir, ask); err != nil {
		return journal.Beat{}, err
	}
	giveUp := func(code int, err error) (journal.Beat, error) {
		_ = os.Remove(Path(r.Cfg.StateDir, ask.ID)) // one that is obeyed at this very moment is obeyed
		return journal.Beat{}, &cli.Exit{Code: code, Err: err}
	}
	if err := WakeUp(r.Holder.PID); err != nil {
		return giveUp(cli.ExitBusy, fmt.Errorf("an agent runs here: %w", err))
	}
	tick := time.NewTicker(besidePoll)
	defer tick.Stop()
	begun, said, waited := time.Now(), false, false
	for {
		if _, err := os.Lstat(Path(r.Cfg.StateDir, ask.ID)); errors.Is(err, fs.ErrNotExist) { // it was taken up
			return beatThatObeyed(r.Cfg.Home, ask.ID)
		}
		since := time.Since(begun)
		inHand, working, _ := run.ReadHolder(r.Cfg.WorkLock())
		waits := ask.What != journal.AskBeat && working && inHand.Purpose == run.PurposeWork
		if waited && !waits {
			_ = WakeUp(r.Holder.PID) // the end of work takes no requests, a beat does
		}
		stays := waited && waits // a beat that just took the lock has not noted it yet: the words are still those of the last work
		if waited = waits; waits {
			begun = time.Now() // of the wait for a beat
		}
		switch {
		case stays && !said:
			said = true
			fmt.Fprintf(r.Words, "addagent: waiting for %s to end, running since %s\n", inHand.Item, human.When(inHand.Started, time.Now()))
		case since > besideSay && Stopped(r.Holder.PID) != nil:
			return giveUp(cli.ExitBusy, Stopped(r.Holder.PID))
		case !waits && since > besideWait:
			return giveUp(cli.ExitBusy, fmt.Errorf("the agent (process %d) did not start a beat within %s: addagent status", r.Holder.PID, human.Duration(besideWait)))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return giveUp(cli.ExitInterrupted, nil)
		}
	}
}

// beatThatObeyed finds the record that answers a request: beat.json, or, when the next beat has followed, the journal.
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
		return journal.Beat{}, err
	}
	if found.Seq == 0 {
		return found, fmt.Errorf("the agent took the request and recorded no result: addagent status")
	}
	return found, nil
}

// Follow waits for the end of the work that a beat began, and adds the ends to it.
func (r Running) Follow(ctx context.Context, b journal.Beat) (journal.Beat, error) {
	tick := time.NewTicker(besidePoll)
	defer tick.Stop()
	for {
		now, err := journal.ReadBeat(r.Cfg.Home)
		if err != nil {
			return b, err
		}
		if now != nil {
			b.Started, b.Ended = merged(b.Started, now.Started, func(s journal.Started) string { return s.RunID }), merged(b.Ended, EndedOf(now.Ended, b.Started), func(e journal.Ended) string { return e.RunID })
			b.State, b.Reason, b.InHand, b.Troubles, b.Items, b.Next = now.State, now.Reason, now.InHand, now.Troubles, now.Items, now.Next
			if now.InHand == nil {
				return b, nil
			}
		}
		if _, held, err := run.ReadHolder(r.Cfg.BeatLock()); err == nil && !held {
			fmt.Fprintf(r.Words, "addagent: the agent has exited; %s continues in its shim\n", b.InHand.Name())
			return b, &cli.Exit{Code: cli.ExitFailed}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			fmt.Fprintf(r.Words, "addagent: interrupted; %s continues (pid %d); addagent status shows how it ends\n", b.InHand.Name(), b.InHand.PID)
			return b, &cli.Exit{Code: cli.ExitInterrupted}
		}
	}
}

// Drained waits until the users of a drained service have had their time; with "" of all services.
func (r Running) Drained(ctx context.Context, name string, since time.Time) error {
	tick := time.NewTicker(besidePoll)
	defer tick.Stop()
	said := ""
	for {
		b, err := journal.ReadBeat(r.Cfg.Home)
		if err != nil {
			return err
		}
		left := ""
		if _, there := node.ReadBrake(node.DrainedPath(r.Cfg.StateDir, name), time.Now()); !there {
			return errors.New("the drain has ended")
		}
		if b == nil || b.Start.Before(since.Truncate(time.Second)) {
			left = "a beat"
		} else if left = undrained(*b, name, time.Now()); left == "" {
			return nil
		}
		if left != said {
			said = left
			fmt.Fprintf(r.Words, "waiting for %s\n", left)
		}
		if _, held, err := run.ReadHolder(r.Cfg.BeatLock()); err == nil && !held {
			return errors.New("the agent has exited; the drain stays")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			fmt.Fprintln(r.Words, "addagent: interrupted; the drain stays:", strings.TrimSpace("addagent undrain "+name))
			return &cli.Exit{Code: cli.ExitInterrupted}
		}
	}
}

// undrained is what is still to come before a service, or with "" each, is drained; "" = nothing.
func undrained(b journal.Beat, name string, now time.Time) string {
	for _, s := range b.Services {
		if left := s.UndrainedUntil(now); left != "" && (name == "" || s.Name == name) {
			return left
		}
	}
	return ""
}

// EndedOf are the ends of the runs that began.
func EndedOf(all []journal.Ended, began []journal.Started) []journal.Ended {
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
