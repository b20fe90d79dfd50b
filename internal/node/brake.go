package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
)

// Brake is what a person said of this node, or of one of its repositories, until he takes it back: that it rests
// (disabled), or that it is wedged. It outlives a reboot.
type Brake struct {
	Reason string    `json:"reason"`
	By     string    `json:"by,omitempty"`
	Since  time.Time `json:"since"`          // UTC
	Until  time.Time `json:"until,omitzero"` // UTC; zero = until somebody takes it back
}

// String is the brake as a person reads it: why, who, until when.
func (b Brake) String() string {
	text := b.Reason
	if b.By != "" {
		text += " (" + b.By + ")"
	}
	if !b.Until.IsZero() {
		text += ", until " + human.Stamp(b.Until)
	}
	return text
}

// Ends echoes the end of a brake with its zone and the time left, so that a slip of
// the zone is seen at once.
func (b Brake) Ends(now time.Time) string {
	if b.Until.IsZero() {
		return " until addagent enable"
	}
	return fmt.Sprintf(" until %s (in %s)", human.LocalTime(b.Until), human.Seconds(b.Until.Sub(now)))
}

// Over tells whether the brake has expired.
func (b Brake) Over(now time.Time) bool { return !b.Until.IsZero() && !now.Before(b.Until) }

// Brakes are all that people said of a node, but for those that are over.
type Brakes struct {
	Disabled *Brake           `json:"disabled,omitempty"` // the whole node rests
	Repos    map[string]Brake `json:"repos,omitempty"`    // these repositories rest
	Wedged   *Brake           `json:"wedged,omitempty"`   // the node is wedged, since a person says so
}

// The files of the brakes below the folder for what must survive (state_dir): disabled/node.json,
// disabled/repo.<name>.json and wedged.json, each one Brake as JSON.
const (
	disabledDir  = "disabled"
	disabledNode = "node.json"
	repoPrefix   = "repo."
	brakeSuffix  = ".json"
)

// DisabledPath is the file of the brake on a repository; on the whole node when repo is "".
func DisabledPath(stateDir, repo string) string {
	if repo == "" {
		return filepath.Join(stateDir, disabledDir, disabledNode)
	}
	return filepath.Join(stateDir, disabledDir, repoPrefix+repo+brakeSuffix)
}

// WedgedPath is the file by which a person calls the node wedged.
func WedgedPath(stateDir string) string { return filepath.Join(stateDir, "wedged.json") }

// ReadBrakes reads what people said. Brakes fail closed: a file that cannot be read is a brake whose reason says so.
// Those that are over at the given time are not told. The error is one of reading the folder; nothing is known then.
func ReadBrakes(stateDir string, now time.Time) (Brakes, error) {
	var all Brakes
	if b, there := readBrake(WedgedPath(stateDir), now); there {
		all.Wedged = &b
	}
	entries, err := os.ReadDir(filepath.Join(stateDir, disabledDir))
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return all, fmt.Errorf("brakes: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(stateDir, disabledDir, e.Name())
		if e.Name() == disabledNode {
			if b, there := readBrake(path, now); there {
				all.Disabled = &b
			}
			continue
		}
		name, isRepo := strings.CutPrefix(e.Name(), repoPrefix)
		name, whole := strings.CutSuffix(name, brakeSuffix)
		if !isRepo || !whole {
			continue // a temporary file of a writer, or somebody's notes
		}
		if b, there := readBrake(path, now); there {
			if all.Repos == nil {
				all.Repos = map[string]Brake{}
			}
			all.Repos[name] = b
		}
	}
	return all, nil
}

// brakeFile is the file of a brake.
func brakeFile(path string) files.Remembered[Brake] {
	return files.Remembered[Brake]{Path: path, Limit: valueLimit, Durable: true, Public: true, Indent: "    "}
}

func readBrake(path string, now time.Time) (b Brake, there bool) {
	b, there, err := brakeFile(path).Peek()
	if there && b.Reason == "" {
		err = errors.New("it gives no reason")
	}
	if err != nil {
		return Brake{Reason: fmt.Sprintf("%s cannot be read (%v): it counts until it is removed", path, err)}, true
	}
	return b, there && !b.Over(now)
}

// Put writes a brake, durably.
func (b Brake) Put(path string) error {
	b.Since, b.Until = b.Since.UTC().Truncate(time.Second), b.Until.UTC().Truncate(time.Second)
	if err := brakeFile(path).Save(b); err != nil {
		return fmt.Errorf("brake: %w", err)
	}
	return nil
}

// Lift takes a brake back; was is false when there was none.
func Lift(path string) (was bool, err error) {
	err = files.Remove(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("brake: %w", err)
	}
	return true, nil
}
