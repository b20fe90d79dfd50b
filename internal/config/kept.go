package config

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
)

// kept is the file of the last good config. It has the text of all config files, so that loading it checks them again.
type kept struct {
	Config  string    `json:"config"` // absolute path of the config file
	Kept    time.Time `json:"kept"`
	Sources []source  `json:"files"`
	Notes   Problems  `json:"notes,omitempty"` // on them, as last logged
}

// keptLimit is for the file of kept: JSON needs at most six bytes for a byte.
const keptLimit = 6*wholeLimit + 64<<10

// keptFile is the file of the last good config of a path: several agents may share a folder.
func keptFile(dir, path string) (file files.Remembered[kept], absolute string, err error) {
	absolute, err = filepath.Abs(path)
	if err != nil {
		return file, "", fmt.Errorf("last good config: %w", err)
	}
	name := filepath.Join(dir, fmt.Sprintf("config-%.8x.json", sha256.Sum256([]byte(absolute))))
	parse := func(data []byte) (k kept, err error) {
		if err := json.Unmarshal(data, &k); err != nil || k.Config != absolute || k.Kept.IsZero() || len(k.Sources) == 0 {
			return k, fmt.Errorf("%s is not a kept config of %s", name, absolute)
		}
		return k, nil
	}
	return files.Remembered[kept]{Path: name, Limit: keptLimit, Durable: true, Indent: "  ", Parse: parse}, absolute, nil
}

// Keep stores the files that c was loaded from in dir as the last good config: atomically, readable by no one else, and
// only if they or the notes on them have changed. It returns the notes that the stored one did not have: those are news
// also for a process that lives for one beat. Flags are not kept. A config without files removes the stored one. A
// config that has problems is refused.
func (c *Config) Keep(dir string) (news Problems, err error) {
	if c.path == "" {
		return nil, nil // nothing was loaded
	}
	if c.broken {
		return nil, fmt.Errorf("keep the config: %s has problems", c.path)
	}
	file, absolute, err := keptFile(dir, c.path)
	if err != nil {
		return nil, err
	}
	if len(c.sources) == 0 {
		return c.Notes, file.Forget()
	}
	old, _, err := file.Peek()
	same := err == nil && slices.Equal(old.Sources, c.sources)
	if same && slices.Equal(old.Notes, c.Notes) {
		return nil, nil
	}
	// An existing file keeps its mode, and work.env may contain secrets.
	if err := os.Chmod(file.Path, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("keep the config: %w", err)
	}
	now := kept{Config: absolute, Kept: time.Now().UTC().Truncate(time.Second), Sources: c.sources, Notes: c.Notes}
	if same {
		now.Kept = old.Kept
	}
	news = slices.DeleteFunc(slices.Clone(c.Notes), func(n Problem) bool { return slices.Contains(old.Notes, n) })
	return news, file.Save(now)
}

// LoadKept loads what Keep stored in dir for the config file at path, and says when that was. A missing file that the
// config names is a note. The error is of type Problems when this version does not accept the config, and wraps
// fs.ErrNotExist when there is none, or a corrupt one, which is set aside as *.corrupt.
func LoadKept(dir, path string, o Options) (*Config, time.Time, error) {
	file, _, err := keptFile(dir, path)
	if err != nil {
		return nil, time.Time{}, err
	}
	k, ok, err := file.Recall()
	if errors.As(err, new(*files.Corrupt)) {
		err = fmt.Errorf("%w: %w", err, fs.ErrNotExist)
	} else if err == nil && !ok {
		err = fmt.Errorf("%s: %w", file.Path, fs.ErrNotExist)
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("last good config: %w", err)
	}
	l := newLoader(path, o)
	l.kept = " (kept " + human.Stamp(k.Kept) + ")"
	for _, s := range k.Sources {
		l.order = append(l.order, inPlace(path, s.Name)+l.kept)
	}
	c, err := l.load(k.Sources)
	return c, k.Kept, err
}
