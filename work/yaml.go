package work

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
)

// yamlMax bounds work.yaml and hold.yaml, which are read at every beat.
const yamlMax = 16 << 10

// field is one key of a mapping with its value.
type field struct {
	key       string
	value     strictyaml.Node
	line, col int // of the key, from 1
}

// mistake is a problem in a YAML file, with its place; line 0 = the file as a whole.
type mistake struct {
	line, col int
	text      string
}

func (m mistake) in(file string) string {
	if m.line == 0 {
		return file + ": " + m.text
	}
	return fmt.Sprintf("%s:%d:%d: %s", file, m.line, m.col, m.text)
}

// parseFields reads a file that is one mapping, with nothing but known keys. An empty file is an empty mapping. Fields
// without mistakes are returned beside the mistakes of others.
func parseFields(data []byte, known []string) (fields []field, mistakes []mistake) {
	switch {
	case len(data) > yamlMax:
		return nil, []mistake{{text: fmt.Sprintf("is larger than %d bytes", yamlMax)}}
	case !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0:
		return nil, []mistake{{text: "is not text in UTF-8"}}
	}
	body, wrong := strictyaml.Parse(data)
	for _, m := range wrong {
		mistakes = append(mistakes, mistake{m.Line, m.Column, human.Printable(m.Text)})
	}
	if body == nil || mistakes != nil {
		return nil, mistakes
	}
	return mapping(*body, known)
}

// mapping takes a node apart that must be a mapping.
func mapping(n strictyaml.Node, known []string) (fields []field, mistakes []mistake) {
	switch n.Kind {
	case strictyaml.Map:
	case strictyaml.Null:
		return nil, nil
	default:
		return nil, []mistake{misplaced(n, fmt.Sprintf("must be keys and values (%s), not %s", strings.Join(known, ", "), kind(n)))}
	}
	for _, f := range n.Fields {
		key, ok := text(f.Key)
		m := misplaced(f.Key, "")
		switch {
		case !ok:
			m.text = "a key must be a plain word"
		case !slices.Contains(known, key):
			m.text = fmt.Sprintf("unknown key %s", human.Quote(key))
			if near := strictyaml.Nearest(key, known); near != "" {
				m.text += fmt.Sprintf(", did you mean %s?", near)
			} else {
				m.text += fmt.Sprintf(" (known: %s)", strings.Join(known, ", "))
			}
		case f.Twice() != "":
			m.text = key + " " + f.Twice()
		default:
			fields = append(fields, field{key, f.Value, m.line, m.col})
			continue
		}
		mistakes = append(mistakes, m)
	}
	return fields, mistakes
}

// misplaced is a mistake at a node.
func misplaced(n strictyaml.Node, text string) mistake { return mistake{n.Line, n.Column, text} }

// text is the value of a node that is a string.
func text(n strictyaml.Node) (string, bool) {
	if n.Is(strictyaml.Text, strictyaml.Block) {
		return n.Text, true
	}
	return "", false
}

// wantText is the value of a field that must be a string.
func (f field) wantText() (string, *mistake) {
	if s, ok := text(f.value); ok {
		return s, nil
	}
	m := mistake{f.line, f.col, fmt.Sprintf("%s: must be text, not %s", f.key, kind(f.value))}
	return "", &m
}

// wantList is the elements of a field that must be a list.
func (f field) wantList(example string) ([]strictyaml.Node, *mistake) {
	if f.value.Kind == strictyaml.List {
		return f.value.List, nil
	}
	m := mistake{f.line, f.col, fmt.Sprintf("%s: must be a list, as in %s, not %s", f.key, example, kind(f.value))}
	return nil, &m
}

// kind is what a value is, for people.
func kind(n strictyaml.Node) string {
	switch n.Kind {
	case strictyaml.Null:
		return "nothing"
	case strictyaml.Map:
		return "keys and values"
	case strictyaml.List:
		return "a list"
	case strictyaml.Text, strictyaml.Block:
		return "text"
	case strictyaml.Integer, strictyaml.Fraction, strictyaml.Bool, strictyaml.Infinite:
		return n.Text + " (put it in quotes if it is meant as text)"
	case strictyaml.Reference:
		return "an anchor, alias or tag"
	}
	return "this"
}

// inOrder sorts mistakes by their place, so that a file is corrected from top to bottom.
func inOrder(all []mistake) {
	slices.SortStableFunc(all, func(a, b mistake) int { return cmp.Or(a.line-b.line, a.col-b.col) })
}
