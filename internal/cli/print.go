package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"unicode"
)

// PrintJSON is the one form of JSON on standard output: indented, one value.
func PrintJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil && !errors.Is(err, syscall.EPIPE) {
		return Failed(fmt.Errorf("write: %w", err))
	}
	return nil
}

// PrintJSONLine prints one value of a stream: compact, a line.
func PrintJSONLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// IsTerminal tells whether a person watches.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// OneLine keeps control characters, which may come out of a script's output or a
// server's answer, from drawing on a terminal or faking a second log line; and those
// that turn the direction of writing, with which a text is shown as another one.
func OneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r' || r == '\u2028' || r == '\u2029':
			return ' '
		case r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || unicode.Is(unicode.Bidi_Control, r):
			return '?'
		}
		return r
	}, s)
}
