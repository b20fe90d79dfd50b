package nodegroup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/addagent/addagent/internal/strictyaml"
)

// parseJSON gives the tree of a JSON text with the place of each value, as strictyaml.Parse does for YAML. It is read
// by encoding/json: the YAML library takes a second for a map of three thousand keys, and rounds numbers.
func parseJSON(data []byte) (*strictyaml.Node, []strictyaml.Mistake) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	r := &jsonReader{data: data, line: 1, column: 1}
	if i := bytes.IndexFunc(data, func(c rune) bool { return c == utf8.RuneError || c == 0 }); i >= 0 {
		if c, size := utf8.DecodeRune(data[i:]); c == 0 || size == 1 {
			r.wrong(i, "is not UTF-8 text: save the file as UTF-8")
			return nil, r.mistakes
		}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		r.wrong(0, "is empty: write { } with an object for each group")
		return nil, r.mistakes
	}
	if err := json.Unmarshal(data, new(json.RawMessage)); err != nil {
		r.syntax(err)
		return nil, r.mistakes
	}
	r.dec = json.NewDecoder(bytes.NewReader(data))
	r.dec.UseNumber()
	n := r.value()
	return &n, r.mistakes
}

// jsonReader reads tokens, and knows where each begins.
type jsonReader struct {
	data         []byte
	dec          *json.Decoder
	at           int // in bytes; line and column, in characters, belong to it
	line, column int
	mistakes     []strictyaml.Mistake
}

// seek goes on to an offset.
func (r *jsonReader) seek(offset int) {
	for r.at < offset {
		c, size := utf8.DecodeRune(r.data[r.at:])
		if r.column++; c == '\n' {
			r.line, r.column = r.line+1, 1
		}
		r.at += size
	}
}

func (r *jsonReader) wrong(offset int, format string, args ...any) {
	r.seek(offset)
	r.mistakes = append(r.mistakes, strictyaml.Mistake{Line: r.line, Column: r.column, Text: fmt.Sprintf(format, args...)})
}

// token is the next one, and a node at its place. The text was checked, so there is no error.
func (r *jsonReader) token() (json.Token, strictyaml.Node) {
	start := int(r.dec.InputOffset())
	start += len(r.data[start:]) - len(bytes.TrimLeft(r.data[start:], " \t\r\n,:"))
	t, _ := r.dec.Token()
	r.seek(start)
	n := strictyaml.Node{Kind: strictyaml.Text, Line: r.line, Column: r.column}
	if text, ok := t.(string); ok {
		n.Text = text
		// encoding/json replaces half of a surrogate pair, which no text can hold.
		raw := r.data[start:r.dec.InputOffset()]
		if got := strings.Count(text, "\ufffd"); got > 0 && got > bytes.Count(raw, []byte("\ufffd"))+bytes.Count(bytes.ToLower(raw), []byte(`\ufffd`)) {
			r.wrong(start, "holds half of a surrogate pair (\\ud800 to \\udfff): write both halves, or the character itself")
		}
	}
	return t, n
}

func (r *jsonReader) value() strictyaml.Node {
	t, n := r.token()
	switch t := t.(type) {
	case nil:
		n.Kind, n.Text = strictyaml.Null, "null"
	case bool:
		n.Kind, n.Text = strictyaml.Bool, fmt.Sprint(t)
	case json.Number:
		n.Kind, n.Text = strictyaml.Fraction, t.String()
		if !strings.ContainsAny(n.Text, ".eE") {
			n.Kind = strictyaml.Integer
		}
	case json.Delim:
		n.Kind = strictyaml.List
		if t == '{' {
			n.Kind, n.Flow = strictyaml.Map, true
		}
		for r.dec.More() {
			if t == '[' {
				n.List = append(n.List, r.value())
				continue
			}
			_, key := r.token()
			n.Fields = append(n.Fields, strictyaml.Field{Key: key, Value: r.value()})
		}
		r.token() // the closing one
	}
	return n
}

// syntax words what encoding/json says of a text that is not JSON, with what people meant.
func (r *jsonReader) syntax(err error) {
	var s *json.SyntaxError
	if !errors.As(err, &s) {
		r.wrong(0, "is not JSON: %v", err)
		return
	}
	at := max(0, int(s.Offset)-1)
	before := bytes.TrimRight(r.data[:at], " \t\r\n")
	c, _ := utf8.DecodeRune(r.data[at:])
	_, where, _ := strings.Cut(s.Error(), "' ")
	comma := bytes.HasSuffix(before, []byte(","))
	switch {
	case strings.HasPrefix(s.Error(), "unexpected end"):
		r.wrong(len(bytes.TrimRight(r.data, " \t\r\n")), "the file ends too early: a quote, } or ] is missing")
	case strings.Contains(s.Error(), "in string") && c == '\n':
		r.wrong(at, "a text ends with its line: a closing quote is missing, or write \\n for a line break")
	case strings.Contains(s.Error(), "in string"):
		r.wrong(at, "%q cannot stand in a text as it is: %s", c, s.Error())
	case c == '\'':
		r.wrong(at, "single quotes: JSON has double quotes only, nodes.yaml may have both")
	case c == '/' || c == '#':
		r.wrong(at, "a comment: JSON has none; use a key that begins with x-, or nodes.yaml, which may have comments")
	case comma && (c == '}' || c == ']'):
		r.wrong(len(before)-1, "a comma before %c: remove it", c)
	case comma && c == ',':
		r.wrong(at, "two commas: remove one")
	case strings.Contains(where, "after object key:value") || strings.Contains(where, "after array"):
		r.wrong(at, "%q is not expected here: a comma is missing, or a quote or bracket too many", c)
	case strings.Contains(where, "after object key"):
		r.wrong(at, "%q is not expected here: write a colon after the key", c)
	case strings.Contains(where, "after top-level"):
		r.wrong(at, "more text after the end: the file is one object, { ... }")
	case strings.Contains(where, "object key"):
		r.wrong(at, "%q is not expected here: a key stands in double quotes", c)
	default:
		r.wrong(at, "%q is not JSON here: a text stands in double quotes", c)
	}
}
