package clone

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/pack"
	"github.com/addagent/addagent/internal/git/refs"
	"github.com/addagent/addagent/internal/git/worktree"
)

// leftOverAge is how old a file must be that a program may have left behind, before it is taken for that.
const leftOverAge = time.Hour

// lockAge is that of a lock: a commit whose message is being written holds one for as long as that takes.
const lockAge = 12 * time.Hour

// freshMark is a file in a git directory that is being made beside the clone. What lies there without it is a clone
// that was just replaced, and may be a person's.
const freshMark = "addagent-new"

// clean removes what a killed process left behind: packs that never came whole, clones that were never swapped in,
// and, after an hour, what git leaves when it is killed.
func (r *Repo) clean() error {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return nil // nothing there, nothing to remove
	}
	for _, e := range entries {
		path := filepath.Join(r.dir, e.Name())
		switch {
		case !strings.HasPrefix(e.Name(), rebuildPrefix):
		case marked(path, "/"+freshMark) || !marked(path, "/objects"):
			err = os.RemoveAll(path)
		default:
			err = r.discard(path)
		}
		if err != nil {
			return fmt.Errorf("remove what was left behind: %w", err)
		}
	}
	return removeStale(r.gitDir(), time.Now())
}

// discard removes a git directory that was replaced. One that a person made, or in which people made branches, tags or
// stashes, goes aside: there may be commits in it that are nowhere else.
func (r *Repo) discard(old string) error {
	if info, err := os.Lstat(old); err == nil && info.IsDir() && made(old) {
		if people, err := refs.People(old, refs.Branch(old)); err == nil && len(people) == 0 {
			return os.RemoveAll(old)
		}
	}
	_, err := worktree.SetAside(r.dir, filepath.Base(old), "git")
	return err
}

// removeStale removes from a git directory what a killed process of ours left there, and what a git that was killed
// did.
func removeStale(gitDir string, now time.Time) error {
	var stale []string
	for _, pattern := range []string{pack.ReceivePrefix + "*", freshMark, "*.addagent-tmp"} {
		stale = append(stale, files.Matching(gitDir, pattern)...)
	}
	all := []string{filepath.Join(gitDir, "gc.pid")}
	for _, pattern := range []string{"*.lock", "objects/tmp_*", "objects/incoming-*", "objects/info/*.lock",
		"objects/pack/tmp_*", "objects/pack/.tmp-*", "objects/pack/*.lock"} {
		all = append(all, files.Matching(gitDir, pattern)...)
	}
	_ = filepath.WalkDir(filepath.Join(gitDir, "refs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".lock") && !d.IsDir() {
			all = append(all, path)
		}
		return nil
	})
	for _, path := range all {
		age := leftOverAge
		if strings.HasSuffix(path, ".lock") {
			age = lockAge
		}
		if info, err := os.Lstat(path); err == nil && now.Sub(info.ModTime()) >= age {
			stale = append(stale, path)
		}
	}
	for _, path := range stale {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove what was left behind: %w", err)
		}
	}
	return nil
}

// checkEvery is how often all bytes of the packs are read: what nothing reads would stay damaged.
const checkEvery = 7 * 24 * time.Hour

// checkPacks returns why a clone with damaged packs is damaged.
func checkPacks(gitDir string, step func()) (damage string) {
	info, err := os.Stat(filepath.Join(gitDir, checkedFile))
	due := err == nil && time.Since(info.ModTime()) > checkEvery
	if damage = pack.Damage(gitDir, due, step); damage == "" && (due || err != nil) {
		_ = objects.WriteFile(gitDir, checkedFile, nil) // else they are read again
	}
	return damage
}

// checkedFile is in .git: it is as old as the last check of all packs.
const checkedFile = "addagent-checked"

// tidyPacks finds a pack that is gone while its index is still there, and returns why the clone is damaged then. A
// pack without an index is what a killed process leaves, between the two steps of putting one there or taking it
// away; git puts packs there in the same two steps, so it must be an hour old.
func tidyPacks(gitDir string) (damage string, err error) {
	dir := packFolder(gitDir)
	entries, err := os.ReadDir(dir)
	if files.Unread(err) {
		return "", err
	} else if err != nil {
		return "it has no folder of packs", nil
	}
	there := make(map[string]bool, len(entries))
	for _, e := range entries {
		there[e.Name()] = true
	}
	for _, e := range entries {
		if stem, ok := strings.CutSuffix(e.Name(), ".idx"); ok && !there[stem+".pack"] {
			return "its " + stem + ".pack is gone", nil
		}
		stem, ok := strings.CutSuffix(e.Name(), ".pack")
		if !ok || there[stem+".idx"] || there[stem+".keep"] {
			continue
		}
		if info, err := e.Info(); err != nil || time.Since(info.ModTime()) < leftOverAge {
			continue
		}
		for _, end := range []string{".pack", ".rev", ".bitmap"} {
			if err := os.RemoveAll(filepath.Join(dir, stem+end)); err != nil {
				return "", fmt.Errorf("remove what was left behind: %w", err)
			}
		}
	}
	return "", nil
}

// dropPack takes back a pack that came for a commit that was refused. Nothing else leans on it yet.
func dropPack(stem string) error {
	if stem == "" {
		return nil
	}
	return errors.Join(os.Remove(stem+".idx"), os.Remove(stem+".pack"))
}
