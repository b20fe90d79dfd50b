package work

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
)

// yamlMax bounds work.yaml and hold.yaml, which are read at every beat.
const yamlMax = 16 << 10

// problemsMax is how many mistakes of one file are named: all of them are part of one line of the log.
const problemsMax = 10

// keysMax bounds the keys of one file, by its colons: the library takes a second for three thousand.
const keysMax = 1000

// yamlFile is a YAML file while it is read: what is wrong with it is collected, each with its place.
type yamlFile struct{ mistakes []strictyaml.Mistake }

func (y *yamlFile) wrong(at strictyaml.Node, format string, args ...any) {
	y.mistakes = append(y.mistakes, strictyaml.Mistake{Line: at.Line, Column: at.Column, Text: fmt.Sprintf(format, args...)})
}

// readYAML reads a file that is one mapping with nothing but known keys, and gives its fields to set. An empty file is
// an empty mapping. The problems begin with file, line and column, and are sorted so that a file is corrected from top
// to bottom.
func readYAML(file string, data []byte, known []string, set func(*yamlFile, strictyaml.Field)) (problems []string) {
	if bytes.Count(data, []byte(":")) > keysMax {
		return []string{fmt.Sprintf("%s: more than %s", file, human.Count(keysMax, "key"))}
	}
	body, mistakes := strictyaml.Parse(data)
	y := &yamlFile{mistakes}
	if body != nil && len(mistakes) == 0 && body.Kind != strictyaml.Null {
		for _, f := range y.fields(*body, known) {
			set(y, f)
		}
	}
	slices.SortStableFunc(y.mistakes, func(a, b strictyaml.Mistake) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
	for i, m := range y.mistakes {
		if i == problemsMax {
			return append(problems, fmt.Sprintf("%s: and %s more", file, human.Count(len(y.mistakes)-i, "mistake")))
		}
		at := file
		if m.Line > 0 {
			at = fmt.Sprintf("%s:%d:%d", file, m.Line, m.Column)
		}
		problems = append(problems, at+": "+human.Printable(m.Text))
	}
	return problems
}

// fields is a node taken apart that must be a mapping.
func (y *yamlFile) fields(n strictyaml.Node, known []string) (fields []strictyaml.Field) {
	if n.Kind != strictyaml.Map {
		y.wrong(n, "must be keys and values (%s), not %s", strings.Join(known, ", "), kind(n))
	}
	for _, f := range n.Fields {
		key := f.Key.Text
		near := strictyaml.Nearest(key, known)
		switch {
		case !f.Key.Is(strictyaml.Text, strictyaml.Block):
			y.wrong(f.Key, "a key must be a plain word")
		case !slices.Contains(known, key) && near != "":
			y.wrong(f.Key, "unknown key %s, did you mean %s?", human.Quote(key), near)
		case !slices.Contains(known, key):
			y.wrong(f.Key, "unknown key %s (known: %s)", human.Quote(key), strings.Join(known, ", "))
		case f.Twice() != "":
			y.wrong(f.Key, "%s %s", key, f.Twice())
		default:
			fields = append(fields, f)
		}
	}
	return fields
}

// text is the value of a field that must be a string.
func (y *yamlFile) text(f strictyaml.Field) (text string, ok bool) {
	if !f.Value.Is(strictyaml.Text, strictyaml.Block) {
		y.wrong(f.Key, "%s: must be text, not %s", f.Key.Text, kind(f.Value))
		return "", false
	}
	return f.Value.Text, true
}

// list is the elements of a field that must be a list.
func (y *yamlFile) list(f strictyaml.Field, example string) []strictyaml.Node {
	if f.Value.Kind != strictyaml.List {
		y.wrong(f.Key, "%s: must be a list, as in %s, not %s", f.Key.Text, example, kind(f.Value))
	}
	return f.Value.List
}

// kind is what a value is, for people.
func kind(n strictyaml.Node) string {
	switch {
	case n.Kind == strictyaml.Null, n.Kind == strictyaml.Map && len(n.Fields) == 0:
		return "nothing"
	case n.Kind == strictyaml.Map:
		return "keys and values"
	case n.Kind == strictyaml.List:
		return "a list"
	case n.Is(strictyaml.Text, strictyaml.Block):
		return "text"
	case n.Is(strictyaml.Integer, strictyaml.Fraction, strictyaml.Bool, strictyaml.Infinite):
		return n.Text + " (put it in quotes if it is meant as text)"
	case n.Kind == strictyaml.Reference:
		return "an anchor, alias or tag"
	}
	return "this"
}
