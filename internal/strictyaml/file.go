package strictyaml

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
)

// FileMax bounds such a file, in bytes: it is read at every beat.
const FileMax = 16 << 10

// problemsMax is how many mistakes of one file are named: all of them are part of one line of the log.
const problemsMax = 10

// keysMax bounds the keys of one file, by its colons: the library takes a second for three thousand.
const keysMax = 1000

// File is a YAML file while it is read: what is wrong with it is collected, each with its place.
type File struct{ mistakes []Mistake }

// Wrong notes a mistake at a node.
func (y *File) Wrong(at Node, format string, args ...any) {
	y.mistakes = append(y.mistakes, Mistake{Line: at.Line, Column: at.Column, Text: fmt.Sprintf(format, args...)})
}

// ReadFile reads a file that is one mapping with nothing but known keys, and gives its fields to set. An empty file is
// an empty mapping. The problems begin with file, line and column, and are sorted so that a file is corrected from top
// to bottom.
func ReadFile(file string, data []byte, known []string, set func(*File, Field)) (problems []string) {
	return read(file, data, func(y *File, body Node) {
		for _, f := range y.Fields(body, known) {
			set(y, f)
		}
	})
}

// ReadList reads a file that is one list, and gives its elements to set. An empty file is an empty list. The problems
// are those of ReadFile.
func ReadList(file string, data []byte, example string, set func(*File, Node)) (problems []string) {
	return read(file, data, func(y *File, body Node) {
		if body.Kind != List {
			y.Wrong(body, "must be a list, as in %s, not %s", example, What(body))
		}
		for _, n := range body.List {
			set(y, n)
		}
	})
}

func read(file string, data []byte, set func(*File, Node)) (problems []string) {
	if bytes.Count(data, []byte(":")) > keysMax {
		return []string{fmt.Sprintf("%s: more than %s", file, human.Count(keysMax, "key"))}
	}
	body, mistakes := Parse(data)
	y := &File{mistakes}
	if body != nil && len(mistakes) == 0 && body.Kind != Null {
		set(y, *body)
	}
	slices.SortStableFunc(y.mistakes, func(a, b Mistake) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
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

// Fields is a node taken apart that must be a mapping.
func (y *File) Fields(n Node, known []string) (fields []Field) {
	if n.Kind != Map {
		y.Wrong(n, "must be keys and values (%s), not %s", strings.Join(known, ", "), What(n))
	}
	for _, f := range n.Fields {
		key := f.Key.Text
		near := Nearest(key, known)
		switch {
		case !f.Key.Is(Text, Block):
			y.Wrong(f.Key, "a key must be a plain word")
		case !slices.Contains(known, key) && near != "":
			y.Wrong(f.Key, "unknown key %s, did you mean %s?", human.Quote(key), near)
		case !slices.Contains(known, key):
			y.Wrong(f.Key, "unknown key %s (known: %s)", human.Quote(key), strings.Join(known, ", "))
		case f.Twice() != "":
			y.Wrong(f.Key, "%s %s", key, f.Twice())
		default:
			fields = append(fields, f)
		}
	}
	return fields
}

// Text is the value of a field that must be a string.
func (y *File) Text(f Field) (text string, ok bool) {
	if !f.Value.Is(Text, Block) {
		y.Wrong(f.Key, "%s: must be text, not %s", f.Key.Text, What(f.Value))
		return "", false
	}
	return f.Value.Text, true
}

// OneOf is the value of a field that must be one of some words.
func (y *File) OneOf(f Field, words []string) string {
	text, ok := y.Text(f)
	if ok && !slices.Contains(words, text) {
		y.Wrong(f.Key, "%s: is %s, must be %s", f.Key.Text, human.Quote(text), human.List(words, "or"))
	}
	return text
}

// Number is the value of a field that must be a whole number from least to most.
func (y *File) Number(f Field, least, most int) int {
	n, err := strconv.Atoi(f.Value.Text)
	if f.Value.Kind != Integer || err != nil || n < least || n > most {
		y.Wrong(f.Key, "%s: must be a number from %d to %d, not %s", f.Key.Text, least, most, cmp.Or(human.Truncate(f.Value.Text, 40), What(f.Value)))
		return 0
	}
	return n
}

// List is the elements of a field that must be a list.
func (y *File) List(f Field, example string) []Node {
	if f.Value.Kind != List {
		y.Wrong(f.Key, "%s: must be a list, as in %s, not %s", f.Key.Text, example, What(f.Value))
	}
	return f.Value.List
}

// Names is the elements of a field that must be a list of names, or one name.
func (y *File) Names(f Field) (names []string) {
	list := []Node{f.Value}
	if !f.Value.Is(Text, Block) || f.Value.Text == "" {
		list = y.List(f, "[ app1, app2 ]")
	}
	for _, n := range list {
		if !n.Is(Text, Block) || n.Text == "" {
			y.Wrong(n, "%s: must be a list of names, not of %s", f.Key.Text, What(n))
		}
		names = append(names, n.Text)
	}
	return names
}

// Duration is the value of a field that must be a time of at least a second.
func (y *File) Duration(f Field) time.Duration {
	const example = "as in 90s, 10m or 1h30m"
	if f.Value.Kind == Integer {
		y.Wrong(f.Key, "%s: %s has no unit, %s", f.Key.Text, f.Value.Text, example)
		return 0
	}
	s, ok := y.Text(f)
	d, err := time.ParseDuration(s)
	switch {
	case !ok:
	case err != nil:
		y.Wrong(f.Key, "%s: %s is not a time, %s", f.Key.Text, human.Quote(s), example)
	case d < time.Second:
		y.Wrong(f.Key, "%s: %s is too short: the minimum is 1s", f.Key.Text, human.Quote(s))
	}
	return d
}

// What is what a value is, for people.
func What(n Node) string {
	switch {
	case n.Kind == Null, n.Kind == Map && len(n.Fields) == 0:
		return "nothing"
	case n.Kind == Map:
		return "keys and values"
	case n.Kind == List:
		return "a list"
	case n.Is(Text, Block):
		return "text"
	case n.Is(Integer, Fraction, Bool, Infinite):
		return n.Text + " (put it in quotes if it is meant as text)"
	case n.Kind == Reference:
		return "an anchor, alias or tag"
	}
	return "this"
}
