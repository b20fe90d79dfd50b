package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"
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
