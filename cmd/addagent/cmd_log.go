package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/work/run"
	"github.com/spf13/cobra"
)

func (p *process) logCommand(g *cli.Flags) *cobra.Command {
	l := &logReader{process: p, g: g}
	c := &cobra.Command{
		Use:   "log [REPO[:ITEM]]",
		Short: "Show the agent's log, or the output of an item's last run",
		Long: `Without an argument it prints the end of the agent's log, log/addagent.log, continuing
into the rotated files where more lines are wanted. With REPO:ITEM it prints the output
of that item's last run, and with REPO that of every item of the repository, each line
with the name of its item. --failed selects the last failed run, which is kept after
later runs succeed.

-f follows until ^C, across rotation, truncation, removal and new runs. A line on
standard error names each run.

The text goes to standard output unchanged, with the colours of the scripts. With --json
each line of the agent's log is an object with time, level (debug, info, warning or
critical) and text, for every log.format.

Exit codes: 0 printed, or nothing to print yet, 1 unknown item or unreadable log, 130 -f
was interrupted by ^C.`,
		Example: `  addagent log                       # the latest lines of the agent
  addagent log -f                    # and those to come
  addagent log -n 1000 | grep CRITICAL
  addagent log ops:part.app1         # the last run of one script
  addagent log --failed ops:part.app1
  addagent log -f ops                # the output of all scripts of ops`,
		Args: cobra.MaximumNArgs(1),
		RunE: p.withConfig(g, func(c *cobra.Command, cfg *config.Config, args []string) error {
			l.given = c.Flags().Changed("lines")
			l.dir = filepath.Join(cfg.Home, "log", "work")
			l.out = bufio.NewWriterSize(stoppable{c.Context(), p.Out}, 64<<10)
			switch {
			case l.given && l.lines < -1:
				return cli.Misuse(fmt.Errorf("-n %d: give a number of lines from 0, or -1 for all", l.lines))
			case len(args) == 0 && l.failed:
				return cli.Misuse(errors.New("--failed is for the output of scripts: name a REPO or a REPO:ITEM"))
			case len(args) == 0:
				return l.agentLog(c.Context(), cfg)
			case g.JSON:
				return cli.Misuse(errors.New("--json is for the agent's own log: the output of a script is plain text"))
			}
			return l.workLogs(c.Context(), cfg.Home, args[0])
		}),
	}
	c.Flags().BoolVarP(&l.follow, "follow", "f", false, "follow the log until ^C")
	c.Flags().BoolVar(&l.failed, "failed", false, "of the last failed run instead of the last run")
	c.Flags().IntVarP(&l.lines, "lines", "n", agentLines, "the last `LINES`, -1 for all; default: all of one item, 10 of each of several")
	return c
}

const (
	agentLines = 50 // of the agent's log: the last hour of a quiet node, a screen
	eachLines  = 10 // of each of several items
)

// logReader prints logs; it only reads.
type logReader struct {
	*process
	g      *cli.Flags
	follow bool
	failed bool   // of the last run that failed, not of the last one
	lines  int    // -1 = all
	given  bool   // a person said how many
	dir    string // log/work
	out    *bufio.Writer
	tails  []*journal.Tail
}

// stoppable is what takes nothing more after ^C: the end of a long log may be far away.
type stoppable struct {
	ctx context.Context
	io.Writer
}

func (s stoppable) Write(data []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, s.ctx.Err()
	}
	return s.Writer.Write(data)
}

// say is a word beside the data, after the data that was read before it.
func (l *logReader) say(format string, args ...any) {
	l.out.Flush() //nolint:errcheck // the next one has the same error
	fmt.Fprintf(l.Err, format+"\n", args...)
}

// agentLog prints log/addagent.log.
func (l *logReader) agentLog(ctx context.Context, cfg *config.Config) error {
	path := journal.LogPath(cfg.Home)
	lines := &journal.LineWriter{Each: func(text []byte) error {
		line := journal.ParseLine(string(text))
		if l.g.JSON {
			return cli.PrintJSONLine(l.out, line)
		}
		_, err := fmt.Fprintln(l.out, line.String())
		return err
	}}
	t := &journal.Tail{Path: path, Rotated: func() []string { return journal.Rotated(path) }, Out: lines, Say: l.say}
	l.tails = []*journal.Tail{t}
	if err := t.Advance(l.lines); err != nil {
		return unreadable(err)
	}
	missing := t.Missing()
	switch {
	case missing && !cfg.Log.File:
		l.say("log.file is off: read the journal (journalctl -u addagent)")
		return nil
	case missing && l.follow:
		l.say("no log yet in %s: waiting for it", path)
	case missing:
		l.say("no log yet in %s: has an agent run here? (addagent status%s)", path, l.g.Suffix())
	case !l.follow && t.Empty():
		l.say("the log is empty: %s", path)
	}
	return l.Print(ctx, nil)
}

// workLogs prints what the scripts of one item, or of all items of a repository, said.
func (l *logReader) workLogs(ctx context.Context, home, want string) error {
	all := journal.KnownItems(home)
	chosen := itemsOf(all, want)
	if len(chosen) == 0 {
		return unknownItem(want, all)
	}
	one := strings.Contains(want, ":")
	lines := l.lines
	if !l.given {
		if lines = eachLines; one {
			lines = -1
		}
	}
	ran := false
	for _, name := range chosen {
		missing, err := l.add(name, !one && (l.follow || len(chosen) > 1), lines)
		if err != nil {
			return unreadable(err)
		}
		ran = ran || !missing
	}
	did := "run"
	if l.failed {
		did = "failed"
	}
	switch {
	case ran:
	case l.follow:
		l.say("%s has not %s yet: waiting for it", want, did)
	default:
		l.say("%s has not %s yet (addagent why %s%s)", want, did, want, l.g.Suffix())
	}
	if one {
		return l.Print(ctx, nil)
	}
	return l.Print(ctx, func() error {
		// An item may run for the first time meanwhile.
		for _, name := range journal.ItemsWithLogs(l.dir, nil) {
			known := slices.ContainsFunc(l.tails, func(t *journal.Tail) bool { return t.Path == l.latest(name) })
			if repo, _, _ := strings.Cut(name, ":"); repo != want || known {
				continue
			}
			if _, err := l.add(name, true, -1); err != nil {
				return err
			}
		}
		return nil
	})
}

// latest is the link to the log that is wanted of an item.
func (l *logReader) latest(name string) string {
	repo, item, _ := strings.Cut(name, ":")
	link := "latest.log"
	if l.failed {
		link = "failed.log"
	}
	return filepath.Join(run.LogDir(l.dir, repo, item), link)
}

// add begins to read the newest run of an item; missing is true when it has not run yet.
func (l *logReader) add(name string, prefixed bool, lines int) (missing bool, err error) {
	t := &journal.Tail{Path: l.latest(name), Say: l.say, Opened: func(path string) { l.say("==> run of %s, %s: %s <==", name, runTime(path), path) }}
	t.Out = &journal.LineWriter{Out: l.out}
	if prefixed {
		_, item, _ := strings.Cut(name, ":")
		t.Out.Each = func(line []byte) error {
			_, err := fmt.Fprintf(l.out, "%s | %s\n", item, line)
			return err
		}
	}
	l.tails = append(l.tails, t)
	if err := t.Advance(lines); err != nil || t.Missing() {
		return true, err
	}
	if l.follow {
		return false, nil
	}
	if t.Empty() {
		l.say("it printed nothing")
	}
	return false, t.End()
}

// pollLogs is how often a followed log is looked at. A look is one read and one
// stat; it works on every file system, across symlinks that are swapped and folders
// that come and go, and needs none of the machine's few inotify watches.
const pollLogs = 250 * time.Millisecond

// Print prints what there is and, when it follows, what comes. more may find more logs.
func (l *logReader) Print(ctx context.Context, more func() error) error {
	tick := time.NewTicker(pollLogs)
	defer tick.Stop()
	for {
		for _, t := range l.tails {
			poll := t.Poll
			if !l.follow {
				poll = t.End
			}
			if err := poll(); err != nil {
				return unreadable(err)
			}
		}
		if err := l.out.Flush(); err != nil || !l.follow {
			return unreadable(err)
		}
		select {
		case <-ctx.Done():
			return &cli.Exit{Code: cli.ExitInterrupted}
		case <-tick.C:
		}
		if more == nil {
			continue
		}
		if err := more(); err != nil {
			return unreadable(err)
		}
	}
}

// unreadable turns an error of reading or printing a log into what the process ends with.
func unreadable(err error) error {
	switch {
	case err == nil, errors.Is(err, syscall.EPIPE):
		return nil // who read it has seen enough
	case errors.Is(err, context.Canceled):
		return &cli.Exit{Code: cli.ExitInterrupted}
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: the log belongs to the agent's account (sudo addagent log)", err)
	}
	return err
}

// runTime is when a run began, as its log's name tells.
func runTime(path string) string {
	const stamp = "20060102-150405"
	if name := filepath.Base(path); len(name) >= len(stamp) {
		if at, err := time.Parse(stamp, name[:len(stamp)]); err == nil {
			return human.Time(at)
		}
	}
	return "time unknown"
}
