package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"syscall"
)

// PrintJSON is the one form of JSON on standard output: indented, one value.
func PrintJSON(w io.Writer, v any) error {
	e := json.NewEncoder(escaper{w})
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil && !errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// PrintJSONLine prints one value of a stream: compact, a line.
func PrintJSONLine(w io.Writer, v any) error {
	e := json.NewEncoder(escaper{w})
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// escaper escapes the eight-bit control characters in JSON that is written in whole values: JSON lets them pass, and a
// terminal obeys them.
type escaper struct{ io.Writer }

func (e escaper) Write(b []byte) (int, error) {
	safe := controls.ReplaceAllFunc(b, func(c []byte) []byte { return fmt.Appendf(nil, `\u%04x`, []rune(string(c))[0]) })
	if _, err := e.Writer.Write(safe); err != nil {
		return 0, err
	}
	return len(b), nil
}

var controls = regexp.MustCompile("[\u007f-\u009f]")
