package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Problem is one thing that is wrong with the config.
type Problem struct {
	File   string `json:"file"`             // path of the file, or the name of the flag
	Line   int    `json:"line,omitempty"`   // from 1; 0 = the file as a whole
	Column int    `json:"column,omitempty"` // in characters, from 1
	Key    string `json:"key,omitempty"`    // "beat.spread"; "" when it is not about one
	Text   string `json:"text"`             // what is wrong and what to do; never holds a value that may be a secret
}

// Error gives the problem in one line, in the form that editors jump to: FILE:LINE:COLUMN: KEY: TEXT.
func (p Problem) Error() string {
	s := p.File + ": "
	if p.Line > 0 {
		s = fmt.Sprintf("%s:%d:%d: ", p.File, p.Line, p.Column)
	}
	if p.Key != "" {
		s += p.Key + ": "
	}
	return s + p.Text
}

// Problems are all that is wrong, in the order of file and line.
type Problems []Problem

// Error gives one problem a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].Error()
	}
	return strings.Join(lines, "\n")
}

func (p Problems) sorted() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Key, b.Key))
	})
	return p
}

// unknownKey says that there is no such key, with the nearest one of those that could stand there: by spelling, else one of
// the same name elsewhere. Without any near one it lists those of this version, now.
func unknownKey(name string, siblings, now, elsewhere []string) string {
	lower := strings.ToLower(name)
	best, distance := "", 1+max(1, len(name)/3)
	for _, s := range siblings {
		d := editDistance(lower, s)
		if len(lower) >= 3 && (strings.HasPrefix(s, lower) || strings.HasPrefix(lower, s)) {
			d = 1
		}
		if d < distance {
			best, distance = s, d
		}
	}
	if best != "" {
		return fmt.Sprintf("unknown key: did you mean %s?", best)
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	for _, e := range elsewhere {
		if e == last || strings.HasSuffix(e, "."+last) {
			return fmt.Sprintf("unknown key here: did you mean %s?", e)
		}
	}
	return "unknown key: known here are " + strings.Join(now, ", ")
}

// editDistance counts the letters to insert, delete, change or swap with their neighbour to make b of a.
func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64 // no key is that long, so nothing is near
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

func repoKey(i int) string { return "repos[" + strconv.Itoa(i) + "]." }

func roomKey(i int) string { return "chat[" + strconv.Itoa(i) + "]." }
