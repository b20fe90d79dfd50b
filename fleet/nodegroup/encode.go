package nodegroup

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/addagent/addagent/internal/strictyaml"
)

// object makes a map of keys and values, for what is written into files.
func object(fields ...strictyaml.Field) strictyaml.Node {
	return strictyaml.Node{Kind: strictyaml.Map, Fields: fields}
}

// member is one key of an object.
func member(key string, value strictyaml.Node) strictyaml.Field {
	return strictyaml.Field{Key: text(key), Value: value}
}

func text(s string) strictyaml.Node { return strictyaml.Node{Kind: strictyaml.Text, Text: s} }

func listOf(nodes ...strictyaml.Node) strictyaml.Node {
	return strictyaml.Node{Kind: strictyaml.List, List: nodes}
}

// encode writes a value as JSON: keys in their order, numbers in their digits, the same bytes each time.
func encode(n strictyaml.Node, indent string) []byte {
	var b bytes.Buffer
	write(&b, n, "\n", indent)
	b.WriteByte('\n')
	return b.Bytes()
}

// write writes a value; newline is a line break and the indentation of the value.
func write(b *bytes.Buffer, n strictyaml.Node, newline, indent string) {
	inner := newline + indent
	switch n.Kind {
	case strictyaml.Map:
		if len(n.Fields) == 0 {
			b.WriteString("{}")
			return
		}
		for i, f := range n.Fields {
			b.WriteString("{,"[min(i, 1):][:1] + inner + quoted(f.Key.Text) + ": ")
			write(b, f.Value, inner, indent)
		}
		b.WriteString(newline + "}")
	case strictyaml.List:
		if len(n.List) == 0 {
			b.WriteString("[]")
			return
		}
		for i, v := range n.List {
			b.WriteString("[,"[min(i, 1):][:1] + inner)
			write(b, v, inner, indent)
		}
		b.WriteString(newline + "]")
	case strictyaml.Text, strictyaml.Block:
		b.WriteString(quoted(n.Text))
	case strictyaml.Null:
		b.WriteString("null")
	default: // a number or a truth value, as it is written
		b.WriteString(n.Text)
	}
}

// quoted is a text of JSON. Only what must be escaped is.
func quoted(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string has no error
	return strings.TrimSuffix(b.String(), "\n")
}
