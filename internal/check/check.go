package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/daemon"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
)

// Result is what became of a thing that was tried. The words are those of `check --live --json`.
type Result string

const (
	OK      Result = "ok"
	Failing Result = "fail"
	Noted   Result = "note"    // it works or is unknown; a person may want to look
	Skipped Result = "skipped" // it is not asked for, or cannot be tried from here
)

// Finding is one line of what `addagent check` found; a list of them is the JSON of --live.
type Finding struct {
	Check  string `json:"check"` // "repo ops", "presence push"
	Status Result `json:"status"`
	Text   string `json:"text"`           // what was found
	Fix    string `json:"mend,omitempty"` // what a person can do about it
}

func good(format string, args ...any) Finding {
	return Finding{Status: OK, Text: fmt.Sprintf(format, args...)}
}

func skip(format string, args ...any) Finding {
	return Finding{Status: Skipped, Text: fmt.Sprintf(format, args...)}
}

func note(text, fix string) Finding { return Finding{Status: Noted, Text: text, Fix: fix} }
func fail(text, fix string) Finding { return Finding{Status: Failing, Text: text, Fix: fix} }

// foreign is what this account may not see, and the agent's may.
func foreign(text string) Finding { return skip("%s: run this as the agent's account", text) }

// named gives a finding the name of what was tried.
func (f Finding) named(check string) Finding {
	f.Check = check
	return f
}

// Checker checks what one node needs: its config, and with live everything that the config names.
type Checker struct {
	Process *cli.Process
	Flags   *cli.Flags
	Live    bool
	Quiet   bool // no room is spoken to
	Now     time.Time

	cfg  *config.Config
	info node.Info
	me   node.Identity // its ID is "" when that is not known
}

// settle reads what everything else is tested with: the config and who this node is. What fails here is a bad config;
// usable tells that there is one to go on with all the same.
func (d *Checker) settle(ctx context.Context) (found []Finding, usable bool) {
	add := func(f Finding) { found = append(found, f.named("config")) }
	bad := func(err error) {
		for _, problem := range problemsOf(err) { // each says what to do
			add(fail(problem, ""))
		}
		if last := len(found) - 1; err != nil && d.Live {
			found[last].Fix = "edit it until addagent check" + d.Flags.Suffix() + " reports no problem"
		}
	}
	cfg, wrong, err := daemon.ConfigLoader{Process: d.Process, Flags: d.Flags}.LastGood()
	d.cfg, usable = cfg, err == nil
	kept := wrong != nil
	if err != nil {
		wrong = err
	}
	if !d.Live { // the text as it is now, with what chat and presence need
		if cfg, wrong = (daemon.ConfigLoader{Process: d.Process, Flags: d.Flags, Complete: true}).Read(); wrong == nil || !kept {
			d.cfg = cfg
		}
	}
	bad(wrong)
	switch {
	case d.Live && err != nil:
		return found, false
	case wrong != nil && kept:
		add(note("the other checks use the last good config", ""))
	case len(d.cfg.Files()) > 0:
		add(good("%s", strings.Join(d.cfg.Files(), ", ")))
	case d.Live:
		add(good("no file: all defaults"))
	case d.Flags.Config == "":
		add(note("no config file at "+cli.DefaultConfig+": all defaults", ""))
	}
	for _, n := range d.cfg.Notes {
		add(note(n.Error(), ""))
	}
	d.info, err = node.ReadInfo(d.cfg.Nodeinfo())
	bad(err)
	for _, text := range d.info.Ignored {
		add(note(text, ""))
	}
	if d.Live || Failures(found) == 0 {
		_, err = daemon.ConfiguredRepos(d.cfg, d.info)
		bad(err)
	}
	return append(found, d.identity(ctx)), usable
}

// problemsOf takes a joined error apart: a line each.
func problemsOf(err error) (lines []string) {
	var many config.Problems
	switch joined, ok := err.(interface{ Unwrap() []error }); {
	case err == nil:
	case errors.As(err, &many):
		for _, one := range many {
			lines = append(lines, one.Error())
		}
	case ok:
		for _, one := range joined.Unwrap() {
			lines = append(lines, problemsOf(one)...)
		}
	default:
		lines = []string{err.Error()}
	}
	return lines
}

// broken is what fails with an error. The hint of the error itself goes before otherwise.
func broken(err error, otherwise string) Finding {
	text, fix := splitHint(err)
	return fail(text, cmp.Or(fix, otherwise))
}

// splitHint takes an error of ours apart: what is wrong, and what a person can do about it ("" = it does not say).
// Those that know it have a method Hint, and their texts end with it.
func splitHint(err error) (text, fix string) {
	var says interface {
		error
		Hint() string
	}
	for at := err; fix == "" && errors.As(at, &says); at = errors.Unwrap(says) {
		fix = says.Hint()
	}
	text = err.Error()
	if fix != "" {
		text = strings.TrimSuffix(text, ": "+fix)
	}
	return text, fix
}

// Failures counts what does not work.
func Failures(found []Finding) (n int) {
	for _, f := range found {
		if f.Status == Failing {
			n++
		}
	}
	return n
}

// probe is one thing to try, or a few that need each other.
type probe struct {
	name  string
	steps int // how many questions it asks, one after the other
	do    func(ctx context.Context) []Finding
}

// runProbes makes all checks at once, each with a deadline of its own, and returns what they found in their order. One
// that does not even heed its deadline, such as a disk that hangs, is given up.
func runProbes(ctx context.Context, each time.Duration, checks []probe) []Finding {
	results := make([]chan []Finding, len(checks))
	for i, c := range checks {
		limit := each * time.Duration(c.steps)
		bounded, cancel := context.WithTimeoutCause(ctx, limit, late{limit})
		result := make(chan []Finding, 2) // the first one counts
		results[i] = result
		stop := context.AfterFunc(bounded, func() {
			time.AfterFunc(probeGrace, func() {
				result <- []Finding{fail(late{limit}.Error(), "check for a hanging disk, mount or program")}
			})
		})
		go func() {
			result <- c.do(bounded)
			stop()
			cancel()
		}()
	}
	var all []Finding
	for i, c := range checks {
		for _, f := range <-results[i] {
			f.Check = cmp.Or(f.Check, c.name)
			all = append(all, f)
		}
	}
	return all
}

// probeGrace is for a check to say what it knows when its time is over.
const probeGrace = 2 * time.Second

// late is the error of what does not answer.
type late struct{ limit time.Duration }

func (l late) Error() string { return "no answer within " + human.Duration(l.limit) }

// ask puts one of several questions of a check, with its own share of time. The error of a late answer is late, and not
// what the deadline did to the connection.
func (d *Checker) ask(ctx context.Context, question func(context.Context) error) error {
	limit := d.cfg.Beat.LookTimeout
	ctx, cancel := context.WithTimeoutCause(ctx, limit, late{limit})
	defer cancel()
	return hurried(ctx, question(ctx))
}

// hurried puts the deadline in the place of what it did to a connection.
func hurried(ctx context.Context, err error) error {
	var l late
	if err != nil && errors.As(context.Cause(ctx), &l) {
		return l
	}
	return err
}
