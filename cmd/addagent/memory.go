package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/addagent/addagent/agent"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/node"
	"gopkg.in/natefinch/lumberjack.v2"
)

// memory is where the agent writes its state and its beats down.
type memory struct {
	nodeinfo string
	log      node.StateLog
	journal  *lumberjack.Logger
	seen     fs.FileInfo // of journal
}

func newMemory(home string) *memory {
	return &memory{nodeinfo: filepath.Join(home, "nodeinfo"), journal: &lumberjack.Logger{Filename: journalPath(home)}}
}

// renew takes what the config says of files that grow.
func (m *memory) renew(l config.Log) {
	if m.journal.MaxSize == l.MaxSizeMB && m.journal.MaxBackups == l.Keep {
		return
	}
	m.journal.Close()
	m.journal = &lumberjack.Logger{Filename: m.journal.Filename, MaxSize: l.MaxSizeMB, MaxBackups: l.Keep}
}

func journalPath(home string) string { return filepath.Join(home, "log", "beats.jsonl") }
func beatPath(home string) string    { return filepath.Join(home, "nodeinfo", "beat.json") }

// State writes nodeinfo/state*.txt.
func (m *memory) State(s node.State, at time.Time) error {
	m.log = m.log.Add(s, at)
	return node.WriteState(m.nodeinfo, s, m.log)
}

// initDone tells whether this instance was set up, and that was told, in an
// earlier life of the agent. Where scripts ran, their memory must say so, too.
func (m *memory) initDone(memory string) bool {
	if _, err := os.Lstat(memory); err == nil {
		if _, err := os.Lstat(filepath.Join(memory, "work.sh_VERSION")); err != nil {
			return false
		}
	}
	// Init that ended while no agent lived is done, too; but that is told first.
	return slices.ContainsFunc(m.log, func(t node.Transition) bool { return t.State == node.InitDone })
}

// Show writes nodeinfo/beat.json. It only informs: no fsync.
func (m *memory) Show(b agent.Beat) error {
	return beatFile(filepath.Dir(m.nodeinfo)).Save(b)
}

// Append adds a line to log/beats.jsonl.
func (m *memory) Append(b agent.Beat) error {
	line, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("write beat: %w", err)
	}
	m.seen = current(m.journal, m.seen)
	if n, err := m.journal.Write(append(line, '\n')); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", m.journal.Filename, err), m.takeBack(n))
	}
	return nil
}

// takeBack removes the part of a line that went in before the disk was full,
// else the next line would be torn too.
func (m *memory) takeBack(n int) error {
	if n == 0 {
		return nil
	}
	st, err := os.Stat(m.journal.Filename)
	if err == nil {
		err = os.Truncate(m.journal.Filename, st.Size()-int64(n))
	}
	// It must be opened anew: a file that lumberjack made is not open for appending.
	return errors.Join(err, m.journal.Close())
}

func (m *memory) Close() { m.journal.Close() }

func beatFile(home string) files.Remembered[agent.Beat] {
	return files.Remembered[agent.Beat]{Path: beatPath(home), Limit: 16 << 20, Public: true}
}

// readBeat reads the last beat; nil without error when there was none yet.
func readBeat(home string) (*agent.Beat, error) {
	b, ok, err := beatFile(home).Peek()
	if errors.As(err, new(*files.Corrupt)) {
		return nil, fmt.Errorf("%s is damaged (the next beat replaces it): %w", beatPath(home), err)
	}
	if !ok {
		return nil, err
	}
	return &b, nil
}
