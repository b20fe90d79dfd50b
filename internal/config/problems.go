package config

import (
	"fmt"
	"strings"

	"github.com/addagent/addagent/internal/strictyaml"
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

// unknownKey names the key that could be meant: one of the same name elsewhere, else the nearest by spelling. Without
// either it lists those of this version, now.
func unknownKey(name string, siblings, now, elsewhere []string) string {
	last := name[strings.LastIndexByte(name, '.')+1:]
	for _, e := range elsewhere {
		if e == last || strings.HasSuffix(e, "."+last) {
			return fmt.Sprintf("unknown key here: did you mean %s?", e)
		}
	}
	if near := strictyaml.Nearest(name, siblings); near != "" {
		return fmt.Sprintf("unknown key: did you mean %s?", near)
	}
	return "unknown key: known here are " + strings.Join(now, ", ")
}
