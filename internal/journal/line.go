package journal

import (
	"bytes"
	"encoding/json"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
)

// Line is a line of the agent's log, whichever form (log.format) it was
// written in; it is what `log --json` prints, one a line.
type Line struct {
	Time  time.Time `json:"time,omitzero"` // absent when the line has none: it was cut
	Level string    `json:"level"`         // debug, info, warning or critical
	Text  string    `json:"text"`
}

// ParseLine understands both forms. What is neither is text.
func ParseLine(line string) Line {
	if strings.HasPrefix(line, "{") {
		var j struct {
			Level, Message string
			Time           time.Time
		}
		if json.Unmarshal([]byte(line), &j) == nil && j.Message != "" {
			word := map[string]string{"warn": "warning", "error": "critical"}[j.Level]
			if word == "" {
				word = j.Level
			}
			return Line{Time: j.Time, Level: word, Text: j.Message}
		}
	}
	l := Line{Level: "info", Text: line}
	if stamp, rest, ok := strings.Cut(line, " "); ok {
		if at, err := time.Parse(time.RFC3339, stamp); err == nil {
			l.Time, l.Text = at, rest
		}
	}
	for _, level := range []string{"warning", "critical"} {
		if rest, ok := strings.CutPrefix(l.Text, strings.ToUpper(level)+" "); ok {
			l.Level, l.Text = level, rest
		}
	}
	return l
}

// String is the line as log.format: text has it.
func (l Line) String() string {
	var b strings.Builder
	if !l.Time.IsZero() {
		b.WriteString(human.Stamp(l.Time.UTC()) + " ")
	}
	if l.Level == "warning" || l.Level == "critical" {
		b.WriteString(strings.ToUpper(l.Level) + " ")
	}
	return b.String() + l.Text
}

// Rotated are the older files of a log, oldest first, as lumberjack names them.
func Rotated(path string) []string {
	ext := filepath.Ext(path)
	stem := strings.TrimSuffix(path, ext) + "-"
	all := slices.DeleteFunc(files.Matching(filepath.Dir(path), "*"+ext), func(p string) bool {
		_, err := time.Parse("2006-01-02T15-04-05.000", strings.TrimSuffix(strings.TrimPrefix(p, stem), ext))
		return err != nil
	})
	slices.Sort(all)
	return all
}

// lineMax is where a line without an end is cut: the memory of a follower is bounded.
const lineMax = 64 << 10

// LineWriter hands on line by line, without the newline; or to out, as it comes.
type LineWriter struct {
	Out  io.Writer
	Each func(line []byte) error
	rest []byte
}

func (w *LineWriter) Write(data []byte) (int, error) {
	if w.Each == nil {
		return w.Out.Write(data)
	}
	w.rest = append(w.rest, data...)
	for {
		i := bytes.IndexByte(w.rest, '\n')
		next := i + 1
		if i < 0 {
			if len(w.rest) < lineMax {
				return len(data), nil
			}
			i, next = lineMax, lineMax
		}
		if err := w.Each(w.rest[:i]); err != nil {
			return 0, err
		}
		w.rest = w.rest[next:]
	}
}

// End hands on what is left of a line without an end.
func (w *LineWriter) End() error {
	if len(w.rest) == 0 {
		return nil
	}
	line := w.rest
	w.rest = nil
	return w.Each(line)
}
