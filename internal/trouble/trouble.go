// Package trouble says when something that lasts is worth a line: when it begins, once an hour while it lasts, and when
// it is over.
//
// It is pure. The agent keeps its troubles by key (agent/troubles.go); a loop with one error at a time keeps a Trouble.
package trouble

import (
	"fmt"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
)

// again is how often a trouble that lasts is said.
const again = time.Hour

// Trouble is something that goes wrong. The zero value is none.
type Trouble struct {
	Text        string
	Since, Said time.Time
}

// News is what there is to say of a trouble.
type News int

// A trouble has begun (or is another than before), lasts, or is over.
const (
	Nothing News = iota
	Begun
	Lasting
	Over
)

// Next takes in what is wrong now, "" for nothing, and returns what there is to say.
func (t Trouble) Next(text string, now time.Time) (Trouble, News) {
	switch {
	case text == "" && t.Text == "":
		return Trouble{}, Nothing
	case text == "":
		return Trouble{}, Over
	case t.Text == "":
		return Trouble{text, now, now}, Begun
	case !Same(t.Text, text):
		return Trouble{text, t.Since, now}, Begun
	case now.Sub(t.Said) >= again:
		return Trouble{text, t.Since, now}, Lasting
	}
	return Trouble{text, t.Since, t.Said}, Nothing
}

// Sentence words the news of a text. The span is how long the trouble has lasted, in words.
func (n News) Sentence(span, text string) string {
	switch n {
	case Lasting:
		return fmt.Sprintf("ongoing for %s: %s", span, text)
	case Over:
		return fmt.Sprintf("resolved after %s: %s", span, text)
	}
	return text
}

// Same compares two texts without their digits: a duration, a port or a size that differs each time is no news.
func Same(a, b string) bool { return withoutDigits(a) == withoutDigits(b) }

func withoutDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, s)
}

// NextOf is Next for the error of a loop, nil for none, and returns what to say about it: "" for nothing.
func (t Trouble) NextOf(err error, now time.Time) (Trouble, string) {
	text := ""
	if err != nil {
		text = human.Lines(err.Error())
	}
	next, news := t.Next(text, now)
	switch news {
	case Nothing:
		return next, ""
	case Over:
		text = t.Text
	}
	return next, news.Sentence(human.Seconds(now.Sub(t.Since)), text)
}
