package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/agent"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/presence/fleet"
	"github.com/addagent/addagent/systemd"
	"github.com/spf13/cobra"
)

func (p *process) foldCommand(g *global) *cobra.Command {
	var every time.Duration
	c := &cobra.Command{
		Use:   "presence:fold",
		Short: "gather what all nodes said into one branch, with a table and a history",
		Long: `Writes the record of every node, a table for people (README.md) and every transition
(history/YYYY/MM/DD.jsonl) into the branch main of the presence repository. Whoever
reads the grid then asks for one ref, not for all.

Once, as cron would do it, or with --every as a service: a line when something was
folded, a line when something goes wrong (once, then hourly, and when it is over), until
^C or SIGTERM. One control node folds; a second one does no harm, and is told.

Rooms of the config with from: fleet are told by the folding control node, a line for
all nodes of a part in one state at one version, as their number changes: "37 of 40
fed1/app1 wedged at 1a2b3c4: exit 100". The config is read at the start.

--json prints an object a fold: nodes, moved, transitions, pushed, commit, notes.

Exit codes: 0 folded, or stopped as a service, 1 it could not be folded, or a room
refused what it was told.`,
		Example: `  addctl presence:fold --every 1m
  addctl presence:fold --presence git@git.example.org:presence.git`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("every") && every < time.Second {
				return cli.Misuse(errors.New("--every: once a second is the most"))
			}
			return p.fold(c.Context(), g, every)
		},
	}
	c.Flags().DurationVar(&every, "every", 0, "go on, and fold every `DURATION`, such as 1m")
	return c
}

func (p *process) fold(ctx context.Context, g *global, every time.Duration) error {
	cfg, err := p.settings(g)
	if err != nil {
		return err
	}
	o, err := p.place(g, cfg, "fold")
	if err != nil {
		return err
	}
	folder, err := fleet.NewFolder(fleet.FolderOptions{Options: o, Every: every, Author: author()})
	if err != nil {
		return cli.Misuse(err)
	}
	defer folder.Close()
	// A room that cannot be opened is no reason to let the grid grow stale.
	speaker, mute := p.newSpeaker(cfg, o)
	if mute != nil {
		speaker, mute = nil, fmt.Errorf("chat: %w", mute)
		fmt.Fprintf(p.Err, "addctl: %v; it folds all the same, and tells no room\n", mute)
	}
	l := &folding{p: p, g: g, folder: folder, speaker: speaker, options: o}
	if every > 0 {
		return l.loop(ctx, every)
	}
	now := time.Now()
	r, err := folder.Once(ctx, now)
	if err != nil {
		return ended(ctx, cli.Failed(fmt.Errorf("%s: %w", o.Source.Redacted(), err)))
	}
	if err := l.print(r, now, true); err != nil {
		return err
	}
	if mute != nil {
		return &cli.Exit{Code: cli.ExitFailed} // it is said above
	}
	return l.speakOnce(ctx, now)
}

// folding is a folder at work, and whom it tells.
type folding struct {
	p       *process
	g       *global
	folder  *fleet.Folder
	speaker *speaker // nil = no room
	options fleet.Options
	timed   bool // lines begin with the time
	notes   []string
	wrong   complaint // with the fold
	room    complaint // with a room
}

// flushTime is how long the end waits for rooms that were told something just now.
const flushTime = 15 * time.Second

// speakOnce tells the rooms, and waits until they know.
func (l *folding) speakOnce(ctx context.Context, now time.Time) error {
	if l.speaker == nil {
		return nil
	}
	err := l.speaker.tell(ctx, l.folder.Fleet(), now)
	ctx, stop := context.WithTimeout(ctx, flushTime)
	defer stop()
	if err = errors.Join(err, l.speaker.flush(ctx)); err != nil {
		return cli.Failed(err)
	}
	return nil
}

// loop folds until ctx ends, which is no failure: a service was stopped.
func (l *folding) loop(ctx context.Context, every time.Duration) error {
	l.timed = l.p.Env("JOURNAL_STREAM") == ""
	notify, err := systemd.New(l.p.Env, os.Getpid())
	if err == nil {
		err = notify.Ready() // before the first fold: a server that is down is no reason not to start
	}
	if err != nil {
		l.say("%v", err)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var alive <-chan time.Time
	if watchdog, on := notify.Watchdog(); on {
		t := time.NewTicker(watchdog / 2)
		defer t.Stop()
		alive = t.C
	}
	for ctx.Err() == nil {
		now := time.Now()
		r, err := l.folder.Once(ctx, now)
		if ctx.Err() != nil {
			break // what was cut short says nothing about the server
		}
		l.complain(ctx, err, now)
		if err == nil {
			if err := l.print(r, now, false); err != nil {
				return err
			}
			_ = notify.Status(fmt.Sprintf("%s, folded %s", count(r.Nodes, "node"), now.UTC().Format("15:04:05Z"))) // it only informs
		}
		_ = notify.Alive()
		for waits := true; waits; {
			select {
			case <-ctx.Done():
				waits = false
			case <-tick.C:
				waits = false
			case <-alive:
				_ = notify.Alive() // systemd tells if it hears nothing
			}
		}
	}
	_ = notify.Stopping() // nobody waits for it
	if l.speaker == nil {
		return nil
	}
	if err := l.speaker.close(); err != nil {
		return cli.Failed(fmt.Errorf("chat: %w", err))
	}
	return nil
}

// complain tells the rooms what is new and says what is wrong, with the fold or with a
// room, as complaints are said.
func (l *folding) complain(ctx context.Context, err error, now time.Time) {
	text, line := "", ""
	if err != nil {
		text = fmt.Sprintf("%s: %v", l.options.Source.Redacted(), err)
	}
	if l.wrong, line = l.wrong.next(text, now); line != "" {
		l.say("%s", line)
	}
	if err != nil || l.speaker == nil {
		return
	}
	text = ""
	if err := errors.Join(l.speaker.tell(ctx, l.folder.Fleet(), now), l.speaker.troubles()); err != nil {
		text = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	if l.room, line = l.room.next(text, now); line != "" {
		l.say("%s", line)
	}
}

// print tells what a fold did. One that found nothing new is silent, unless it is the
// only one; notes that stay are said once.
func (l *folding) print(r fleet.Report, now time.Time, always bool) error {
	for _, n := range r.Notes {
		if !slices.Contains(l.notes, n) {
			l.say("%s", n)
		}
	}
	l.notes = r.Notes
	if !always && len(r.Transitions) == 0 && r.Moved == 0 {
		return nil
	}
	if l.g.json {
		return l.printJSON(r)
	}
	text := fmt.Sprintf("folded %s: %s", count(r.Nodes, "node"), news(r))
	switch {
	case r.Commit == "":
		text = "nothing to fold: no node has spoken yet"
	case r.Pushed:
		text += ", main is at " + agent.Short(r.Commit)
	}
	return l.p.write([]byte(l.stamp(now) + text + "\n"))
}

// printJSON prints a report, compact and on one line: more may follow.
func (l *folding) printJSON(r fleet.Report) error {
	err := cli.PrintJSONLine(l.p.Out, struct {
		Nodes       int                `json:"nodes"`
		Moved       int                `json:"moved"`
		Transitions []fleet.Transition `json:"transitions"`
		Pushed      bool               `json:"pushed"`
		Commit      string             `json:"commit"`
		Notes       []string           `json:"notes"`
	}{r.Nodes, r.Moved, append([]fleet.Transition{}, r.Transitions...), r.Pushed, r.Commit, append([]string{}, r.Notes...)})
	if err != nil {
		return cli.Failed(fmt.Errorf("write: %w", err))
	}
	return nil
}

// news is what a fold brought: its one transition in full, of several how many.
func news(r fleet.Report) string {
	switch len(r.Transitions) {
	case 0:
		return "no transition"
	case 1:
		t := r.Transitions[0]
		if t.From == "" {
			return fmt.Sprintf("%s is new and %s", t.ID, cli.OneLine(t.To))
		}
		return fmt.Sprintf("%s %s → %s", t.ID, cli.OneLine(t.From), cli.OneLine(t.To))
	}
	return count(len(r.Transitions), "transition")
}

// stamp is the time before a line of a service; the journal has its own.
func (l *folding) stamp(now time.Time) string {
	if !l.timed {
		return ""
	}
	return now.UTC().Format("2006-01-02 15:04:05Z") + " "
}

// say prints words beside the data, with the time where lines have one.
func (l *folding) say(format string, args ...any) {
	fmt.Fprintf(l.p.Err, "%saddctl: %s\n", l.stamp(time.Now()), cli.OneLine(fmt.Sprintf(format, args...)))
}
