package main

import (
	"fmt"
	"strings"
	"time"
)

// sayAgain is how often a complaint that stays is said again.
const sayAgain = time.Hour

// A complaint is what goes wrong in a loop: it is said when it comes, once an hour
// while it stays, and when it is over. The zero value is none.
type complaint struct {
	text        string
	since, said time.Time
}

// next takes in how the last try went, "" = well, and returns what is to be said
// now, if anything.
func (c complaint) next(text string, now time.Time) (complaint, string) {
	switch {
	case text == "" && c.text == "":
		return c, ""
	case text == "":
		return complaint{}, fmt.Sprintf("over after %s: %s", long(now.Sub(c.since).Round(time.Second)), c.text)
	case c.text == "":
		return complaint{text, now, now}, text
	case !same(text, c.text):
		return complaint{text, c.since, now}, text
	case now.Sub(c.said) >= sayAgain:
		return complaint{text, c.since, now}, fmt.Sprintf("still, for %s: %s", long(now.Sub(c.since).Round(time.Second)), text)
	}
	return complaint{text, c.since, c.said}, ""
}

// same compares without digits: a port or a time that differs at each try is no news.
func same(a, b string) bool {
	plain := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return -1
			}
			return r
		}, s)
	}
	return plain(a) == plain(b)
}
