package human

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line is any text as one line of words: what does not print is a blank, and a run of blanks is one.
func Line(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, " "))
	return strings.Join(strings.Fields(text), " ")
}

// Lines is a text of several lines, such as the errors of errors.Join, as one: a; b.
func Lines(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// Safe keeps a text as it is but for what would draw on a terminal, begin a second line of a log, or turn the direction
// of writing, with which a text is shown as another one.
func Safe(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == '\r' || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return safe(r)
	}, text)
}

// SafeLines is Safe for a text that may have lines.
func SafeLines(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return safe(r)
	}, text)
}

func safe(r rune) rune {
	if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
		return '?'
	}
	return r
}

// Printable shows a name of a file, whatever bytes it has, with ? for each that does not print.
func Printable(name string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(name, "?"))
}

// Truncate shortens a text to so many characters; the last one is … then.
func Truncate(text string, most int) string {
	switch {
	case len(text) <= most || utf8.RuneCountInString(text) <= most:
		return text
	case most <= 0:
		return ""
	}
	return Prefix(text, most-1) + "…"
}

// Prefix is the first characters of a text, for fields that must not be longer.
func Prefix(text string, most int) string {
	n := 0
	for at := range text {
		if n == most {
			return text[:at]
		}
		n++
	}
	return text
}

// PrefixBytes is the beginning of a text in at most so many bytes, without a part of a character at its end.
func PrefixBytes(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// quoteLimit is how much of a wrong value a message repeats, in characters.
const quoteLimit = 60

// Quote is a value in quotes, shortened, as a message about it repeats it.
func Quote(value string) string { return strconv.Quote(Truncate(value, quoteLimit)) }

// List joins words as a sentence does: a, b and c. The last word is "and" or "or".
func List(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	n := len(words) - 1
	return strings.Join(words[:n], ", ") + " " + last + " " + words[n]
}

// Some lists at most so many words and counts the others: a, b and 3 more.
func Some(words []string, most int) string {
	if len(words) <= most {
		return strings.Join(words, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(words[:most], ", "), len(words)-most)
}

// Examples lists at most so many words where their number does not matter: a, b, ...
func Examples(words []string, most int) string {
	if len(words) <= most {
		return strings.Join(words, ", ")
	}
	return strings.Join(words[:most], ", ") + ", ..."
}
