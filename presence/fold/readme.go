package fold

import (
	"fmt"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
)

const cellLimit = 200 // characters of a cell in the table

// readme is the fold as a page for people: counts, then a table with trouble on top.
func readme(f presence.Fleet, since func(id string) time.Time, now time.Time) []byte {
	var b strings.Builder
	b.WriteString("# Presence\n\n")
	fmt.Fprintf(&b, "The state of every node as of %s. `addctl presence:fold` writes this page; `fold.json` shows when it last ran,\n"+
		"`%s` has the transitions that nodes reported.\n\n", shown(now), "history/")
	if len(f.Nodes) == 0 {
		b.WriteString("No node has reported yet.\n")
		return []byte(b.String())
	}
	b.WriteString("| part | state | nodes |\n|---|---|---|\n")
	for _, c := range presence.Counts(f, now) {
		fmt.Fprintf(&b, "| %s | %s | %d |\n", escape(c.Part), escape(c.State), c.N)
	}
	b.WriteString("\n| node | part | state | since | versions | reason |\n|---|---|---|---|---|---|\n")
	for _, n := range presence.Troubled(f, now) {
		state := escape(string(n.State))
		if age := n.Age(now); age != presence.Present {
			state = string(age) + " (" + state + ")"
		}
		place := n.Nodepart
		if n.Deployment != "" {
			place = n.Deployment + "/" + n.Nodepart
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", escape(n.InstanceID), escape(place), state,
			shown(since(n.InstanceID)), escape(n.Deployed(", ")), escape(n.Reason))
	}
	for _, note := range f.Notes {
		fmt.Fprintf(&b, "\n- %s", escape(note))
	}
	if len(f.Notes) > 0 {
		b.WriteString("\n")
	}
	return []byte(b.String())
}

// escape makes a text plain in a cell of a Markdown table.
func escape(s string) string {
	var b strings.Builder
	for _, r := range human.Line(human.Truncate(s, cellLimit)) {
		if strings.ContainsRune("\\`*_{}[]<>#|!~&$^", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
