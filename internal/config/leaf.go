package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
)

// text is a key for one text.
func text(key string, into *string, check func(string) string) leaf {
	return one(key, into, check, func(s string) string { return s })
}

// one is a text that mask prepares to be shown.
func one(key string, into *string, check, mask func(string) string) leaf {
	return leaf{
		key: key, kind: textual,
		apply: func(s string) string {
			if problem := check(s); problem != "" {
				return problem
			}
			*into = s
			return ""
		},
		show: func() string { return quoted(mask(*into)) },
	}
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
func texts(key string, list listing, check func(string) string, into *[]string) leaf {
	return many(key, list, check, adder(into), func() []string { return *into }).takes("a list")
}

// many is a list of texts: add takes one more, all lists what to show.
func many(key string, list listing, check func(string) string, add func(string), all func() []string) leaf {
	return leaf{
		key: key, kind: textual, list: list,
		apply: func(s string) string {
			problem := check(s)
			if problem == "" {
				add(s)
			}
			return problem
		},
		show: func() string { return showList(list, all()) },
	}
}

// command is a program with its arguments. The loader checks that the program exists.
func command(key string, into *[]string) leaf {
	return many(key, listOnly, checkArgument, adder(into), func() []string { return maskedArguments(*into) }).
		takes("a list: program and arguments")
}

// refPrefix begins the names of refs. The slash at its end is optional.
func refPrefix(key string, into *string) leaf {
	l := text(key, into, checkRefPrefix).takes("the beginning of a ref's name")
	check := l.apply
	l.apply = func(s string) string { return check(strings.TrimSuffix(s, "/") + "/") }
	return l
}

func adder(into *[]string) func(string) { return func(s string) { *into = append(*into, s) } }

// showList shows a list, or its only value where that may stand for it.
func showList(list listing, all []string) string {
	if list == oneOrAll && len(all) < 2 {
		return quoted(strings.Join(all, ""))
	}
	shown := make([]string, len(all))
	for i, s := range all {
		shown[i] = quoted(s)
	}
	return "[" + strings.Join(shown, ", ") + "]"
}

func truth(key string, into *bool) leaf {
	return leaf{
		key: key, kind: boolean,
		apply: func(s string) string {
			if s = strings.ToLower(s); s != "true" && s != "false" {
				return "must be true or false"
			}
			*into = s == "true"
			return ""
		},
		show: func() string { return strconv.FormatBool(*into) },
	}
}

func number(key string, into *int, least int) leaf { return between(key, into, least, 1_000_000) }

func between(key string, into *int, least, most int) leaf {
	return leaf{
		key: key, kind: numeric,
		apply: func(s string) string {
			n, err := strconv.Atoi(s)
			switch {
			case err != nil:
				return "must be a whole number, such as " + strconv.Itoa(*into)
			case n < least:
				return fmt.Sprintf("%d is too small: must be at least %d", n, least)
			case n > most:
				return fmt.Sprintf("%d is too large: must be at most %d", n, most)
			}
			*into = n
			return ""
		},
		show: func() string { return strconv.Itoa(*into) },
	}
}

// longest bounds durations, so that a time plus a few of them does not overflow.
const longest = 10 * 365 * 24 * time.Hour

func duration(key string, into *time.Duration, least time.Duration) leaf {
	return leaf{
		key: key, kind: timed,
		apply: func(s string) string {
			d, err := time.ParseDuration(s)
			switch {
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
			return ""
		},
		show: func() string { return human.Setting(*into) },
	}
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
	plain := s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("/._-@:+~", r))
	})
	if plain && !slices.Contains([]string{"true", "false", "null", "off", "on", "~"}, s) {
		return s
	}
	return strconv.Quote(s)
}

// masked hides the value of a variable whose name sounds like a secret. Secrets belong in files, but people put them
// here too, and paste the output of check into tickets.
func masked(name, value string) string {
	name = strings.ToLower(name)
	if slices.ContainsFunc([]string{"key", "secret", "token", "pass"}, func(word string) bool { return strings.Contains(name, word) }) {
		return "********"
	}
	return quoted(value)
}
