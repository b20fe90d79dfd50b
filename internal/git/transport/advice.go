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
func Denied(err error, advice string) error { return &accessError{err, advice} }

// advised is an error and what a person can do about it, with which its text ends. All our errors that know it have a
// method Mend, so that who shows them can take the two apart.
type advised struct {
	error
	advice string
}

func (a *advised) Error() string { return a.error.Error() + ": " + a.advice }
func (a *advised) Unwrap() error { return a.error }
func (a *advised) Mend() string  { return a.advice }

// accessError is an error that stays until a person fixes its cause.
type accessError struct {
	error
	advice string // "" = the error has it already
}

func (e *accessError) Error() string {
	if e.advice == "" {
		return e.error.Error()
	}
	return e.error.Error() + ": " + e.advice
}

func (e *accessError) Is(target error) bool { return target == ErrAccess }
func (e *accessError) Unwrap() error        { return e.error }
func (e *accessError) Mend() string         { return e.advice }

// OneLine joins errors with semicolons; nil when there are none.
func OneLine(errs []error) error {
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
