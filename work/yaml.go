package work

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// yamlMax bounds work.yaml and hold.yaml. The parser's time grows with the square of hostile input, and this is read at every beat.
const yamlMax = 16 << 10

// field is one key of a mapping with its value.
type field struct {
	key       string
	value     ast.Node
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

// parseFields reads a file that is one mapping, with nothing but known keys. An empty file is an empty mapping. Fields without mistakes are returned beside the
// mistakes of others. Written on the syntax tree and not on decoding: that alone knows the line of a value that has the right type and the wrong meaning.
func parseFields(data []byte, known []string) (fields []field, mistakes []mistake) {
	body, wrong := parseYAML(data)
	if wrong != nil {
		return nil, []mistake{*wrong}
	}
	if body == nil {
		return nil, nil
	}
	return mapping(body, known)
}

// parseYAML is the root of the one document in data, nil when it says nothing.
func parseYAML(data []byte) (body ast.Node, wrong *mistake) {
	// The parser reads what strangers wrote, and it is not ours: whatever it does to itself must not end the agent.
	defer func() {
		if r := recover(); r != nil {
			body, wrong = nil, &mistake{text: "is not YAML that can be read"}
		}
	}()
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	switch {
	case len(data) > yamlMax:
		return nil, &mistake{text: fmt.Sprintf("is larger than %d bytes", yamlMax)}
	case !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0:
		return nil, &mistake{text: "is not text in UTF-8"}
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		var at yaml.Error
		if errors.As(err, &at) && at.GetToken() != nil && at.GetToken().Position != nil {
			p := at.GetToken().Position
			return nil, &mistake{p.Line, p.Column, visible(at.GetMessage())}
		}
		first, _, _ := strings.Cut(err.Error(), "\n")
		return nil, &mistake{text: visible(first)}
	}
	for _, d := range file.Docs {
		if d.Body == nil {
			continue
		}
		if body != nil {
			m := misplaced(d.Body, "a second document: only one is read here")
			return nil, &m
		}
		body = d.Body
	}
	return body, nil
}

// mapping takes a node apart that must be a mapping.
func mapping(n ast.Node, known []string) (fields []field, mistakes []mistake) {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	case *ast.NullNode:
		return nil, nil
	default:
		return nil, []mistake{misplaced(n, fmt.Sprintf("must be keys and values (%s), not %s", strings.Join(known, ", "), kind(n)))}
	}
	for _, v := range values {
		key, ok := text(v.Key)
		m := misplaced(v.Key, "")
		switch {
		case !ok:
			m.text = "a key must be a plain word"
		case !slices.Contains(known, key):
			m.text = fmt.Sprintf("unknown key %s", quoted(key))
			if near := nearest(key, known); near != "" {
				m.text += fmt.Sprintf(", did you mean %s?", near)
			} else {
				m.text += fmt.Sprintf(" (known: %s)", strings.Join(known, ", "))
			}
		case slices.ContainsFunc(fields, func(f field) bool { return f.key == key }):
			m.text = fmt.Sprintf("key %s is there twice", key)
		default:
			fields = append(fields, field{key, v.Value, m.line, m.col})
			continue
		}
		mistakes = append(mistakes, m)
	}
	return fields, mistakes
}

// misplaced is a mistake at a node.
func misplaced(n ast.Node, text string) mistake {
	m := mistake{text: text}
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return m
	}
	m.line, m.col = n.GetToken().Position.Line, n.GetToken().Position.Column
	return m
}

// text is the value of a node that is a string.
func text(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		if n.Value != nil {
			return n.Value.Value, true
		}
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
func (f field) wantList(example string) ([]ast.Node, *mistake) {
	if list, ok := f.value.(*ast.SequenceNode); ok {
		return list.Values, nil
	}
	m := mistake{f.line, f.col, fmt.Sprintf("%s: must be a list, as in %s, not %s", f.key, example, kind(f.value))}
	return nil, &m
}

// kind is what a value is, for people.
func kind(n ast.Node) string {
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys and values"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value + " (put it in quotes if it is meant as text)"
	case *ast.AliasNode, *ast.AnchorNode, *ast.MergeKeyNode, *ast.TagNode:
		return "an anchor, alias or tag"
	}
	return "this"
}

// nearest is the known key that was likely meant, "" when none is near.
func nearest(key string, known []string) string {
	if len(key) > 64 {
		return ""
	}
	best, at := "", 3 // two typing errors in a short word make another word
	for _, k := range known {
		if d := distance(strings.ToLower(key), k); d < at && d < len(k) {
			best, at = k, d
		}
	}
	return best
}

// distance counts the letters to insert, delete or replace between two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for i := range row {
		row[i] = i
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// inOrder sorts mistakes by their place, so that a file is mended from top to bottom.
func inOrder(all []mistake) {
	slices.SortStableFunc(all, func(a, b mistake) int { return cmp.Or(a.line-b.line, a.col-b.col) })
}
