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

// Brake is a person's order about this node, or one of its repositories, until it is lifted: disabled or wedged. It
// survives a reboot.
type Brake struct {
	Reason string    `json:"reason"`
	By     string    `json:"by,omitempty"`
	Since  time.Time `json:"since"`          // UTC
	Until  time.Time `json:"until,omitzero"` // UTC; zero = until it is lifted
}

// String is the brake for people: why, who, until when.
func (b Brake) String() string {
	text := b.Reason
	if b.By != "" {
		text += " (" + b.By + ")"
	}
	if !b.Until.IsZero() {
		text += ", until " + human.Time(b.Until)
	}
	return text
}

// Ends echoes the end of a brake with its zone and the time left, so that a slip of the zone is seen at once. Lifted by
// is the command that ends one without an end.
func (b Brake) Ends(now time.Time, liftedBy string) string {
	if b.Until.IsZero() {
		return " until " + liftedBy
	}
	return fmt.Sprintf(" until %s (in %s)", human.LocalTime(b.Until), human.Seconds(b.Until.Sub(now)))
}

// Over tells whether the brake has expired.
func (b Brake) Over(now time.Time) bool { return !b.Until.IsZero() && !now.Before(b.Until) }

// Brakes are all brakes of a node that have not expired.
type Brakes struct {
	Disabled *Brake           `json:"disabled,omitempty"` // on the whole node
	Repos    map[string]Brake `json:"repos,omitempty"`    // on repositories
	Wedged   *Brake           `json:"wedged,omitempty"`   // a person declared the node wedged
	Drained  map[string]Brake `json:"drained,omitempty"`  // on services; "" = on all of the node
}

// The files of brakes in state_dir: disabled/node.json, disabled/repo.<name>.json, disabled/service.<name>.json (with
// an empty name: all services) and wedged.json, each a Brake as JSON.
const (
	disabledDir   = "disabled"
	disabledNode  = "node.json"
	repoPrefix    = "repo."
	servicePrefix = "service."
	brakeSuffix   = ".json"
)

// DisabledPath is the file of the brake on a repository, or with "" on the whole node.
func DisabledPath(stateDir, repo string) string {
	if repo == "" {
		return filepath.Join(stateDir, disabledDir, disabledNode)
	}
	return filepath.Join(stateDir, disabledDir, repoPrefix+repo+brakeSuffix)
}

// DrainedPath is the file of the brake on a service, or with "" on all services.
func DrainedPath(stateDir, name string) string {
	return filepath.Join(stateDir, disabledDir, servicePrefix+name+brakeSuffix)
}

// WedgedPath is the file with which a person declares the node wedged.
func WedgedPath(stateDir string) string { return filepath.Join(stateDir, "wedged.json") }

// ReadBrakes reads the brakes that have not expired. They fail closed: a file that cannot be read is a brake, whose
// reason says so. An error means that the folder cannot be read, and nothing is known.
func ReadBrakes(stateDir string, now time.Time) (Brakes, error) {
	var all Brakes
	if b, there := ReadBrake(WedgedPath(stateDir), now); there {
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
		stem, whole := strings.CutSuffix(e.Name(), brakeSuffix)
		repo, isRepo := strings.CutPrefix(stem, repoPrefix)
		service, isService := strings.CutPrefix(stem, servicePrefix)
		if e.Name() != disabledNode && !((isRepo || isService) && whole) {
			continue // a writer's temporary file, or a person's notes
		}
		b, there := ReadBrake(filepath.Join(stateDir, disabledDir, e.Name()), now)
		switch {
		case !there:
		case isService:
			all.Drained = with(all.Drained, service, b)
		case isRepo:
			all.Repos = with(all.Repos, repo, b)
		default:
			all.Disabled = &b
		}
	}
	return all, nil
}

// with is a map with one more brake.
func with(all map[string]Brake, name string, b Brake) map[string]Brake {
	if all == nil {
		all = map[string]Brake{}
	}
	all[name] = b
	return all
}

// brakeFile is the file of a brake.
func brakeFile(path string) files.Remembered[Brake] {
	return files.Remembered[Brake]{Path: path, Limit: valueLimit, Durable: true, Public: true, Indent: "    "}
}

// ReadBrake reads the brake in a file; there is false when there is none, or it has expired.
func ReadBrake(path string, now time.Time) (b Brake, there bool) {
	b, there, err := brakeFile(path).Peek()
	if there && b.Reason == "" {
		err = errors.New("it has no reason")
	}
	if err != nil {
		return Brake{Reason: fmt.Sprintf("%s cannot be read (%v): it applies until it is removed", path, err)}, true
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

// Lift removes a brake; was is false when there was none.
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
