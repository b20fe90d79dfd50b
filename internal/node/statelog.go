package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/files"
)

const (
	stampLayout = "20060102-150405"
	// logLimit is the longest value an EC2 tag can have: the statelog is shown there as it is.
	logLimit = 256
	// valueLimit bounds a file of nodeinfo. They hold bare values, and each goes into the environment of scripts.
	valueLimit = 64 << 10
)

// Stamp gives t as state files show times: YYYYMMDD-HHMMSS in UTC.
func Stamp(t time.Time) string { return t.UTC().Format(stampLayout) }

// Transition is one entry of a StateLog.
type Transition struct {
	State State
	At    time.Time // whole seconds, UTC
}

// StateLog is the life of an instance, oldest first. Its text is `<state>:<YYYYMMDD-HHMMSS>;` for each entry.
type StateLog []Transition

// ParseStateLog reads the text of a statelog; space around it is ignored, the empty text is the empty log. States that
// this version does not log are kept (a log is history). The error names the entry that is none.
func ParseStateLog(text string) (StateLog, error) {
	text = strings.TrimSpace(text)
	if len(text) > 16*logLimit {
		return nil, fmt.Errorf("statelog of %d characters", len(text))
	}
	var log StateLog
	for text != "" {
		entry, rest, ok := strings.Cut(text, ";")
		if !ok {
			return nil, fmt.Errorf("statelog entry %q does not end with a semicolon", entry)
		}
		word, stamp, ok := strings.Cut(entry, ":")
		if !ok {
			return nil, fmt.Errorf("statelog entry %q is not <state>:<time>", entry)
		}
		s, err := ParseState(word)
		if err != nil {
			return nil, fmt.Errorf("statelog entry %q: %w", entry, err)
		}
		// The length is compared too: Parse also takes a fraction of a second, which a stamp does not have.
		at, err := time.Parse(stampLayout, stamp)
		if err != nil || len(stamp) != len(stampLayout) {
			return nil, fmt.Errorf("statelog entry %q: the time is not YYYYMMDD-HHMMSS", entry)
		}
		log = append(log, Transition{State: s, At: at})
		text = rest
	}
	return log, nil
}

// Add returns the log with s entered at the given time. States that are not logged and those that are in the log
// already change nothing: an instance is set up once, however often it reboots. The log that Add is called on keeps its value.
func (l StateLog) Add(s State, at time.Time) StateLog {
	row, ok := Row(s)
	if !ok || !row.Logged || slices.ContainsFunc(l, func(t Transition) bool { return t.State == s }) {
		return l
	}
	return append(slices.Clip(l), Transition{State: s, At: at.UTC().Truncate(time.Second)})
}

// String gives the text of the log, at most 256 characters: whole entries are cut, the oldest first.
func (l StateLog) String() string {
	var b strings.Builder
	for _, t := range l.fitting() {
		b.WriteString(t.text())
	}
	return b.String()
}

// Stamp is the stamp of the newest entry (statetss), "" for the empty log.
func (l StateLog) Stamp() string {
	if len(l) == 0 {
		return ""
	}
	return Stamp(l[len(l)-1].At)
}

func (l StateLog) fitting() StateLog {
	size := 0
	for i := len(l) - 1; i >= 0; i-- {
		if size += len(l[i].text()); size > logLimit {
			return l[i+1:]
		}
	}
	return l
}

func (t Transition) text() string { return string(t.State) + ":" + Stamp(t.At) + ";" }

func stateLogFile(dir string) files.Remembered[StateLog] {
	return files.Remembered[StateLog]{Path: filepath.Join(dir, "statelog.txt"), Limit: valueLimit,
		Parse: func(data []byte) (StateLog, error) { return ParseStateLog(string(data)) }}
}

// PeekStateLog is ReadStateLog for those who must not write: one that is broken is an error.
func PeekStateLog(dir string) (StateLog, error) {
	log, _, err := stateLogFile(dir).Peek()
	return log, err
}

// ReadStateLog reads statelog.txt of the folder dir (nodeinfo). An absent file is an empty log. One that is broken is
// set aside as statelog.txt.corrupt and taken as absent; notice says so in a sentence, and is "" otherwise.
func ReadStateLog(dir string) (log StateLog, notice string, err error) {
	file := stateLogFile(dir)
	log, _, err = file.Recall()
	if c := (*files.Corrupt)(nil); errors.As(err, &c) {
		return nil, fmt.Sprintf("%s: %v; set aside as %s", file.Path, c.Err, filepath.Base(c.Aside)), nil
	}
	return log, "", err
}

// WriteState tells the state on the node: state.txt, statetss.txt and statelog.txt in the folder dir (nodeinfo), which
// is made if it is absent. Only files whose content changes are written, each whole and durable; state.txt last, so
// that who sees a new state also finds its log. All failures are joined.
func WriteState(dir string, s State, log StateLog) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("nodeinfo: %w", err)
	}
	return errors.Join(
		writeValue(filepath.Join(dir, "statelog.txt"), log.String()),
		writeValue(filepath.Join(dir, "statetss.txt"), log.Stamp()),
		writeValue(filepath.Join(dir, "state.txt"), string(s)),
	)
}

// writeValue writes one bare value and a newline, unless the file says just that already.
func writeValue(path, value string) error {
	data, err := files.ReadSmall(path, valueLimit)
	if err == nil && string(data) == value+"\n" {
		return nil
	}
	return files.Write(path, []byte(value+"\n"), 0o644)
}
