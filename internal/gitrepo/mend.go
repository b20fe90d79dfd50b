package gitrepo

import (
	"bytes"
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
	case errors.Is(err, fs.ErrNotExist):
		return syscall.Lstat(path, &st) == nil, nil // a link that leads nowhere
	case errors.Is(err, syscall.ENOTDIR):
		return false, nil
	case err != nil:
		return false, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Mode&syscall.S_IFMT != syscall.S_IFDIR, nil
}

// mend puts right around a clone what git and people need and a move of the tree does not touch, and says so.
func (r *Repo) mend(found *clone) (notices []string, err error) {
	if found.noTemp {
		if err := r.healTemp(); err != nil {
			return nil, err
		}
		found.noTemp = false
		notices = append(notices, "put back the folder .temp; what stood in its place is now in "+displacedTop)
	}
	if !found.exists || found.reason != "" {
		return notices, nil
	}
	notice, err := mendPackedRefs(r.gitDir())
	if notice != "" {
		notices = append(notices, notice)
	}
	if _, sound := readShallow(r.gitDir()); !sound && made(r.gitDir()) && found.head.ID != "" {
		unshallowed, err := mendShallow(r.gitDir(), found.head.ID)
		if err != nil {
			return notices, err
		}
		if !unshallowed {
			notices = append(notices, "put back .git/shallow")
		}
	}
	return notices, err
}

// healTemp sets aside what stands where the agent's own folder belongs.
func (r *Repo) healTemp() error {
	temp := filepath.Join(r.dir, tempTop)
	wait := filepath.Join(r.dir, tempTop+".displaced-"+time.Now().UTC().Format("20060102-150405"))
	if err := os.Rename(temp, wait); err != nil {
		return err
	}
	aside, err := r.aside("temp")
	if err != nil {
		return errors.Join(err, os.Rename(wait, temp))
	}
	return os.Rename(wait, aside)
}

// mendPackedRefs keeps the lines that git can read, and sets the file aside as it was.
func mendPackedRefs(gitDir string) (notice string, err error) {
	path := filepath.Join(gitDir, "packed-refs")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	var kept []byte
	if err == nil {
		for line := range bytes.Lines(b) {
			if packedRef(line) {
				kept = append(kept, line...)
			}
		}
		if len(kept) == len(b) {
			return "", nil
		}
	}
	if err := os.Rename(path, path+".corrupt"); err != nil {
		return "", fmt.Errorf("set aside packed-refs: %w", err)
	}
	return "put back .git/packed-refs; what it was is in packed-refs.corrupt", writeGit(gitDir, "packed-refs", kept)
}

// packedRef says whether git can read a line of packed-refs.
func packedRef(line []byte) bool {
	text, ended := strings.CutSuffix(string(line), "\n")
	if strings.HasPrefix(text, "#") {
		return ended
	}
	if peeled, ok := strings.CutPrefix(text, "^"); ok {
		_, ok := idOf(peeled)
		return ok && ended
	}
	id, name, _ := strings.Cut(text, " ")
	_, ok := idOf(id)
	return ok && ended && strings.HasPrefix(name, "refs/") && plumbing.ReferenceName(name).Validate() == nil
}

// mendShallow writes the boundary of a clone of ours anew; unless a person fetched all history into it: then it is his
// from now on, and stays whole.
func mendShallow(gitDir, head string) (unshallowed bool, err error) {
	at, _ := idOf(head)
	ends, err := borders(gitDir, []plumbing.Hash{at}, plumbing.ZeroHash)
	if err != nil {
		return false, err
	}
	if _, err := os.Lstat(filepath.Join(gitDir, "shallow")); errors.Is(err, fs.ErrNotExist) && len(ends) == 0 && marked(gitDir, "/FETCH_HEAD") {
		b, err := readSmall(filepath.Join(gitDir, "config"))
		if err != nil {
			return false, err
		}
		text := strings.Replace(string(b), "clone = true", "adopted = true", 1)
		return true, writeDurable(filepath.Join(gitDir, "config"), []byte(text))
	}
	if err := os.RemoveAll(filepath.Join(gitDir, "shallow")); err != nil { // a folder, perhaps
		return false, err
	}
	return false, writeShallow(gitDir, []plumbing.Hash{at})
}

// handMoved finds out whether somebody moved the branch since the agent did, and returns the commit that the agent had
// come to. Commits that are nowhere else get a name.
func (r *Repo) handMoved(w *watch, s *Sight, from, to plumbing.Hash, branch string) (plumbing.Hash, error) {
	git := r.gitDir()
	ours := made(git)
	ends, _ := readShallow(git)
	at := from
	if ours && len(ends) > 0 && !slices.Contains(ends, from) {
		at = ends[0]
		s.Notices = append(s.Notices, fmt.Sprintf("somebody moved the branch from %s to %s: put back", short(at.String()), nameOf(from)))
	}
	name := "refs/heads/" + branch
	candidates := []plumbing.Hash{from}
	if there, err := readRef(git, name); err == nil && there != from {
		candidates = append(candidates, there)
	}
	for _, id := range candidates {
		if id.IsZero() || id == to || ours && (slices.Contains(ends, id) || len(ends) == 0) {
			continue
		}
		lost, err := onlyHere(w.ctx, git, id, to, name)
		if err != nil {
			return at, err
		}
		if lost {
			kept, err := keepCommit(git, id)
			if err != nil {
				return at, err
			}
			s.Notices = append(s.Notices, fmt.Sprintf("commit %s is not from the remote: kept as %s", short(id.String()), kept))
			if known, err := readRef(git, "refs/remotes/origin/"+branch); err == nil && id == from && !ours {
				at = known // what the remote had before: that the branch now leaves his commit is no rewrite
			}
		}
	}
	return at, nil
}

func nameOf(id plumbing.Hash) string {
	if id.IsZero() {
		return "nothing"
	}
	return short(id.String())
}

// onlyHere says that a commit is here and that nothing but the branch (or HEAD) leads to it: neither what the remote has
// nor another branch.
func onlyHere(ctx context.Context, git string, id, to plumbing.Hash, branch string) (bool, error) {
	objects, closing, err := openObjects(git)
	if err != nil {
		return false, err
	}
	defer closing()
	if _, err := loadCommit(objects, id); err != nil {
		if errors.Is(err, errMissingObject) {
			err = nil
		}
		return false, err
	}
	n := names40{seen: make(map[plumbing.Hash]bool)}
	if err := n.folder(filepath.Join(git, "refs"), filepath.Join(git, filepath.FromSlash(branch))); err != nil {
		return false, err
	}
	if err := n.file(filepath.Join(git, "packed-refs"), branch); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	n.add(to)
	for _, ref := range n.list {
		reached, _, err := reaches(ctx, objects, ref.String(), id.String(), nearDepth)
		if reached || err != nil && !errors.Is(err, errMissingObject) {
			return false, err
		}
	}
	return true, nil
}
