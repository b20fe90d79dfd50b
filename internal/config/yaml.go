package config

import (
	"cmp"
	"fmt"

	"github.com/addagent/addagent/internal/strictyaml"
)

const noAnchors = "anchors, aliases, merge keys and tags are not supported: write the value itself"

// scalar is the text of a single value of a kind.
func scalar(k kind, n strictyaml.Node) (value, problem string) {
	fits := map[kind][]strictyaml.Kind{
		textual: {strictyaml.Text, strictyaml.Block},
		numeric: {strictyaml.Integer},
		boolean: {strictyaml.Bool},
		timed:   {strictyaml.Text, strictyaml.Integer, strictyaml.Fraction},
	}
	switch {
	case n.Kind == strictyaml.Null:
		return "", "has no value: write one, or remove the key"
	case n.Is(fits[k]...):
		return n.Text, ""
	}
	return "", mustBe(string(k), n)
}

// mustBe says what is there where something else is needed.
func mustBe(want string, n strictyaml.Node) string {
	if n.Kind == strictyaml.Reference {
		return noAnchors
	}
	is := map[strictyaml.Kind]string{
		strictyaml.Null: "nothing", strictyaml.Text: "text", strictyaml.Block: "text", strictyaml.Integer: "a number",
		strictyaml.Fraction: "a fraction", strictyaml.Infinite: "a number", strictyaml.Bool: "true or false",
		strictyaml.List: "a list", strictyaml.Map: "a map",
	}[n.Kind]
	text := fmt.Sprintf("must be %s, not %s", want, cmp.Or(is, "something else"))
	switch {
	case want != string(textual):
	case n.Flow:
		text += ": a text that begins with { must be in quotes"
	case n.Is(strictyaml.Integer, strictyaml.Fraction, strictyaml.Infinite, strictyaml.Bool):
		text += ": put it in quotes"
	}
	return text
}
