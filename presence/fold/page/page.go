// Package page words a fold as a page for people, in Markdown.
package page

import (
	"fmt"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
)

const cellLimit = 200 // characters of a cell in the table

// Of is the fold as a page for people: counts, then tables of services and of nodes with trouble on top.
func Of(f presence.Fleet, ends presence.Endpoints, since func(id string) time.Time, now time.Time) []byte {
	var b strings.Builder
	b.WriteString("# Presence\n\n")
	fmt.Fprintf(&b, "The state of every node as of %s. `addctl presence:fold` writes this page; `fold.json` shows when it last ran,\n"+
		"`%s` has the transitions that nodes reported.\n\n", Shown(now), "history/")
	if len(f.Nodes) == 0 {
		b.WriteString("No node has reported yet.\n")
		return []byte(b.String())
	}
	b.WriteString("| part | state | nodes |\n|---|---|---|\n")
	for _, c := range presence.Counts(f, now) {
		fmt.Fprintf(&b, "| %s | %s | %d |\n", Escape(c.Part), Escape(c.State), c.N)
	}
	services(&b, presence.ServicesOf(ends, f, now))
	b.WriteString("\n| node | part | state | since | versions | reason |\n|---|---|---|---|---|---|\n")
	for _, n := range presence.Troubled(f, now) {
		state := Escape(string(n.State))
		if age := n.Age(now); age != presence.Present {
			state = string(age) + " (" + state + ")"
		}
		place := n.Nodepart
		if n.Deployment != "" {
			place = n.Deployment + "/" + n.Nodepart
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", Escape(n.InstanceID), Escape(place), state,
			Shown(since(n.InstanceID)), Escape(n.Deployed(", ")), Escape(n.Reason))
	}
	for _, note := range f.Notes {
		fmt.Fprintf(&b, "\n- %s", Escape(note))
	}
	if len(f.Notes) > 0 {
		b.WriteString("\n")
	}
	return []byte(b.String())
}

// services is the table of services; nothing where there is none.
func services(b *strings.Builder, all []presence.ServiceStatus) {
	for i, s := range all {
		if i == 0 {
			b.WriteString("\n| service | deployment | available | users | not available | behind |\n|---|---|---|---|---|---|\n")
		}
		fmt.Fprintf(b, "| %s | %s | %d of %d | %d | %s | %s |\n", Escape(s.Service), Escape(s.Deployment), s.Available, len(s.Endpoints),
			len(s.Users), Escape(human.Some(s.Away(), 3)), Escape(human.Some(s.Behind(), 3)))
	}
}

// Escape makes a text plain in a cell of a Markdown table.
func Escape(s string) string {
	var b strings.Builder
	for _, r := range human.Line(human.Truncate(s, cellLimit)) {
		if strings.ContainsRune("\\`*_{}[]<>#|!~&$^", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Shown is a time that may not be known.
func Shown(t time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	return human.Stamp(t.UTC())
}
