package node

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/files"
)

const (
	stampLayout = "20060102-150405"
	// logLimit is the longest value of an EC2 tag, in which the statelog is shown.
	logLimit = 256
	// valueLimit bounds a file of nodeinfo. Each contains one value, which goes into the environment of scripts.
	valueLimit = 64 << 10
)

// Stamp formats a time as in state files: YYYYMMDD-HHMMSS in UTC.
func Stamp(t time.Time) string { return t.UTC().Format(stampLayout) }

// Transition is one entry of a StateLog.
type Transition struct {
	State State
	At    time.Time // whole seconds, UTC
}

// StateLog is the life of an instance, oldest first. Its text is `<state>:<YYYYMMDD-HHMMSS>;` for each entry.
type StateLog []Transition

// ParseStateLog parses a statelog, ignoring space around it. It keeps states that this version does not log: a log is
// history. The error names the bad entry.
func ParseStateLog(text string) (StateLog, error) {
	text = strings.TrimSpace(text)
	if len(text) > 16*logLimit {
		return nil, fmt.Errorf("statelog of %d characters", len(text))
	}
	var log StateLog
	for entry := range strings.SplitAfterSeq(text, ";") {
		word, stamp, _ := strings.Cut(strings.TrimSuffix(entry, ";"), ":")
		_, known := Row(State(word))
		at, err := time.Parse(stampLayout, stamp)
		t := Transition{State: State(word), At: at}
		switch {
		case entry == "": // after the last semicolon
		case !known || err != nil || t.text() != entry: // time.Parse also takes fractions of a second
			return nil, fmt.Errorf("statelog entry %q is not STATE:YYYYMMDD-HHMMSS;", entry)
		default:
			log = append(log, t)
		}
	}
	return log, nil
}

// Add returns the log with s added at a time. States that are not logged, or already in the log, change nothing: an
// instance is set up once, however often it reboots. l itself keeps its value.
func (l StateLog) Add(s State, at time.Time) StateLog {
	row, ok := Row(s)
	if !ok || !row.Logged || slices.ContainsFunc(l, func(t Transition) bool { return t.State == s }) {
		return l
	}
	return append(slices.Clip(l), Transition{State: s, At: at.UTC().Truncate(time.Second)})
}

// String is the text of the log, at most 256 characters: the oldest entries are dropped.
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

// PeekStateLog is ReadStateLog without writing: a broken log is an error.
func PeekStateLog(dir string) (StateLog, error) {
	log, _, err := stateLogFile(dir).Peek()
	return log, err
}

// ReadStateLog reads statelog.txt in dir (nodeinfo). An absent file is an empty log. A broken one is set aside as
// statelog.txt.corrupt and counts as absent; then notice says so.
func ReadStateLog(dir string) (log StateLog, notice string, err error) {
	file := stateLogFile(dir)
	log, _, err = file.Recall()
	if c := (*files.Corrupt)(nil); errors.As(err, &c) {
		return nil, fmt.Sprintf("%s: %v; set aside as %s", file.Path, c.Err, filepath.Base(c.Aside)), nil
	}
	return log, "", err
}

// stateFields are what the agent itself writes in nodeinfo.
var stateFields = []string{"statelog", "statetss", "state"}

// WriteState writes state.txt, statetss.txt and statelog.txt in dir (nodeinfo), which it creates if need be. It writes
// only files that change, atomically and durably; state.txt last, so that readers of a new state also find its log. All
// failures are joined.
func WriteState(dir string, s State, log StateLog) error {
	if _, err := files.MakeFolder(dir, 0o700); err != nil {
		return fmt.Errorf("nodeinfo: %w", err)
	}
	return errors.Join(
		writeValue(filepath.Join(dir, "statelog.txt"), log.String()),
		writeValue(filepath.Join(dir, "statetss.txt"), log.Stamp()),
		writeValue(filepath.Join(dir, "state.txt"), string(s)),
	)
}

// writeValue writes a value and a newline, unless the file already has them.
func writeValue(path, value string) error {
	data, err := files.ReadSmall(path, valueLimit)
	if err == nil && string(data) == value+"\n" {
		return nil
	}
	if errors.Is(err, files.ErrIrregular) {
		if _, err := files.SetAside(path, "corrupt"); err != nil {
			return err
		}
	}
	return files.Write(path, []byte(value+"\n"), 0o644)
}
