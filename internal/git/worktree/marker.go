package worktree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/human"
	"github.com/go-git/go-git/v5/plumbing"
)

const (
	markerFile = "addagent-move" // in .git: a move has begun and has not ended
	readyIndex = "index"         // in tempFolder: the index of the tree just moved to
)

// Marker is what the marker of a move says.
type Marker struct {
	From, To plumbing.Hash // commits; From is zero when there was nothing
	Damage   string        // why the clone was noted as damaged; "" = it was not
	sameBoot bool          // the machine ran on since: what the move wrote can be trusted
}

// ReadMarker reports a move that has begun and not ended. It must be finished, by Move with the same From and To and by
// Commit, before the tree is moved anywhere else. A damaged marker is a move between unknown (zero) commits: then Move
// has to verify all.
func ReadMarker(dir string) (Marker, bool, error) {
	b, err := files.ReadSmall(filepath.Join(dir, ".git", markerFile), 1<<20)
	if irregular := errors.Is(err, files.ErrIrregular); irregular || errors.Is(err, fs.ErrNotExist) {
		return Marker{}, irregular, nil
	}
	if err != nil {
		return Marker{}, false, fmt.Errorf("read marker of a move: %w", err)
	}
	if reason, ok := strings.CutPrefix(strings.TrimSpace(string(b)), damagedNote); ok {
		return Marker{Damage: reason}, true, nil
	}
	words := strings.Fields(string(b))
	if len(words) < 2 || !plumbing.IsHash(words[0]) || !plumbing.IsHash(words[1]) {
		return Marker{}, true, nil
	}
	boot := bootID()
	return Marker{
		From:     plumbing.NewHash(words[0]),
		To:       plumbing.NewHash(words[1]),
		sameBoot: boot != "" && len(words) == 3 && words[2] == boot,
	}, true, nil
}

// damagedNote begins a marker that is no move: an object that the agent needs to find its work was missing or damaged,
// though the last move had no use for it. Without this it would not be fetched again until it is pushed once more.
const damagedNote = "damaged: "

// MarkDamaged notes that an object of a clone is missing or damaged, for the next look. A marker that is there stays:
// what it is about is compared anyway.
func MarkDamaged(dir, reason string) error {
	if _, marked, err := ReadMarker(dir); marked || err != nil {
		return err
	}
	return objects.WriteFile(filepath.Join(dir, ".git"), markerFile, []byte(damagedNote+human.Line(reason)+"\n"))
}

// writeMarker says that a move begins. The boot is noted because a power cut may lose what a killed process cannot.
func writeMarker(gitDir string, from, to plumbing.Hash) error {
	line := strings.TrimSpace(from.String()+" "+to.String()+" "+bootID()) + "\n"
	return objects.WriteFile(gitDir, markerFile, []byte(line))
}

// Commit ends a move: the index that it left ready comes into place, record writes what else of .git says where the
// tree is, and the marker goes. A crash in between leaves the marker, and the move is finished again.
func (m Moved) Commit(record func(gitDir string) error) error {
	git := filepath.Join(m.dir, ".git")
	index := filepath.Join(git, "index")
	var err error
	if info, missing := os.Lstat(index); missing == nil && info.IsDir() {
		err = os.RemoveAll(index)
	}
	if err = errors.Join(err, os.Rename(filepath.Join(git, objects.TempFolder, readyIndex), index)); err != nil {
		return fmt.Errorf("put the index in place: %w", err)
	}
	if err := record(git); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(git, markerFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove marker of a move: %w", err)
	}
	if err := files.SyncFolder(git); err != nil {
		return err
	}
	m.dirty.settle(index, m.tree)
	return nil
}

// bootID names this boot of the machine; empty when the system has no such thing.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || len(b) < 36 {
		return ""
	}
	return string(b[:36])
}
