package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
)

// leaf is a key with a value: where the value is, what it may be, and its documentation.
type leaf struct {
	key  string
	into any    // *string, *[]string, *bool, *int or *time.Duration; nil for a key with others below it
	is   string // what values it takes, for people; "" = kind
	doc  string

	example string // as in the file, where the default shows none

	check       func(string) string // what is wrong with a text; nil = nothing can be
	shown       func(string) string // a text without its secret; nil = it holds none
	list        listing
	least, most int // of a number; of a duration in its own unit

	section section // of a key with others below it
	later   bool    // not in this version
}

// section is a key with others below it: a list of maps, or a map of names.
type section struct {
	empty string // as in the file
	read  func(l *loader, at place, n strictyaml.Node)
	// lines passes on the leaves that are set, and entry has those of a new entry.
	lines func(add func(prefix string, l leaf))
	entry []leaf
}

// entries is a list of maps, which check examines one by one once all their keys are read; of says what they are.
func entries[T any](key, of string, into *[]T, fresh T, leaves func(*T) []leaf, check func(l *loader, t *T, prefix string, start place)) leaf {
	read := func(l *loader, at place, n strictyaml.Node) {
		if n.Kind != strictyaml.List && n.Kind != strictyaml.Null {
			l.say(at, key, mustBe("a list of "+of+", each beginning with a dash", n))
		}
		for _, entry := range n.List {
			t := fresh
			prefix, start := entryKey(key, len(*into)), l.place(entry)
			l.section(entry, start, leaves(&t), prefix, "")
			if entry.Is(strictyaml.Map, strictyaml.Null) {
				check(l, &t, prefix, start)
			}
			*into = append(*into, t)
		}
	}
	lines := func(add func(string, leaf)) {
		for i := range *into {
			for _, l := range now(leaves(&(*into)[i])) {
				add(entryKey(key, i), l)
			}
		}
	}
	return leaf{key: key, is: "a list of " + of, section: section{"[]", read, lines, now(leaves(&fresh))}}
}

// entryKey begins the keys of an entry of a list.
func entryKey(key string, i int) string { return fmt.Sprintf("%s[%d].", key, i) }

// kind is which YAML values a leaf takes.
type kind string

const (
	textual kind = "text"
	numeric kind = "a whole number"
	boolean kind = "true or false"
	timed   kind = "a duration"
)

// listing tells whether a leaf takes several values. Those of several files are appended.
type listing int

const (
	single   listing = iota
	oneOrAll         // one value, or a list
	listOnly
)

func (l leaf) kind() kind {
	switch l.into.(type) {
	case *bool:
		return boolean
	case *int:
		return numeric
	case *time.Duration:
		return timed
	}
	return textual
}

// longest bounds durations, so that a time plus a few of them does not overflow.
const longest = 10 * 365 * 24 * time.Hour

// apply sets the value, or adds it to a list; it changes nothing when there is a problem.
func (l leaf) apply(s string) (problem string) {
	if l.check != nil {
		if problem := l.check(s); problem != "" {
			return problem
		}
	}
	switch into := l.into.(type) {
	case *string:
		*into = s
	case *[]string:
		*into = append(*into, s)
	case *bool:
		*into = strings.EqualFold(s, "true") // YAML has no third value
	case *int:
		n, err := strconv.Atoi(s)
		switch {
		case err != nil:
			return "must be a whole number, such as " + strconv.Itoa(*into)
		case n < l.least:
			return fmt.Sprintf("%d is too small: must be at least %d", n, l.least)
		case n > l.most:
			return fmt.Sprintf("%d is too large: must be at most %d", n, l.most)
		}
		*into = n
	case *time.Duration:
		d, err := time.ParseDuration(s)
		switch least := time.Duration(l.least); {
		case err != nil:
			return human.Quote(s) + " is not a duration: use numbers with ms, s, m or h, such as 90s or 1h30m"
		case least == 1 && d < least:
			return "must be longer than 0s"
		case d < least:
			return "must be at least " + human.Setting(least)
		case d > longest:
			return "is longer than ten years"
		}
		*into = d
	}
	return ""
}

// show is the value as in the file, without secrets.
func (l leaf) show() string {
	text := func(s string) string {
		if l.shown != nil {
			s = l.shown(s)
		}
		return quoted(s)
	}
	switch into := l.into.(type) {
	case *string:
		return text(*into)
	case *[]string:
		if l.list == oneOrAll && len(*into) < 2 {
			return text(strings.Join(*into, ""))
		}
		all := make([]string, len(*into))
		for i, s := range *into {
			all[i] = text(s)
		}
		return "[" + strings.Join(all, ", ") + "]"
	case *bool:
		return strconv.FormatBool(*into)
	case *int:
		return strconv.Itoa(*into)
	case *time.Duration:
		return human.Setting(*into)
	}
	return l.section.empty
}

func text(key string, into *string, check func(string) string) leaf {
	return leaf{key: key, into: into, check: check}
}

func pathText(key string, into *string) leaf { return text(key, into, checkPath).takes("a path") }

func secretFile(key string, into *string) leaf {
	return text(key, into, checkSecretFile).takes("a path, or env:ADD_SECRET_NAME")
}

// word is one of the words now; the later ones are not in this version.
func word(key string, into *string, now []string, later ...string) leaf {
	return text(key, into, oneOf(now, later...)).takes(alternatives(now))
}

// texts is a list of texts.
func texts(key string, list listing, into *[]string, check func(string) string) leaf {
	return leaf{key: key, into: into, list: list, check: check}
}

// command is a program with its arguments. The loader checks that the program exists.
func command(key string, into *[]string) leaf {
	l := texts(key, listOnly, into, checkArgument).takes("a list: program and arguments")
	l.shown = maskedArgument
	return l
}

func truth(key string, into *bool) leaf { return leaf{key: key, into: into} }

func number(key string, into *int, least int) leaf { return between(key, into, least, 1_000_000) }

func between(key string, into *int, least, most int) leaf {
	return leaf{key: key, into: into, least: least, most: most}
}

func duration(key string, into *time.Duration, least time.Duration) leaf {
	return leaf{key: key, into: into, least: int(least)}
}

// oneOf takes the words now; the later ones are not in this version.
func oneOf(now []string, later ...string) func(string) string {
	return func(s string) string {
		switch {
		case slices.Contains(now, s):
			return ""
		case slices.Contains(later, s):
			return fmt.Sprintf("%q is not in this version: only %s is", s, alternatives(now))
		}
		return fmt.Sprintf("%s is not understood: must be %s", human.Quote(s), alternatives(now))
	}
}

func alternatives(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	return human.List(quoted, "or")
}

// orNothing also takes an empty text, with which a later file switches off what an earlier one set.
func orNothing(check func(string) string) func(string) string {
	return func(s string) string {
		if s == "" {
			return ""
		}
		return check(s)
	}
}

func notEmpty(s string) string {
	if strings.TrimSpace(s) == "" {
		return "is empty: write a value, or remove the key"
	}
	return ""
}

// quoted shows a text as in the file, without quotes where they are not needed.
func quoted(s string) string {
	plain := s == stars || s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("/._-@:+~", r))
	})
	if plain && !slices.Contains([]string{"true", "false", "null", "off", "on", "~"}, s) {
		return s
	}
	return strconv.Quote(s)
}

const stars = "********"

// masked hides the value of a variable whose name sounds like a secret, and the password in a URL. Secrets belong in
// files, but people put them here too, and paste the output of check into tickets.
func masked(name, value string) string {
	name = strings.ToLower(name)
	if slices.ContainsFunc([]string{"key", "secret", "token", "pass"}, func(word string) bool { return strings.Contains(name, word) }) {
		return stars
	}
	return withoutPassword(value)
}

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
