package view

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/addagent/addagent/internal/human"
)

// Cell is a text with a colour of node.StateRow; "" = none.
type Cell struct{ Text, Colour string }

// Table is rows of cells below a head, as many in each.
type Table struct {
	Head   []string
	Rows   [][]Cell
	shrink []shrink // the columns that get narrower on a narrow terminal, in order
}

// shrink is a column and the width that it keeps.
type shrink struct{ column, least int }

const (
	// gap is between two columns.
	gap = "  "
	// longest cuts a cell, and aligned is what it may add to the width of its column where no screen bounds that: a
	// record may have 64 KB in one field, and each row would be padded to as much.
	longest, aligned = 500, 100
)

// Lines are the head and the rows, no wider than width if possible; 0 = as wide as they are, but for very long cells.
func (t Table) Lines(width int, colours bool) []string {
	head := make([]Cell, len(t.Head))
	for i, h := range t.Head {
		head[i].Text = h
	}
	rows := append([][]Cell{head}, t.Rows...)
	widths, most := make([]int, len(head)), longest
	if width <= 0 {
		most = aligned
	}
	for _, r := range rows {
		for i, c := range r {
			widths[i] = max(widths[i], min(utf8.RuneCountInString(c.Text), most))
		}
	}
	if width > 0 {
		over := len(gap)*(len(widths)-1) - width
		for _, w := range widths {
			over += w
		}
		for _, s := range t.shrink {
			if least := max(s.least, utf8.RuneCountInString(t.Head[s.column])); over > 0 && widths[s.column] > least {
				less := min(over, widths[s.column]-least)
				widths[s.column] -= less
				over -= less
			}
		}
	}
	var list []string
	for _, r := range rows {
		list = append(list, line(r, widths, width, colours))
	}
	return list
}

// line is one row. What does not fit into a screen's width is left out, not wrapped.
func line(row []Cell, widths []int, width int, colours bool) string {
	var b strings.Builder
	left := width
	for i, c := range row {
		text := human.Truncate(c.Text, longest)
		if width > 0 {
			text = human.Truncate(human.Truncate(text, widths[i]), left)
			left -= widths[i] + len(gap)
		}
		pad := max(0, widths[i]-utf8.RuneCountInString(text))
		b.WriteString(paint(text, c.Colour, colours))
		if slices.ContainsFunc(row[i+1:], func(c Cell) bool { return c.Text != "" }) && (width <= 0 || left > 0) {
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
