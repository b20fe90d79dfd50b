package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	yaml "github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	noAnchors = "anchors, aliases, merge keys and tags are not understood in this file: write the value itself"
	// depthLimit bounds nesting before the parser sees it: its time grows with the square of the depth.
	depthLimit = 200
)

// parse returns the root of a YAML text, nil when it is empty or broken. A broken text gives one problem, since what
// follows a mistake in the syntax is guesswork; tabs are the exception, all of them are named.
func parse(file string, data []byte) (body ast.Node, problems Problems) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if problems := unreadable(file, data); len(problems) > 0 {
		return nil, problems
	}
	// The library is handed whatever stands in the file. Should it trip, that is a problem of the file and not the end
	// of the agent.
	defer func() {
		if r := recover(); r != nil {
			body, problems = nil, Problems{{File: file, Text: fmt.Sprintf("is no YAML that can be read: %v", r)}}
		}
	}()
	f, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, Problems{syntax(file, data, err)}
	}
	for _, d := range f.Docs {
		if d.Body == nil || d.Body.Type() == ast.DirectiveType || d.Body.Type() == ast.CommentType {
			continue
		}
		if body != nil {
			at := position(d.Body)
			return body, Problems{{File: file, Line: at.Line, Column: at.Column, Text: "a second document: put all keys into one, without a line of dashes between them"}}
		}
		body = d.Body
	}
	return body, nil
}

// unreadable finds what would make the parser's own message a riddle, or take it too long.
func unreadable(file string, data []byte) Problems {
	var problems Problems
	depth := 0
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		say := func(column int, text string) {
			problems = append(problems, Problem{File: file, Line: number, Column: column, Text: text})
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
	return problems
}

// syntax turns the parser's error into a problem, with a hint for the two mistakes that configs of this kind invite.
func syntax(file string, data []byte, err error) Problem {
	p := Problem{File: file, Text: "is no YAML: " + err.Error()}
	var y yaml.Error
	if !errors.As(err, &y) || y.GetToken() == nil {
		return p
	}
	at := y.GetToken().Position
	p.Line, p.Column, p.Text = at.Line, at.Column, y.GetMessage()
	lines := strings.Split(string(data), "\n")
	if at.Line >= 1 && at.Line <= len(lines) {
		_, value, ok := strings.Cut(lines[at.Line-1], ": ")
		if value = strings.TrimSpace(value); ok && value != "" && strings.ContainsRune("*&@`%!", rune(value[0])) {
			p.Text += fmt.Sprintf("; a text that begins with %c must stand in quotes", value[0])
		}
	}
	return p
}

// position is where a node begins. A map's own token is the colon behind its first key.
func position(n ast.Node) *token.Position {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return m.Values[0].Key.GetToken().Position
	}
	return n.GetToken().Position
}

// scalar gives the text of a single value of that kind.
func scalar(k kind, n ast.Node) (value, problem string) {
	switch n := n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		return "", noAnchors
	case *ast.NullNode:
		return "", "has no value: write one, or remove the key"
	case *ast.StringNode:
		if k == textual || k == timed {
			return n.Value, ""
		}
	case *ast.LiteralNode:
		if k == textual {
			return n.Value.Value, ""
		}
	case *ast.IntegerNode:
		if k == numeric || k == timed {
			return n.GetToken().Value, ""
		}
	case *ast.FloatNode:
		if k == timed {
			return n.GetToken().Value, ""
		}
	case *ast.BoolNode:
		if k == boolean {
			return n.GetToken().Value, ""
		}
	}
	return "", mustBe(string(k), n)
}

// mustBe says what stands where something else is needed.
func mustBe(want string, n ast.Node) string {
	hint := ""
	is := "something else"
	switch v := n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		return noAnchors
	case *ast.NullNode:
		is = "nothing"
	case *ast.StringNode, *ast.LiteralNode:
		is = "text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		is = "a number"
		if want == string(numeric) {
			is = "a fraction"
		}
		hint = ": put it in quotes"
	case *ast.BoolNode:
		is = "true or false"
		hint = ": put it in quotes"
	case *ast.SequenceNode:
		is = "a list"
	case *ast.MappingNode:
		is = "a map"
		if v.IsFlowStyle {
			hint = ": a text that begins with { must stand in quotes"
		}
	}
	if want != string(textual) {
		hint = ""
	}
	return fmt.Sprintf("must be %s, not %s%s", want, is, hint)
}
