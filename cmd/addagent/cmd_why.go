package main

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/status"
	"github.com/addagent/addagent/work"
	"github.com/addagent/addagent/work/run"
	"github.com/spf13/cobra"
)

func (p *process) whyCommand(g *cli.Flags) *cobra.Command {
	return &cobra.Command{
		Use:   "why [REPO[:ITEM] | service.NAME]",
		Short: "Explain why each item did or did not run, or the state of a service",
		Long: `Reads the decision records (log/beats.jsonl) and shows the latest commit, the watched
paths that it changed, the verdict, the last run and its result, and the time of the
next look. With the name of a service it shows its check, what is announced of it, and
how far it is taken away, and then the scripts that set it up or undo that.`,
		Example: `  addagent why
  addagent why ops:part.app1
  addagent why service.db`,
		Args: cobra.MaximumNArgs(1),
		RunE: p.withConfig(g, func(_ *cobra.Command, cfg *config.Config, args []string) error {
			return p.why(g, cfg, strings.Join(args, ""), time.Now())
		}),
	}
}

func (p *process) why(g *cli.Flags, cfg *config.Config, want string, now time.Time) error {
	home := cfg.Home
	stories, last, err := journal.Stories(home)
	if err != nil {
		return err
	}
	if last == nil {
		if b, err := journal.ReadBeat(home); err == nil && b != nil && len(b.Fetching) > 0 {
			fmt.Fprintf(p.Err, "no decision yet: the first look has been running since %s, %s (addagent status%s)\n", human.When(b.Start, now), b.Fetching[0], g.Suffix())
		} else {
			fmt.Fprintf(p.Err, "no beat has been recorded in %s yet: is the agent running? (addagent status%s)\n", journal.BeatsPath(home), g.Suffix())
		}
		if g.JSON {
			return cli.PrintJSON(p.Out, []journal.Story{})
		}
		return nil
	}
	offered, isService := strings.CutPrefix(want, "service.")
	services := slices.DeleteFunc(slices.Clone(last.Services), func(s journal.Service) bool { return s.Name != offered })
	chosen, looks := []*journal.Story{}, []journal.Look{} // the latter of repositories without an item for this node
	var names []string
	for _, s := range stories {
		name := s.Repo + ":" + s.Item
		names = append(names, name)
		if want == "" || want == s.Repo || want == name || isService && (s.Item == want || strings.HasPrefix(s.Item, want+".")) {
			chosen = append(chosen, s)
		}
	}
	for _, l := range last.Looks {
		if len(chosen) == 0 && (want == "" || want == l.Repo) {
			looks = append(looks, l)
		}
	}
	if want != "" && len(chosen)+len(looks)+len(services) == 0 {
		if isService {
			return fmt.Errorf("this node does not offer %s (addagent status%s)", human.Quote(offered), g.Suffix())
		}
		return unknownItem(want, names)
	}
	if g.JSON && isService {
		return cli.PrintJSON(p.Out, services)
	} else if g.JSON {
		return cli.PrintJSON(p.Out, chosen)
	}
	for _, s := range services {
		status.PrintService(p.Out, s, now)
		if len(chosen) > 0 {
			fmt.Fprintln(p.Out)
		}
	}
	for _, l := range looks {
		if l.Trouble != "" {
			fmt.Fprintln(p.Out, human.Safe(l.Trouble))
		} else {
			fmt.Fprintf(p.Out, "%s is at %s (%s) and has no script for this node in nodework/ or bin/nodework/\n", l.Repo, human.ID(l.Version), l.Branch)
		}
	}
	brakes, err := node.ReadBrakes(cfg.StateDir, now)
	if err != nil {
		fmt.Fprintln(p.Err, "addagent:", err)
	}
	for i, s := range chosen {
		if i > 0 {
			fmt.Fprintln(p.Out)
		}
		_, disabled := brakes.Repos[s.Repo]
		printStory(s, p.Out, home, status.NextRow(disabled || brakes.Disabled != nil), g.Suffix(), now)
	}
	if rest := brakes.Disabled; rest != nil {
		fmt.Fprintf(p.Out, "\nthe node is disabled: %s (addagent enable%s)\n", rest, g.Suffix())
	}
	if holds := holdsOf(last); holds != "" && !slices.ContainsFunc(chosen, func(s *journal.Story) bool { return s.Now.Held != "" }) {
		fmt.Fprintf(p.Out, "\nthe node is disabled: %s (push to end a hold)\n", holds)
	}
	for repo, rest := range brakes.Repos {
		fmt.Fprintf(p.Out, "\n%s is disabled: %s (addagent enable %[1]s%[3]s)\n", repo, rest, g.Suffix())
	}
	if w := brakes.Wedged; w != nil {
		fmt.Fprintf(p.Out, "\nthe node is marked as wedged: %s (addagent unwedge%s)\n", w, g.Suffix())
	}
	for _, t := range last.Troubles {
		if len(chosen) == 0 && strings.HasPrefix(t.Key, "look ") {
			continue // said above, by the repository
		}
		fmt.Fprintf(p.Out, "\ntrouble for %s: %s\n", human.Duration(now.Sub(t.Since)), human.Safe(t.Text))
	}
	return nil
}

func printStory(s *journal.Story, w io.Writer, home, next, flags string, now time.Time) {
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-9s %s\n", name, fmt.Sprintf(format, args...))
	}
	head := string(s.Now.Verdict)
	switch {
	case s.InHand != nil:
		head = fmt.Sprintf("%s, working for %s", cmp.Or(s.Now.Standing, head), human.Seconds(now.Sub(s.InHand.Started)))
		if s.InHand.Attempt > 1 {
			head += fmt.Sprintf(" (attempt %d)", s.InHand.Attempt)
		}
	case s.Now.Standing != "":
		head = s.Now.Standing
	}
	fmt.Fprintf(w, "%s:%s  %s\n", s.Repo, s.Item, head)
	commit := human.ID(s.Now.Version)
	if s.Came != nil && s.Came.Version == s.Now.Version {
		commit += fmt.Sprintf(" on %s, arrived %s", s.Came.Branch, human.When(s.CameAt, now))
		if s.Came.Previous != "" {
			commit += ", previously " + human.ID(s.Came.Previous)
		}
	}
	row("commit", "%s", commit)
	cannot := strings.HasPrefix(s.Now.Why, work.CannotRun) // and what it would watch is not known either
	watched := slices.Clone(s.Now.Watch)
	for i, w := range watched {
		if slices.ContainsFunc(s.Now.Missing, func(m string) bool { return strings.HasPrefix(m, w+": ") }) {
			watched[i] += " (not there)"
		}
	}
	watches := fmt.Sprintf("%s (%s)", cmp.Or(strings.Join(watched, " "), "only its script"), s.Now.WatchFrom)
	if s.Now.Always {
		watches += ", and runs every beat (run: always)"
	}
	if !cannot {
		row("watches", "%s", watches)
	}
	for _, m := range s.Now.Missing {
		row("", "%s", m)
	}
	if s.Decision != nil && s.Started != nil && (s.Decision.Version != s.Now.Version || s.Decision.Why != s.Now.Why) {
		row("decided", "%s: %s", human.When(s.Started.At, now), s.Decision.Why)
	}
	if s.Started != nil {
		ran := fmt.Sprintf("%s at %s, attempt %d", human.When(s.Started.At, now), human.ID(s.Started.Version), s.Started.Attempt)
		switch {
		case s.Started.Error != "":
			ran += ": could not start: " + s.Started.Error
		case s.Ended != nil && s.Ended.RunID == s.Started.RunID && s.Ended.OK:
			ran += ", done in " + s.Ended.Took()
		case s.Ended != nil && s.Ended.RunID == s.Started.RunID && s.Ended.Reason == string(work.ReasonWaiting):
			ran += fmt.Sprintf(", asked to wait after %s (exit 75)", s.Ended.Took())
		case s.Ended != nil && s.Ended.RunID == s.Started.RunID:
			ran += fmt.Sprintf(", failed after %s: %s", s.Ended.Took(), s.Ended.Detail)
		case s.InHand != nil:
			ran += fmt.Sprintf(", running (pid %d)", s.InHand.PID)
		default:
			ran += ", no end recorded yet"
		}
		row("ran", "%s", ran)
		if s.Ended != nil && s.Ended.RunID == s.Started.RunID && !s.Ended.OK && s.Ended.Last != "" {
			row("output", "%s", human.Safe(s.Ended.Last))
		}
		row("log", "%s", filepath.Join(run.LogDir(filepath.Join(home, "log", "work"), s.Repo, s.Item), "latest.log"))
	}
	verdict := s.Now.Why
	if s.Beats > 1 {
		verdict += fmt.Sprintf(" (%s since %s)", human.Count(s.Beats, "beat"), human.When(s.First, now))
	}
	if s.Now.Reason == "" || !strings.Contains(s.Now.Why, s.Now.Reason) {
		row("verdict", "%s", verdict)
	}
	if s.Now.Standing != "" {
		text := s.Now.Standing + ": " + strings.TrimPrefix(s.Now.Reason, s.Now.Standing+": ")
		if s.Now.NotBefore != nil {
			text += fmt.Sprintf("; attempt %d not before %s", s.Now.Attempt, human.When(*s.Now.NotBefore, now))
		}
		row("standing", "%s", text)
		switch {
		case cannot:
			row("to fix", "push a commit that corrects it")
		case s.Now.Standing == "wedged":
			row("to fix", "push a commit that changes what it watches or its script; or run addagent unwedge %s:%s%s", s.Repo, s.Item, flags)
		}
	}
	if s.Now.Held != "" {
		row("held", "%s", strings.TrimPrefix(s.Now.Held, "held "))
	}
	if s.Next.Before(now.Add(-status.LateLeast)) {
		row("next", "overdue since %s: is the agent running? (addagent status)", human.When(s.Next, now))
	} else {
		row(next, "%s", human.When(s.Next, now))
	}
}
