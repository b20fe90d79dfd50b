package status

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/work"
	"github.com/addagent/addagent/work/run"
)

// headline is how many characters the first line has at most: the width of a terminal. A longer reason is in a row.
const headline = 100

// Print is that in words; flags are those that a command which is named must repeat.
func (s Report) Print(out io.Writer, cfg *config.Config, flags string, now time.Time) {
	b := s.Beat
	if b == nil {
		fmt.Fprintf(out, "starting: %v has not finished its first beat, started %s\n", s.Holder, human.When(s.Holder.Started, now))
		s.printDiagnosis(out, flags, now)
		return
	}
	row := func(name, format string, args ...any) {
		fmt.Fprintf(out, "  %-9s %s\n", name, fmt.Sprintf(format, args...))
	}
	state := fmt.Sprintf("%s since %s", strings.ToUpper(string(b.State)), human.When(b.Since, now))
	whole := state
	if b.Reason != "" && b.State != node.Working {
		whole += ": " + human.Safe(b.Reason)
	}
	switch {
	case s.Alive() && !s.Late, s.Other:
		fmt.Fprintln(out, human.Truncate(whole, headline))
	case s.Running:
		fmt.Fprintf(out, "LATE: the beat due %s has not come\n", human.When(b.Next, now))
	case s.killed():
		fmt.Fprintf(out, "NOT RUNNING: the agent was killed after its beat at %s\n", human.When(b.Died, now))
	case !b.Stopped.IsZero():
		fmt.Fprintf(out, "NOT RUNNING: the agent was stopped at %s\n", human.When(b.Stopped, now))
	default:
		fmt.Fprintf(out, "NOT RUNNING: the last beat was at %s\n", human.When(b.Start, now))
	}
	if !s.Alive() || s.Late && !s.Other {
		row("state", "%s", whole)
	} else if human.Truncate(whole, headline) != whole {
		row("reason", "%s", human.Safe(b.Reason))
	}
	row("node", "%s", who(cfg, b))
	took := human.Duration(time.Duration(b.Ms * float64(time.Millisecond)))
	switch {
	case s.Other:
		row("agent", "process %d, with its locks in another run_dir: give its --config to see and steer it", b.PID)
	case !s.Running && b.By == "beat":
		row("agent", "addagent beat, run by cron, a timer or a person; the last one at %s took %s", human.When(b.Start, now), took)
		row("next beat", "due %s", human.When(b.Next, now))
	case !s.Running:
		row("agent", "addagent run, not running; beat %d at %s took %s", b.Seq, human.When(b.Start, now), took)
	case s.Late:
		row("agent", "%v, beat %d at %s took %s", s.Holder, b.Seq, human.When(b.Start, now), took)
	case len(b.Fetching) > 0:
		row("agent", "running, %v; beat %d, started %s, still looking", s.Holder, b.Seq, human.When(b.Start, now))
	default:
		row("agent", "running, %v; beat %d at %s took %s", s.Holder, b.Seq, human.When(b.Start, now), took)
		row(NextRow(s.Brakes.Disabled != nil), "%s", human.When(b.Next, now))
	}
	for _, f := range b.Fetching {
		if s.Running {
			row("look", "%s, %s", f, human.When(b.Start.Add(time.Duration(b.Ms*float64(time.Millisecond))), now))
		}
	}
	if b.InHand != nil && s.Working != nil {
		row("running", "%s at %s, attempt %d, since %s, pid %d", b.InHand.Name(), human.ID(b.InHand.Version), b.InHand.Attempt, human.When(b.InHand.Started, now), b.InHand.PID)
		row("", "tail -f %s", filepath.Join(run.LogDir(filepath.Join(cfg.Home, "log", "work"), b.InHand.Repo, b.InHand.Item), "latest.log"))
	} else if b.InHand != nil {
		row("running", "%s at %s has ended; the next beat collects its result", b.InHand.Name(), human.ID(b.InHand.Version))
	} else if s.Working != nil && (len(b.Fetching) == 0 || s.Working.PID != s.Holder.PID) { // that it looks is said above
		row("running", "%s holds the work lock: %v since %s", s.Working.Purpose, s.Working, human.When(s.Working.Started, now))
	}
	if d := b.Did; d != nil {
		ended := "done in " + d.Took()
		if d.Reason == string(work.ReasonWaiting) {
			ended = fmt.Sprintf("waiting (exit %d after %s): %s", d.Exit, d.Took(), d.Last)
		} else if !d.OK {
			ended = fmt.Sprintf("failed after %s: %s", d.Took(), d.Detail)
			if d.Last != "" && d.Reason != string(work.ReasonWedged) {
				ended += fmt.Sprintf(" (%s)", d.Last)
			}
		}
		row("last run", "%s:%s at %s, %s, %s", d.Repo, d.Item, human.ID(d.Version), human.Safe(ended), human.When(d.At, now))
	}
	if rest := s.Brakes.Disabled; rest != nil && b.State != node.Disabled {
		row("brake", "disabled%s, from the next beat on: %s", until(*rest, now), human.Safe(rest.Reason))
	}
	if w := s.Brakes.Wedged; w != nil && b.State != node.Wedged {
		row("brake", "wedged, from the next beat on: %s", human.Safe(w.String()))
	}
	for _, l := range b.Looks {
		at := "incomplete"
		if l.Version != "" {
			at = l.Branch + " " + human.ID(l.Version)
		}
		if by, disabled := s.Brakes.Repos[l.Repo]; disabled {
			at += fmt.Sprintf(", DISABLED%s: %s", until(by, now), human.Safe(by.Reason))
		}
		row("repo", "%s %s", l.Repo, at)
	}
	if len(b.Items) == 0 && reachedAll(b.Looks) {
		row("item", "none: no repository has a script for this node in nodework/ or bin/nodework/")
	}
	for _, i := range b.Items {
		text := fmt.Sprintf("%s:%s %s", i.Repo, i.Item, i.Verdict)
		if i.Standing != "" {
			text = fmt.Sprintf("%s:%s %s: %s", i.Repo, i.Item, strings.ToUpper(i.Standing), human.Safe(strings.TrimPrefix(i.Reason, i.Standing+": ")))
		}
		if i.Done != "" {
			text += ", last success " + human.ID(i.Done)
		}
		if i.Held != "" && b.State != node.Disabled {
			text += ", " + human.Safe(i.Held)
		}
		_, disabled := s.Brakes.Repos[i.Repo]
		switch at := i.NotBefore; {
		case at == nil, disabled, s.Brakes.Disabled != nil, b.State == node.Disabled: // a brake has no attempts
		case at.After(now):
			text += fmt.Sprintf(", next attempt (%d) at %s", i.Attempt, human.When(*at, now))
		default:
			text += fmt.Sprintf(", next attempt (%d) due since %s", i.Attempt, human.When(*at, now))
		}
		row("item", "%s", text)
	}
	for _, offered := range b.Services {
		row("service", "%s", serviceLine(offered, now))
	}
	for _, t := range b.Troubles {
		row("trouble", "for %s: %s  -> %s", human.Duration(now.Sub(t.Since)), human.Safe(t.Text), withFlags(t.Next(), flags))
	}
	if b.Dropped > 0 {
		row("dropped", "%s since the agent started, each due while an earlier one was running", human.Count(int(b.Dropped), "beat"))
	}
	s.printDiagnosis(out, flags, now)
	if next := s.then(cfg.Home); next != "" && s.Silence == nil {
		printThen(out, flags, next)
	}
}

// NextRow names the row of the next beat, which looks unless a person has disabled that.
func NextRow(disabled bool) string {
	if disabled {
		return "next beat"
	}
	return "next look"
}

// printDiagnosis is the end of the text when other signs were looked for.
func (s Report) printDiagnosis(out io.Writer, flags string, now time.Time) {
	if s.Silence == nil {
		return
	}
	f := *s.Silence
	said := journal.ParseLine(f.Said)
	if f.Said = said.Text; !said.Time.IsZero() {
		f.Said = human.When(said.Time, now) + " " + said.Text
	}
	for _, r := range []struct{ name, text string }{{"disk", f.Unwritable}, {"process", f.Process}, {"log", f.Said}} {
		if r.text != "" {
			fmt.Fprintf(out, "  %-9s %s\n", r.name, r.text)
		}
	}
	printThen(out, flags, f.Next)
}

func printThen(out io.Writer, flags, next string) {
	fmt.Fprintf(out, "  %-9s %s\n", "then", withFlags(next, flags))
}

// withFlags is a command as this person must type it.
func withFlags(command, flags string) string {
	if strings.HasPrefix(command, "addagent") {
		command += flags
	}
	return command
}

// until is how long a brake holds.
func until(b node.Brake, now time.Time) string {
	if b.Until.IsZero() {
		return " until addagent enable"
	}
	return " until " + human.When(b.Until, now)
}

// then is the command to run next when something is wrong.
func (s Report) then(home string) string {
	switch {
	case s.Brakes.Disabled != nil:
		return "addagent enable"
	case s.Brakes.Wedged != nil:
		return "addagent unwedge"
	}
	for _, i := range s.Beat.Items {
		if i.Standing == "wedged" || i.Standing == "failing" {
			return "addagent why " + i.Repo + ":" + i.Item
		}
	}
	for repo := range s.Brakes.Repos {
		return "addagent enable " + repo
	}
	if slices.ContainsFunc(s.Beat.Troubles, journal.Trouble.OfDisk) {
		return "df -h " + home
	}
	if s.Beat.State == node.Failing || s.Beat.State == node.Wedged {
		return "addagent check --live"
	}
	if len(s.Beat.Looks)+len(s.Beat.Fetching) == 0 && (s.Beat.State == node.Idle || s.Beat.State == node.Setup) {
		return "add some repositories to the config (repos:)"
	}
	if s.Beat.State == node.Disabled {
		return "addagent why" // a hold: it names the repository and the file
	}
	return ""
}

func reachedAll(looks []journal.Look) bool {
	for _, l := range looks {
		if l.Version == "" {
			return false
		}
	}
	return true
}

// who is the node in one line.
func who(cfg *config.Config, b *journal.Beat) string {
	info, _ := node.ReadInfo(cfg.Nodeinfo()) // what is wrong there is a trouble of the beat
	who := b.Node
	for _, f := range []struct{ name, value string }{
		{"part", info.Nodepart}, {"stacktype", info.Stacktype}, {"deployment", info.Deployment},
	} {
		if f.value != "" {
			who += fmt.Sprintf(", %s %s", f.name, f.value)
		}
	}
	return who
}
