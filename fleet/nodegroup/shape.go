package nodegroup

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
)

// shape is what a key takes. It is data, so that the check, the schema and the page are made of the same.
type shape struct {
	takes       string // in words, as in "must be ..."
	what        strictyaml.Kind
	words       []string             // a text or false: one of them
	form        *regexp.Regexp       // a text: its form
	check       func(s string) error // a text: its form, with an own message
	least, most int                  // an integer, or the characters of a text
	items       *shape               // of a list; nil: anything
	keys        []key                // of a map: the known ones
	names       *regexp.Regexp       // of a map: the form of its keys
	values      *shape               // of a map: what its keys take; nil: anything
	taken       []string             // of a map: keys that other keys of ours set, as Field=what to do
	or          []shape              // one of several
}

// key is one key that a map may have.
type key struct {
	name  string
	kind  shape
	doc   string
	def   string // what holds without it, as in the file; "" = nothing
	needs bool   // it must be there, when all is merged
}

// inner are the known keys of a map, also where a map is one of several kinds.
func (k shape) inner() []key {
	keys := k.keys
	for _, one := range k.or {
		keys = slices.Concat(keys, one.keys)
	}
	return keys
}

// extension says that a key is left to people: x-owner.
func extension(name string) bool { return strings.HasPrefix(name, "x-") }

// value checks a value, which is at that key.
func (c *checker) value(at string, n strictyaml.Node, k shape) {
	switch {
	case n.Is(strictyaml.Null, strictyaml.Reference, strictyaml.Infinite): // it removes what is inherited, or was reported
	case len(k.or) > 0:
		i := slices.IndexFunc(k.or, func(one shape) bool { return one.what == n.Kind })
		if i < 0 {
			c.wrong(n, at, "must be %s, not %s", k.takes, strictyaml.What(n))
			return
		}
		one := k.or[i]
		one.takes = k.takes
		c.value(at, n, one)
	case k.what == strictyaml.Other: // anything
	case n.Kind != k.what:
		c.wrong(n, at, "must be %s, not %s", k.takes, strictyaml.What(n))
	case n.Kind == strictyaml.List && k.items != nil:
		for _, item := range n.List {
			if item.Kind == strictyaml.Null {
				c.wrong(item, at, "must be %s: an element is null", k.takes)
			}
			c.value(at, item, *k.items)
		}
	case n.Kind == strictyaml.Map:
		c.fields(at, n, k)
	case n.Kind == strictyaml.Integer:
		if i, err := strconv.Atoi(n.Text); err != nil || i < k.least || i > k.most {
			c.wrong(n, at, "is %s, must be %s", human.Truncate(n.Text, 40), k.takes)
		}
	case k.words != nil && !slices.Contains(k.words, n.Text):
		near := strictyaml.Nearest(n.Text, k.words)
		if near != "" {
			near = ", did you mean " + near + "?"
		}
		c.wrong(n, at, "is %s, must be %s%s", human.Quote(n.Text), k.takes, near)
	case k.check != nil:
		if err := k.check(n.Text); err != nil {
			c.wrong(n, at, "%v", err)
		}
	case k.form != nil && !k.form.MatchString(n.Text):
		c.wrong(n, at, "is %s, must be %s", human.Quote(n.Text), k.takes)
	case k.most > 0 && len([]rune(n.Text)) > k.most:
		c.wrong(n, at, "is longer than %s", human.Count(k.most, "character"))
	}
}

// fields checks the keys of a map.
func (c *checker) fields(at string, n strictyaml.Node, k shape) {
	names := make([]string, len(k.keys))
	for i, one := range k.keys {
		names[i] = one.name
	}
	for _, f := range n.Fields {
		name := f.Key.Text
		i := slices.Index(names, name)
		where := strings.TrimPrefix(at+"."+name, ".")
		switch {
		case i >= 0:
			c.value(where, f.Value, k.keys[i].kind)
		case len(k.keys) == 0:
			c.free(where, f, k)
		case extension(name):
		default:
			c.wrong(f.Key, where, "%s", unknown(name, names, c.elsewhere))
		}
	}
}

// free checks a key of a map whose keys people choose.
func (c *checker) free(where string, f strictyaml.Field, k shape) {
	for _, t := range k.taken {
		if field, by, _ := strings.Cut(t, "="); field == f.Key.Text {
			c.wrong(f.Key, where, "cannot be set here: %s", by)
		}
	}
	if k.names != nil && !k.names.MatchString(f.Key.Text) {
		c.wrong(f.Key, where, "%s is not a key that this takes: it takes %s", human.Quote(f.Key.Text), k.takes)
		return
	}
	if k.values != nil {
		c.value(where, f.Value, *k.values)
	}
}

// unknown names the key that could be meant: one of the same name elsewhere, else the nearest by spelling.
func unknown(name string, known, elsewhere []string) string {
	for _, e := range elsewhere {
		if e == name || strings.HasSuffix(e, "."+name) {
			return fmt.Sprintf("unknown key here: did you mean %s?", e)
		}
	}
	if near := strictyaml.Nearest(name, known); near != "" {
		return fmt.Sprintf("unknown key: did you mean %s?", near)
	}
	return "unknown key: known here are " + human.Some(known, 12) + "; a key of your own begins with x-"
}

// The kinds that several keys take.

func anyText(takes string) shape { return shape{takes: takes, what: strictyaml.Text, form: filled} }

func formed(takes string, form *regexp.Regexp) shape {
	return shape{takes: takes, what: strictyaml.Text, form: form}
}

func checked(takes string, form *regexp.Regexp, check func(string) error) shape {
	return shape{takes: takes, what: strictyaml.Text, form: form, check: check}
}

func oneOf(words ...string) shape {
	return shape{takes: human.List(words, "or"), what: strictyaml.Text, words: words}
}

func integer(least, most int, unit string) shape {
	return shape{takes: fmt.Sprintf("a whole number%s from %d to %d", unit, least, most), what: strictyaml.Integer, least: least, most: most}
}

func lists(takes string, of shape) shape {
	return shape{takes: takes, what: strictyaml.List, items: &of}
}

func maps(takes string, of *shape) shape {
	return shape{takes: takes, what: strictyaml.Map, values: of}
}

func knownKeys(takes string, keys ...key) shape {
	return shape{takes: takes, what: strictyaml.Map, keys: keys}
}

func either(kinds ...shape) shape {
	takes := make([]string, len(kinds))
	for i, k := range kinds {
		takes[i] = k.takes
	}
	return shape{takes: human.List(takes, "or"), or: kinds}
}
