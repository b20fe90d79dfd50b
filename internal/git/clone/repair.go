package clone

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/pack"
	"github.com/addagent/addagent/internal/git/refs"
	"github.com/addagent/addagent/internal/git/worktree"
	"github.com/addagent/addagent/internal/human"
	"github.com/go-git/go-git/v5/plumbing"
)

// realFolder is where the clone lies. People move a large one to another disk and leave a symbolic link: then it is
// worked where it lies. A link that leads nowhere is most likely a disk that is not mounted, and not to be filled.
func realFolder(dir string) (string, error) {
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return dir, nil
	}
	if err != nil {
		return "", err
	}
	if info.Mode().Type() == fs.ModeSymlink {
		target, err := os.Readlink(dir)
		if err != nil {
			return "", err
		}
		there, err := filepath.EvalSymlinks(dir)
		if err != nil {
			return "", fmt.Errorf("%s is a symbolic link to %s, which cannot be followed (is its disk mounted?): put that right, or remove the link: %w", dir, target, err)
		}
		if info, err = os.Stat(there); err != nil {
			return "", err
		}
		dir = there
	}
	if !info.IsDir() {
		return "", fmt.Errorf("%s is no folder: move it away", dir)
	}
	return dir, nil
}

// noFolder says that something stands at a path that is no folder.
func noFolder(path string) (bool, error) {
	var st syscall.Stat_t // and not os.Stat, which costs allocations in every look
	err := syscall.Stat(path, &st)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ELOOP):
		return syscall.Lstat(path, &st) == nil, nil // a link that leads nowhere, or to itself
	case errors.Is(err, syscall.ENOTDIR):
		return false, nil
	case err != nil:
		return false, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Mode&syscall.S_IFMT != syscall.S_IFDIR, nil
}

// repair puts right around a clone what git and people need and a move of the tree does not touch, and says so.
func (r *Repo) repair(found *state) (notices []string, err error) {
	if found.noTemp {
		if err := r.repairTemp(); err != nil {
			return nil, err
		}
		found.noTemp = false
		notices = append(notices, "put back the folder .temp; what stood in its place is now in "+worktree.DisplacedFolder)
	}
	if !found.exists || found.reason != "" || found.head.ID == "" || !made(r.gitDir()) {
		return notices, nil
	}
	if _, sound := refs.Shallow(r.gitDir()); !sound {
		unshallowed, err := repairShallow(r.gitDir(), found.head.ID)
		if err != nil {
			return notices, err
		}
		if !unshallowed {
			notices = append(notices, "put back .git/shallow")
		}
	}
	return notices, nil
}

// repairTemp sets aside what stands where the agent's own folder belongs.
func (r *Repo) repairTemp() error {
	temp := filepath.Join(r.dir, worktree.OwnFolder)
	wait := filepath.Join(r.dir, worktree.OwnFolder+".displaced-"+time.Now().UTC().Format("20060102-150405"))
	if err := os.Rename(temp, wait); err != nil {
		return err
	}
	if _, err := worktree.SetAside(r.dir, filepath.Base(wait), "temp"); err != nil {
		return errors.Join(err, os.Rename(wait, temp))
	}
	return nil
}

// unreadablePacked says that git cannot read the packed refs.
func unreadablePacked(gitDir string) bool {
	b, err := refs.Packed(gitDir)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist) && !files.Unread(err)
	}
	for line := range strings.Lines(string(b)) {
		if !packedRef(line) {
			return true
		}
	}
	return false
}

// packedRef says whether git can read a line of packed-refs.
func packedRef(line string) bool {
	text, ended := strings.CutSuffix(line, "\n")
	if strings.HasPrefix(text, "#") {
		return ended
	}
	if peeled, ok := strings.CutPrefix(text, "^"); ok {
		_, ok := objects.ParseID(peeled)
		return ok && ended
	}
	id, name, _ := strings.Cut(text, " ")
	_, ok := objects.ParseID(id)
	return ok && ended && strings.HasPrefix(name, "refs/") && plumbing.ReferenceName(name).Validate() == nil
}

// repairShallow writes the boundary of a clone of ours anew; unless a person fetched all history into it: then it is
// his from now on, and stays whole.
func repairShallow(gitDir, head string) (unshallowed bool, err error) {
	at, _ := objects.ParseID(head)
	ends, err := refs.Borders(gitDir, []plumbing.Hash{at}, plumbing.ZeroHash)
	if err != nil {
		return false, err
	}
	if _, err := os.Lstat(filepath.Join(gitDir, "shallow")); errors.Is(err, fs.ErrNotExist) && len(ends) == 0 && marked(gitDir, "/FETCH_HEAD") {
		c, err := readConfig(gitDir)
		if err != nil {
			return false, err
		}
		return true, objects.WriteFile(gitDir, "config", bytes.Replace(c.text, []byte("clone = true"), []byte("adopted = true"), 1))
	}
	if err := os.RemoveAll(filepath.Join(gitDir, "shallow")); err != nil { // a folder, perhaps
		return false, err
	}
	if ends, err = boundary(gitDir, refs.Branch(gitDir), at); err != nil {
		return false, err
	}
	return false, refs.WriteShallow(gitDir, ends)
}

// handMoved finds out whether the branch was moved since the agent did that, and returns the commit to start from.
// Commits that are nowhere else get a name.
func (r *Repo) handMoved(w *watch, s *Applied, from, to plumbing.Hash, branch string) (plumbing.Hash, error) {
	git, name := r.gitDir(), "refs/heads/"+branch
	ours := made(git)
	put := putThere(git)
	at := from
	there, err := refs.Read(git, name)
	if err != nil {
		there = from
	}
	for _, id := range slices.Compact([]plumbing.Hash{from, there}) {
		if id == to || ours && id == cmp.Or(put, id) {
			continue
		}
		f, kept, err := preserveCommit(w.ctx, git, id, to, branch)
		if err != nil {
			return at, err
		}
		switch {
		case f == upstream: // a person pulled
		case id == from && ours:
			at = put
			s.Notices = append(s.Notices, fmt.Sprintf("the branch was moved by hand from %s to %s: put back%s", human.ID(at.String()), human.ID(id.String()), kept))
		case f == lost:
			if known, err := refs.Read(git, "refs/remotes/origin/"+branch); err == nil && id == from {
				at = known // what the remote had before: that the branch now leaves his commit is no rewrite
			}
			s.Notices = append(s.Notices, fmt.Sprintf("commit %s of branch %s is not from the remote: put back%s", human.ID(id.String()), branch, kept))
		}
	}
	return at, nil
}

// commitFate is what becomes of a commit when the branch (or HEAD) does not name it any more.
type commitFate int

const (
	unknown  commitFate = iota // the commit does not exist
	upstream                   // the remote has it
	lost
)

// preserveCommit finds out what becomes of a commit, and gives one that would be lost a name.
func preserveCommit(ctx context.Context, git string, id, to plumbing.Hash, branch string) (f commitFate, kept string, err error) {
	store, err := objects.Open(git)
	if err != nil {
		return unknown, "", err
	}
	defer store.Close()
	if _, err := store.Commit(id); errors.Is(err, pack.ErrMissing) {
		return unknown, "", nil
	} else if err != nil {
		return unknown, "", err
	}
	known, _ := refs.Read(git, "refs/remotes/origin/"+branch) // zero without one
	for _, theirs := range []plumbing.Hash{to, known} {
		if reached, err := reaches(ctx, store, theirs, id, maxHistory); reached || err != nil {
			return upstream, "", err
		}
	}
	name, err := refs.Keep(git, id)
	return lost, ", kept as " + name, err
}
