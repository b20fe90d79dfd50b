// Package session runs a script in a session of its own, which is the unit of processes that can be ended as a whole,
// and bounds the log that the script writes into.
//
// Begin with Run in run_linux.go. The package knows nothing of items, repositories or who wants the script to run.
package session

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"

	"github.com/addagent/addagent/internal/human"
)

// NotePrefix begins every line that the shim itself writes into a script's log.
const NotePrefix = "addagent: "

// lastLineMax bounds what is kept of a script's last line, in bytes.
const lastLineMax = 200

// LastLine is the last line of a script's output that says anything, cut to lastLineMax bytes that can be printed. The
// shim's own notes are not output.
func LastLine(file io.ReaderAt, size int64) string {
	const window = 64 << 10
	from := max(0, size-window)
	data := make([]byte, size-from)
	n, err := file.ReadAt(data, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	for data = data[:n]; len(data) > 0; {
		at := bytes.LastIndexByte(data, '\n')
		if line := Printable(data[at+1:], lastLineMax); line != "" && !strings.HasPrefix(line, NotePrefix) {
			return line
		}
		data = data[:max(at, 0)]
	}
	return ""
}

// escapes are colours and cursor moves (ECMA-48 CSI), titles (OSC), and the two-byte ones.
var escapes = regexp.MustCompile(`\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[^[\]])`)

// Printable is what a person saw of a line: without terminal escapes, of a progress bar its last state, without control
// characters, at most limit bytes.
func Printable(line []byte, limit int) string {
	if bytes.IndexByte(line, 0x1b) >= 0 {
		line = escapes.ReplaceAll(line, nil)
	}
	for len(line) > 0 {
		at := bytes.LastIndexByte(line, '\r')
		if text := human.Truncate(human.Line(string(line[at+1:])), lastLineMax); text != "" {
			return human.PrefixBytes(text, limit)
		}
		line = line[:max(at, 0)]
	}
	return ""
}
