package status

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/service"
)

// serviceLine is a service on one line.
func serviceLine(s journal.Service, now time.Time) string {
	text := fmt.Sprintf("%s %s", s.Name, s.State)
	if !service.Code(s.Code).Available() {
		text += " (" + s.Code + ")"
	}
	text += " since " + human.When(s.Since, now)
	switch {
	case s.Step != "":
		text += ", being taken away"
	case s.Drained != "":
		text += ", " + s.Drained
	case s.Why != "":
		text += ": " + s.Why
	}
	return human.Safe(text)
}

// PrintService explains the state of a service. The items of its scripts follow, by the caller.
func PrintService(w io.Writer, s journal.Service, now time.Time) {
	row := func(name, text string) {
		if text != "" {
			fmt.Fprintf(w, "  %-9s %s\n", name, human.Safe(text))
		}
	}
	fmt.Fprintf(w, "service %s  %s (%s) since %s\n", s.Name, human.Safe(s.State), s.Code, human.When(s.Since, now))
	row("from", s.Repo)
	what := s.Mode
	if s.Role != "na" {
		what += ", " + s.Role
	}
	if s.Port != 0 {
		what += ", port " + strconv.Itoa(s.Port)
	}
	row("what", what)
	row("check", s.Check)
	row("failed", s.Why)
	row("drained", s.Drained)
	row("unknown", s.Unknown)
	for _, text := range s.Asked {
		row("requested", text)
	}
	told := "not yet, as far as the last beat knows"
	if !s.Told.IsZero() {
		told = "published " + human.When(s.Told, now)
	}
	row("announced", told)
	row("step", map[string]string{
		"draining":    "no longer wanted: announced as draining; then its users have their time, then delete.sh runs, where there is one",
		"removing":    "delete.sh undoes the set-up, until the check fails",
		"uninstalled": "gone: this is announced, and then it is forgotten",
	}[s.Step])
	switch at := s.DrainedAt; {
	case at.IsZero():
	case s.Step == "draining":
		row("then", "delete.sh runs, not before "+human.When(at, now))
	default:
		row("then", "its users have had their time at "+human.When(at, now))
	}
}

// KnownService complains about a service that this node did not have at its last beat; "" is all of them.
func KnownService(home, name string) error {
	if name == "" {
		return nil
	}
	if !service.ValidName(name) {
		return cli.Misuse(fmt.Errorf("%s is not the name of a service", human.Quote(name)))
	}
	b, err := journal.ReadBeat(home)
	if err != nil || b == nil {
		return err // it may come
	}
	var names []string
	for _, s := range b.Services {
		if s.Name == name {
			return nil
		}
		names = append(names, s.Name)
	}
	return fmt.Errorf("unknown service %s; the services are: %s", name, cmp.Or(strings.Join(names, ", "), "none"))
}
