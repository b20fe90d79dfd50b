package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/addagent/addagent/agent"
)

// status is what became of a thing that was tried. The words are those of `doctor --json`.
type status string

const (
	worksWell status = "ok"
	isFailing status = "fail"
	isNoted   status = "note"    // it works, or nobody knows, and a person may want to look
	isSkipped status = "skipped" // it is not asked for, or cannot be tried from here
)

// finding is one line of what `addagent doctor` found; a list of them is its --json.
type finding struct {
	Check  string `json:"check"` // "repo ops", "presence push"
	Status status `json:"status"`
	Text   string `json:"text"`           // what was found
	Mend   string `json:"mend,omitempty"` // what a person can do about it
}

func good(format string, args ...any) finding {
	return finding{Status: worksWell, Text: fmt.Sprintf(format, args...)}
}

func skip(format string, args ...any) finding {
	return finding{Status: isSkipped, Text: fmt.Sprintf(format, args...)}
}

func note(text, mend string) finding { return finding{Status: isNoted, Text: text, Mend: mend} }
func fail(text, mend string) finding { return finding{Status: isFailing, Text: text, Mend: mend} }

// named gives a finding the name of what was tried.
func (f finding) named(check string) finding {
	f.Check = check
	return f
}

// broken is what fails with an error. What the error itself says of how to mend it goes before otherwise.
func broken(err error, otherwise string) finding {
	text, mend := apart(err)
	if mend == "" {
		mend = otherwise
	}
	return fail(text, mend)
}

// apart takes an error of ours apart: what is wrong, and what a person can do about it ("" = it does not say). Those that
// know it have a method Mend, and their texts end with it.
func apart(err error) (text, mend string) {
	var says interface {
		error
		Mend() string
	}
	for at := err; mend == "" && errors.As(at, &says); at = errors.Unwrap(says) {
		mend = says.Mend()
	}
	text = err.Error()
	if mend != "" {
		text = strings.TrimSuffix(text, ": "+mend)
	}
	return text, mend
}

func fails(found []finding) (n int) {
	for _, f := range found {
		if f.Status == isFailing {
			n++
		}
	}
	return n
}

// check is one thing to try, or a few that need each other.
type check struct {
	name  string
	steps int // how many questions it asks, one after the other
	do    func(ctx context.Context) []finding
}

// examine makes all checks at once, each with a deadline of its own, and returns what they found in their order. One that
// does not even heed its deadline, such as a disk that hangs, is given up.
func examine(ctx context.Context, each time.Duration, checks []check) []finding {
	results := make([]chan []finding, len(checks))
	for i, c := range checks {
		limit := each * time.Duration(c.steps)
		bounded, cancel := context.WithTimeoutCause(ctx, limit, late{limit})
		result := make(chan []finding, 1)
		done := make(chan []finding, 1)
		results[i] = result
		go func() { done <- c.do(bounded) }()
		go func() {
			defer cancel()
			select {
			case found := <-done:
				result <- found
				return
			case <-bounded.Done():
			}
			timer := time.NewTimer(graceOfACheck)
			defer timer.Stop()
			select {
			case found := <-done:
				result <- found
			case <-timer.C:
				result <- []finding{fail(late{limit}.Error(), "see what it waits for: a disk, a mount, a program that hangs")}
			}
		}()
	}
	var all []finding
	for i, c := range checks {
		for _, f := range <-results[i] {
			if f.Check == "" {
				f.Check = c.name
			}
			all = append(all, f)
		}
	}
	return all
}

// graceOfACheck is for a check to say what it knows when its time is over.
const graceOfACheck = 2 * time.Second

// late is the error of what does not answer.
type late struct{ limit time.Duration }

func (l late) Error() string { return "no answer within " + span(l.limit) }

// span is a duration as a person says it, also a short one.
func span(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return agent.For(d)
}

// step gives one of several questions of a check its own share of time.
func step(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, late{limit})
}

// hurried puts the deadline in the place of what it did to a connection.
func hurried(ctx context.Context, err error) error {
	var l late
	if err != nil && errors.As(context.Cause(ctx), &l) {
		return l
	}
	return err
}
