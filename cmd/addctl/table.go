package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// A cell is a text with the colour of node.StateRow; "" = none.
type cell struct{ text, colour string }

// A table is lines of cells below a head, all with as many cells.
type table struct {
	head []string
	rows [][]cell
	// give are the columns that give way on a narrow terminal, in order, with the
	// width that each keeps.
	give []give
}

type give struct{ column, least int }

// gap is between two columns.
const gap = "  "

// lines are the head and the rows, no wider than width where that can be; 0 = as
// wide as they are.
func (t table) lines(width int, colours bool) []string {
	widths := make([]int, len(t.head))
	for i, h := range t.head {
		widths[i] = utf8.RuneCountInString(h)
		for _, r := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(r[i].text))
		}
	}
	if width > 0 {
		over := len(gap)*(len(widths)-1) - width
		for _, w := range widths {
			over += w
		}
		for _, g := range t.give {
			if least := max(g.least, utf8.RuneCountInString(t.head[g.column])); over > 0 && widths[g.column] > least {
				less := min(over, widths[g.column]-least)
				widths[g.column] -= less
				over -= less
			}
		}
	}
	head := make([]cell, len(t.head))
	for i, h := range t.head {
		head[i].text = h
	}
	list := []string{line(head, widths, width, colours)}
	for _, r := range t.rows {
		list = append(list, line(r, widths, width, colours))
	}
	return list
}

// line is one row. What does not fit into a screen's width is left out, not wrapped.
func line(row []cell, widths []int, width int, colours bool) string {
	var b strings.Builder
	left := width
	for i, c := range row {
		text := human.Truncate(c.text, widths[i])
		pad := widths[i] - utf8.RuneCountInString(text)
		if width > 0 {
			text = human.Truncate(text, left)
			left -= widths[i] + len(gap)
		}
		b.WriteString(paint(text, c.colour, colours))
		if slices.ContainsFunc(row[i+1:], func(c cell) bool { return c.text != "" }) && (width <= 0 || left > 0) {
			b.WriteString(strings.Repeat(" ", pad) + gap)
		}
	}
	return b.String()
}

// paint colours a text for a terminal.
func paint(text, colour string, colours bool) string {
	code := map[string]string{"red": "31", "green": "32", "yellow": "33", "gray": "90", "bold": "1"}[colour]
	if !colours || code == "" || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// nodesTable is a line a node, in the order given.
func nodesTable(nodes []presence.Node, now time.Time) table {
	t := table{
		head: []string{"ID", "PART", "STATE", "SINCE", "AGE", "VERSIONS", "REASON"},
		give: []give{{6, 20}, {5, 12}, {6, 8}, {0, 10}, {1, 8}, {5, 8}},
	}
	for _, n := range nodes {
		t.rows = append(t.rows, []cell{
			{text: n.InstanceID}, {text: placeOf(n.Deployment, n.Nodepart)}, stateCell(n), {text: since(n, now)}, ageCell(n, now),
			{text: versions(n)}, {text: human.Safe(n.Reason)},
		})
	}
	return t
}

func stateCell(n presence.Node) cell {
	row, _ := node.Row(n.State) // an agent of another version may say a word that is not there
	return cell{cmp.Or(human.Safe(string(n.State)), "-"), row.Colour}
}

// since is for how long a node is in its state: ">" where only the last statement is
// known, and the state may be older.
func since(n presence.Node, now time.Time) string {
	switch {
	case !n.Since.IsZero():
		return human.Column(now.Sub(n.Since))
	case !n.Told.IsZero():
		return ">" + human.Column(now.Sub(n.Told))
	}
	return "-"
}

// ageCell is a node's age and, when it is not as it should be, for how long it has
// not been heard.
func ageCell(n presence.Node, now time.Time) cell {
	age := n.Age(now)
	text := string(age)
	switch heard := heard(n); {
	case age == presence.Present || heard.IsZero():
	case heard.After(now.Add(presence.Skew)):
		text += ", ahead " + human.Column(heard.Sub(now)) // its clock is, or ours is behind
	default:
		text += " " + human.Column(now.Sub(heard))
	}
	return cell{text, ageColour(age)}
}

func ageColour(a presence.Age) string {
	return map[presence.Age]string{presence.Late: "yellow", presence.Missing: "red", presence.Gone: "gray"}[a]
}

// heard is when a node spoke last; zero when that is not known.
func heard(n presence.Node) time.Time {
	if !n.BeatSeen.IsZero() {
		return n.BeatSeen
	}
	return n.Told
}

// versions are what a node has of its repositories.
func versions(n presence.Node) string {
	var all []string
	for _, r := range n.Repos {
		all = append(all, r.Name+"@"+human.ID(r.Version))
	}
	return human.Safe(strings.Join(all, " "))
}

// summary is the fleet in a line: how many are how, and how good the news is. shown
// are those that the filters let through.
func summary(shown []presence.Node, f presence.Fleet, now time.Time) string {
	counts := map[string]int{}
	for _, c := range presence.Counts(presence.Fleet{Nodes: shown}, now) {
		counts[c.State] += c.N
	}
	words := make([]string, 0, len(counts))
	for w := range counts {
		words = append(words, w)
	}
	slices.SortFunc(words, func(a, b string) int { return cmp.Or(counts[b]-counts[a], cmp.Compare(a, b)) })
	for i, w := range words {
		words[i] = fmt.Sprintf("%d %s", counts[w], human.Safe(w))
	}
	text := human.Count(len(f.Nodes), "node")
	if len(shown) < len(f.Nodes) {
		text = fmt.Sprintf("%d of %s", len(shown), text)
	}
	if len(words) > 0 {
		text += ": " + strings.Join(words, ", ")
	}
	if f.From == presence.FromFold {
		// Ages too are of that time, so it is the one that counts, whenever the fold was read.
		return text + fmt.Sprintf("; read from the fold, as of %s ago", human.Seconds(max(now.Sub(f.Folded), time.Second)))
	}
	text += "; read from the nodes' refs"
	if old := now.Sub(f.At); old >= 30*time.Second {
		text += fmt.Sprintf(" %s ago", human.Seconds(old))
	}
	return text
}
