package transport

import (
	"errors"
	"fmt"

	"github.com/addagent/addagent/internal/human"
)

// ErrAccess is in errors of a server that does not let us do what was asked. They stay until a person fixes that, and
// name what to do.
var ErrAccess = errors.New("no access")

// Denied makes an ErrAccess of an error. advice is what a person can do; "" = the error has it already.
func Denied(err error, advice string) error { return &advised{err, advice, true} }

// advise adds to an error what a person can do about it.
func advise(err error, advice string) error { return &advised{err, advice, false} }

// advised is an error and what a person can do about it, with which its text ends. All our errors that know it have a
// method Hint, so that who shows them can take the two apart.
type advised struct {
	error
	advice string
	denied bool // it is an ErrAccess
}

func (a *advised) Error() string {
	if a.advice == "" {
		return a.error.Error()
	}
	return a.error.Error() + ": " + a.advice
}

func (a *advised) Is(target error) bool { return a.denied && target == ErrAccess }
func (a *advised) Unwrap() error        { return a.error }
func (a *advised) Hint() string         { return a.advice }

// OneLine joins errors with semicolons; nil when there are none.
func OneLine(errs ...error) error {
	var all error
	for _, err := range errs {
		switch {
		case err == nil:
		case all == nil:
			all = err
		default:
			all = fmt.Errorf("%w; %w", all, err)
		}
	}
	return all
}

// oneLine makes text of the other side fit for one line of a log.
func oneLine(s string) string { return printable(s, 300) }

func printable(s string, limit int) string {
	return human.Truncate(human.Line(human.Lines(s)), limit)
}
