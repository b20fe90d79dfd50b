package main

import (
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/trouble"
)

// A complaint is what goes wrong in a loop.
type complaint struct{ trouble.Trouble }

// next takes in how the last try went, "" = well, and returns what is to be said
// now, if anything.
func (c complaint) next(text string, now time.Time) (complaint, string) {
	next, news := c.Next(text, now)
	switch news {
	case trouble.Nothing:
		return complaint{next}, ""
	case trouble.Over:
		text = c.Text
	}
	return complaint{next}, news.Sentence(human.Seconds(now.Sub(c.Since)), text)
}
