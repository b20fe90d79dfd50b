package main

import (
	"bytes"
	"encoding/json"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
)

// logLine is one line of the agent's log, whichever form (log.format) it was
// written in; it is what `log --json` prints, one a line.
type logLine struct {
	Time  time.Time `json:"time,omitzero"` // absent when the line has none: it was cut
	Level string    `json:"level"`         // debug, info, warning or critical
	Text  string    `json:"text"`
}

// parseLogLine understands both forms. What is neither is text.
func parseLogLine(line string) logLine {
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
			return logLine{Time: j.Time, Level: word, Text: j.Message}
		}
	}
	l := logLine{Level: "info", Text: line}
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
func (l logLine) String() string {
	var b strings.Builder
	if !l.Time.IsZero() {
		b.WriteString(human.Stamp(l.Time.UTC()) + " ")
	}
	if l.Level == "warning" || l.Level == "critical" {
		b.WriteString(strings.ToUpper(l.Level) + " ")
	}
	return b.String() + l.Text
}

// rotatedLogs are the older files of a log, oldest first, as lumberjack names them.
func rotatedLogs(path string) []string {
	ext := filepath.Ext(path)
	stem := strings.TrimSuffix(path, ext) + "-"
	all, _ := filepath.Glob(stem + "*" + ext) // the pattern is good
	all = slices.DeleteFunc(all, func(p string) bool {
		_, err := time.Parse("2006-01-02T15-04-05.000", strings.TrimSuffix(strings.TrimPrefix(p, stem), ext))
		return err != nil
	})
	slices.Sort(all)
	return all
}

// lineMax is where a line without an end is cut: the memory of a follower is bounded.
const lineMax = 64 << 10

// lineWriter hands on line by line, without the newline; or to out, as it comes.
type lineWriter struct {
	out  io.Writer
	each func(line []byte) error
	rest []byte
}

func (w *lineWriter) Write(data []byte) (int, error) {
	if w.each == nil {
		return w.out.Write(data)
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
		if err := w.each(w.rest[:i]); err != nil {
			return 0, err
		}
		w.rest = w.rest[next:]
	}
}

// end hands on what is left of a line without an end.
func (w *lineWriter) end() error {
	if len(w.rest) == 0 {
		return nil
	}
	line := w.rest
	w.rest = nil
	return w.each(line)
}
