package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/node"
	"gopkg.in/natefinch/lumberjack.v2"
)

// Writer is where the agent writes its state and its beats down.
type Writer struct {
	nodeinfo string
	states   node.StateLog
	beats    *lumberjack.Logger
	seen     fs.FileInfo // of beats.jsonl
}

// NewWriter makes the writer of the agent in home. It writes nothing before it is told something.
func NewWriter(home string) *Writer {
	return &Writer{nodeinfo: filepath.Join(home, "nodeinfo"), beats: &lumberjack.Logger{Filename: BeatsPath(home)}}
}

// Configure takes what the config says of files that grow.
func (m *Writer) Configure(l config.Log) {
	if m.beats.MaxSize == l.MaxSizeMB && m.beats.MaxBackups == l.Keep {
		return
	}
	m.beats.Close()
	m.beats = &lumberjack.Logger{Filename: m.beats.Filename, MaxSize: l.MaxSizeMB, MaxBackups: l.Keep}
}

// BeatsPath is the file of all records, BeatPath that of the newest.
func BeatsPath(home string) string { return filepath.Join(home, "log", "beats.jsonl") }
func BeatPath(home string) string  { return filepath.Join(home, "nodeinfo", "beat.json") }

// Recall reads the states of earlier lives; notice is what was wrong with them, and is put right.
func (m *Writer) Recall() (notice string, err error) {
	m.states, notice, err = node.ReadStateLog(m.nodeinfo)
	return notice, err
}

// States are the states that this node was in, as presence has them.
func (m *Writer) States() node.StateLog { return m.states }

// State writes nodeinfo/state*.txt.
func (m *Writer) State(s node.State, at time.Time) error {
	m.states = m.states.Add(s, at)
	return node.WriteState(m.nodeinfo, s, m.states)
}

// InitDone tells whether an instance with these states was set up, and that was told, in an earlier life of the agent.
// Where scripts ran, their memory must say so, too.
func InitDone(states node.StateLog, memory string) bool {
	if _, err := os.Lstat(memory); err == nil {
		if _, err := os.Lstat(filepath.Join(memory, "work.sh_VERSION")); err != nil {
			return false
		}
	}
	// Init that ended while no agent lived is done, too; but that is told first.
	return slices.ContainsFunc(states, func(t node.Transition) bool { return t.State == node.InitDone })
}

// Show writes nodeinfo/beat.json. It only informs: no fsync.
func (m *Writer) Show(b Beat) error {
	return beatFile(filepath.Dir(m.nodeinfo)).Save(b)
}

// Append shows a beat and adds it to log/beats.jsonl.
func (m *Writer) Append(b Beat) (shown, added error) {
	file := beatFile(filepath.Dir(m.nodeinfo))
	line, err := file.Encode(b)
	if err != nil {
		return err, nil
	}
	shown = file.Put(line)
	m.seen = currentFile(m.beats, m.seen)
	if n, err := m.beats.Write(line); err != nil {
		added = errors.Join(fmt.Errorf("write %s: %w", m.beats.Filename, err), m.takeBack(n))
	}
	return shown, added
}

// takeBack removes the part of a line that went in before the disk was full, else the next line would be torn too.
func (m *Writer) takeBack(n int) error {
	if n == 0 {
		return nil
	}
	st, err := os.Stat(m.beats.Filename)
	if err == nil {
		err = os.Truncate(m.beats.Filename, st.Size()-int64(n))
	}
	// It must be opened anew: a file that lumberjack made is not open for appending.
	return errors.Join(err, m.beats.Close())
}

func (m *Writer) Close() { m.beats.Close() }

func beatFile(home string) files.Remembered[Beat] {
	return files.Remembered[Beat]{Path: BeatPath(home), Limit: 16 << 20, Public: true}
}

// ReadBeat reads the last beat; nil without error when there was none yet.
func ReadBeat(home string) (*Beat, error) {
	b, ok, err := beatFile(home).Peek()
	if errors.As(err, new(*files.Corrupt)) {
		return nil, fmt.Errorf("%s is damaged (the next beat replaces it): %w", BeatPath(home), err)
	}
	if !ok {
		return nil, err
	}
	return &b, nil
}
