// Package strictyaml reads YAML that people write by hand: a small tree with the line and column of each value, and all
// mistakes at once.
//
// Each mistake says what to do about it. Which keys there are is the caller's. Begin with Parse, or with ReadFile for a
// small file with a handful of keys.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	yaml "github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Mistake is one thing that is wrong in a file.
type Mistake struct {
	Line, Column int // from 1; line 0 = the file as a whole
	Text         string
}

// Kind is what a value is.
type Kind int

// The kinds of values.
const (
	Other Kind = iota
	Null
	Text
	Block // text of several lines, after | or >
	Integer
	Fraction
	Infinite // .inf or .nan
	Bool
	List
	Map
	Reference // an anchor, an alias, a merge key or a tag
)

// Node is a value.
type Node struct {
	Kind         Kind
	Text         string // of a text what it says, else as it is written
	Line, Column int    // where it begins
	Flow         bool   // a map in braces
	Plain        bool   // a text without quotes
	List         []Node
	Fields       []Field // in the order of the file, also those that are there twice
}

// Field is a key of a map, with its value.
type Field struct {
	Key, Value Node
	First      int // of a key that is there already: the line of the first one
}

// Is tells whether the node is of one of these kinds.
func (n Node) Is(kinds ...Kind) bool { return slices.Contains(kinds, n.Kind) }

// depthLimit bounds nesting before the parser sees it: its time grows with the square of the depth.
const depthLimit = 200

// Parse returns the root of a YAML text, nil when it is empty or broken. A broken text gives one mistake, since what
// follows a mistake in the syntax is guesswork; tabs are the exception, all of them are named.
func Parse(data []byte) (body *Node, mistakes []Mistake) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if mistakes := unreadable(data); len(mistakes) > 0 {
		return nil, mistakes
	}
	// The library is handed whatever is in the file. Should it trip, that is a mistake in the file and not the end of
	// the agent.
	defer func() {
		if r := recover(); r != nil {
			body, mistakes = nil, []Mistake{{Text: fmt.Sprintf("is no YAML that can be read: %v", r)}}
		}
	}()
	f, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, []Mistake{syntax(data, err)}
	}
	for _, d := range f.Docs {
		if d.Body == nil || d.Body.Type() == ast.DirectiveType || d.Body.Type() == ast.CommentType {
			continue
		}
		n := convert(d.Body)
		if body != nil {
			return body, []Mistake{{n.Line, n.Column, "a second document: put all keys into one, without a line of dashes between them"}}
		}
		body = &n
	}
	return body, nil
}

// unreadable finds what would make the parser's own message a riddle, or take it too long.
func unreadable(data []byte) (mistakes []Mistake) {
	depth := 0
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		say := func(column int, text string) {
			mistakes = append(mistakes, Mistake{number, column, text})
		}
		rest := strings.TrimLeft(line, " ")
		if strings.HasPrefix(rest, "\t") && strings.TrimSpace(rest) != "" {
			say(1+len(line)-len(rest), "a tab in the indentation: YAML takes spaces only")
		}
		if i := strings.IndexByte(line, 0); i >= 0 {
			say(i+1, "a NUL character: this is no text file")
		}
		if !utf8.ValidString(line) {
			say(1, "holds bytes that are no UTF-8: save the file as UTF-8")
		}
		if len(line)-len(rest) > 2*depthLimit || strings.Count(line, "- ") > depthLimit || strings.Count(line, "? ") > depthLimit {
			say(1, "nested too deeply")
		}
		if before := depth; before <= depthLimit {
			depth += strings.Count(line, "[") + strings.Count(line, "{") - strings.Count(line, "]") - strings.Count(line, "}")
			depth = max(depth, 0)
			if depth > depthLimit || strings.Count(line, "[")+strings.Count(line, "{") > depthLimit {
				say(1, "nested too deeply")
				depth = depthLimit + 1
			}
		}
	}
	return mistakes
}

// syntax turns the parser's error into a mistake, with a hint for the one that files of this kind invite.
func syntax(data []byte, err error) Mistake {
	var y yaml.Error
	if !errors.As(err, &y) || y.GetToken() == nil {
		return Mistake{Text: "is no YAML: " + err.Error()}
	}
	at := y.GetToken().Position
	m := Mistake{at.Line, at.Column, y.GetMessage()}
	lines := strings.Split(string(data), "\n")
	if at.Line >= 1 && at.Line <= len(lines) {
		_, value, ok := strings.Cut(lines[at.Line-1], ": ")
		if value = strings.TrimSpace(value); ok && value != "" && strings.ContainsRune("*&@`%!", rune(value[0])) {
			m.Text += fmt.Sprintf("; a text that begins with %c must stand in quotes", value[0])
		}
	}
	return m
}

// convert makes our tree of the library's.
func convert(from ast.Node) Node {
	var at token.Position
	n := Node{}
	if t := from.GetToken(); t != nil {
		n.Text = t.Value
		if t.Position != nil {
			at = *t.Position
		}
	}
	n.Line, n.Column = at.Line, at.Column
	switch from := from.(type) {
	case *ast.NullNode:
		n.Kind = Null
	case *ast.StringNode:
		n.Kind, n.Text, n.Plain = Text, from.Value, from.Token.Type == token.StringType
	case *ast.LiteralNode:
		n.Kind = Block
		if from.Value != nil {
			n.Text = from.Value.Value
		}
	case *ast.IntegerNode:
		n.Kind = Integer
	case *ast.FloatNode:
		n.Kind = Fraction
	case *ast.InfinityNode, *ast.NanNode:
		n.Kind = Infinite
	case *ast.BoolNode:
		n.Kind = Bool
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		n.Kind = Reference
	case *ast.SequenceNode:
		n.Kind = List
		for _, v := range from.Values {
			n.List = append(n.List, convert(v))
		}
	case *ast.MappingNode:
		n.Kind, n.Flow = Map, from.IsFlowStyle
		for _, v := range from.Values {
			n.add(v)
		}
	case *ast.MappingValueNode:
		n.Kind = Map
		n.add(from)
	}
	if n.Kind == Map && !n.Flow && len(n.Fields) > 0 { // the library's own place is the colon behind the first key
		n.Line, n.Column = n.Fields[0].Key.Line, n.Fields[0].Key.Column
	}
	return n
}

func (n *Node) add(v *ast.MappingValueNode) {
	f := Field{Key: convert(v.Key), Value: Node{Kind: Null}}
	if v.Value != nil {
		f.Value = convert(v.Value)
	}
	if i := slices.IndexFunc(n.Fields, func(before Field) bool { return before.Key.Text == f.Key.Text }); i >= 0 {
		f.First = n.Fields[i].Key.Line
	}
	n.Fields = append(n.Fields, f)
}

// Twice says that a key is set twice; "" when this is the first of its name.
func (f Field) Twice() string {
	if f.First == 0 {
		return ""
	}
	return fmt.Sprintf("is set twice, first in line %d: keep one", f.First)
}

// Nearest is the known key that was likely meant, "" when none is near.
func Nearest(name string, known []string) string {
	lower := strings.ToLower(name)
	best, distance := "", 1+max(1, len(name)/3)
	for _, k := range known {
		d := editDistance(lower, k)
		if len(lower) >= 3 && (strings.HasPrefix(k, lower) || strings.HasPrefix(lower, k)) {
			d = 1
		}
		if d < distance {
			best, distance = k, d
		}
	}
	return best
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
