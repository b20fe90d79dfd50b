package config

import (
	"fmt"

	"github.com/addagent/addagent/internal/strictyaml"
)

const noAnchors = "anchors, aliases, merge keys and tags are not understood in this file: write the value itself"

// scalar gives the text of a single value of that kind.
func scalar(k kind, n strictyaml.Node) (value, problem string) {
	fits := false
	switch n.Kind {
	case strictyaml.Null:
		return "", "has no value: write one, or remove the key"
	case strictyaml.Text:
		fits = k == textual || k == timed
	case strictyaml.Block:
		fits = k == textual
	case strictyaml.Integer:
		fits = k == numeric || k == timed
	case strictyaml.Fraction:
		fits = k == timed
	case strictyaml.Bool:
		fits = k == boolean
	}
	if fits {
		return n.Text, ""
	}
	return "", mustBe(string(k), n)
}

// mustBe says what is there where something else is needed.
func mustBe(want string, n strictyaml.Node) string {
	hint := ""
	is := "something else"
	switch n.Kind {
	case strictyaml.Reference:
		return noAnchors
	case strictyaml.Null:
		is = "nothing"
	case strictyaml.Text, strictyaml.Block:
		is = "text"
	case strictyaml.Integer, strictyaml.Fraction, strictyaml.Infinite:
		is = "a number"
		if want == string(numeric) {
			is = "a fraction"
		}
		hint = ": put it in quotes"
	case strictyaml.Bool:
		is = "true or false"
		hint = ": put it in quotes"
	case strictyaml.List:
		is = "a list"
	case strictyaml.Map:
		is = "a map"
		if n.Flow {
			hint = ": a text that begins with { must stand in quotes"
		}
	}
	if want != string(textual) {
		hint = ""
	}
	return fmt.Sprintf("must be %s, not %s%s", want, is, hint)
}
