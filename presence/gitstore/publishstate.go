package gitstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/presence"
)

const (
	stateVersion = 1
	// stateLimit bounds what is read: 1,000 entries of 200 bytes and two records.
	stateLimit = 2 << 20

	// A history longer than historyMost commits is cut to historyKeep, so that one push in a hundred sends the commits
	// again. Commits older than historyAge go, too, except the newest historyLeast: a clock that jumps ahead for a
	// moment must not cost all history.
	historyMost, historyKeep, historyLeast = 600, 500, 20
	historyAge, historySlack               = 90 * 24 * time.Hour, 9 * 24 * time.Hour
	// stepsMost bounds what is remembered of a history that the server does not let us cut.
	stepsMost = 1000
	// appendFor is for how long a server that refused forced pushes is not asked for one again.
	appendFor = 24 * time.Hour
)

// publishState is what a node must know about its own ref to push without asking first. It is a file in state_dir.
type publishState struct {
	Version int            `json:"version"`
	Ref     string         `json:"ref"`              // the node's own, which all of this is about
	Source  string         `json:"source,omitempty"` // the repository, without secrets
	Told    published      `json:"told"`
	Pending *pending       `json:"pending,omitempty"`      // sent, or about to be, and not known to have landed
	Steps   []historyEntry `json:"steps"`                  // the commits that stay, oldest first, without refreshes
	Append  time.Time      `json:"append_until,omitzero"`  // no forced push until then
	Fleet   int            `json:"fleet,omitempty"`        // nodes in the repository
	Counted time.Time      `json:"fleet_counted,omitzero"` // when
	Asked   remote.Backoff `json:"asked,omitzero"`         // the server wants to be left alone
}

// published is what the repository holds of this node.
type published struct {
	Tip    string           `json:"tip"`              // the commit that the ref is at; "" = there is no ref
	Base   string           `json:"base"`             // the newest commit that stays: Tip, or the parent of a refresh
	Record *presence.Record `json:"record,omitempty"` // what Tip says
	Next   time.Time        `json:"next,omitzero"`    // when the next push was promised
}

// pending becomes published when the push has landed.
type pending struct {
	published
	From   int            `json:"from"` // how many of the oldest steps go
	Add    []historyEntry `json:"add"`  // and these come
	forced bool           // the new commit does not follow the old one
}

// historyEntry is a commit of our history, with all that is needed to make it again on another parent.
type historyEntry struct {
	tree    string
	at      time.Time
	subject string
}

// MarshalText is the form in the file: TREE SECONDS SUBJECT.
func (s historyEntry) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%s %d %s", s.tree, s.at.Unix(), s.subject), nil
}

// UnmarshalText reads what MarshalText writes.
func (s *historyEntry) UnmarshalText(text []byte) error {
	tree, rest, _ := strings.Cut(string(text), " ")
	at, subject, ok := strings.Cut(rest, " ")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if !ok || err != nil || !isID(tree) || oneLine(subject) != subject {
		return fmt.Errorf("step %.100q: not TREE SECONDS SUBJECT", text)
	}
	*s = historyEntry{tree: tree, at: time.Unix(seconds, 0).UTC(), subject: subject}
	return nil
}

// isID says that s is an id as git's SHA-1 repositories have it.
func isID(s string) bool {
	return len(s) == 40 && strings.Trim(s, "0123456789abcdef") == ""
}

func (t published) check() error {
	if t.Tip == "" && t.Base == "" && t.Record == nil {
		return nil
	}
	if !isID(t.Tip) || !isID(t.Base) || t.Record == nil {
		return errors.New("it names no commit")
	}
	return nil
}

// parseState reads the file's content. The error says why it cannot be used.
func parseState(data []byte) (*publishState, error) {
	var m publishState
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, err
	}
	if m.Version != stateVersion {
		return nil, fmt.Errorf("version %d, not %d", m.Version, stateVersion)
	}
	if err := m.Told.check(); err != nil {
		return nil, fmt.Errorf("told: %w", err)
	}
	if p := m.Pending; p != nil {
		if err := p.check(); err != nil {
			return nil, fmt.Errorf("pending: %w", err)
		}
		if p.Tip == "" || p.From < 0 || p.From > len(m.Steps) {
			return nil, errors.New("pending: inconsistent")
		}
	}
	if m.Fleet < 0 {
		return nil, errors.New("a negative number of nodes")
	}
	return &m, nil
}

// stateFile is where the state is kept.
func stateFile(path string) files.Remembered[*publishState] {
	return files.Remembered[*publishState]{Path: path, What: "presence memory: " + path, Limit: stateLimit, Durable: true, Parse: parseState}
}

// loadState reads what is known of a ref in a repository. An absent file, or one about another ref or repository, gives
// an empty state, and so does a corrupt one, which is set aside; the error says so.
func loadState(path, ref, source string) (*publishState, error) {
	m, ok, err := stateFile(path).Recall()
	if !ok || m.Ref != ref || m.Source != source {
		m = &publishState{Version: stateVersion, Ref: ref, Source: source}
	}
	return m, err
}

// landed makes what was pending published.
func (m *publishState) landed() {
	p := m.Pending
	m.Steps = slices.Concat(m.Steps[p.From:], p.Add)
	m.Told, m.Pending = p.published, nil
}

// surplus is how many of the oldest entries go when more come, the newest at that time; 0 while a push of all the
// others is not worth it.
func surplus(steps []historyEntry, more int, newest time.Time) int {
	n := 0
	if len(steps)+more > historyMost {
		n = len(steps) + more - historyKeep
	}
	if len(steps) > 0 && newest.Sub(steps[0].at) > historyAge+historySlack {
		old := slices.IndexFunc(steps, func(s historyEntry) bool { return newest.Sub(s.at) <= historyAge })
		if old < 0 {
			old = len(steps)
		}
		n = max(n, min(old, len(steps)+more-historyLeast))
	}
	return min(max(n, 0), len(steps))
}
