package gitrepo

import (
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/addagent/addagent/internal/gitaccess"
	"github.com/addagent/addagent/internal/gitpack"
	"github.com/addagent/addagent/internal/gitwire"
)

// A push into a repository on a disk of this machine takes git's own locks (REF.lock, packed-refs.lock), so that git
// programs may work there at the same time. Hooks are not run and no reflog is written: there is no git program here.

const (
	// How long a lock of somebody else is waited for: longer than git does (0.1 s and 1 s), because a refused push costs
	// another round.
	refLockWait    = time.Second
	packedLockWait = 5 * time.Second
	// manyObjects is from how many objects on they are stored as a pack; git's own default.
	manyObjects = 100
)

func (l *localRemote) push(ctx context.Context, updates []gitwire.RefUpdate, objects *Objects) (gitwire.Report, error) {
	gitDir, err := l.filesDir()
	if err != nil {
		return gitwire.Report{}, err
	}
	r := gitwire.Report{Why: make([]string, len(updates))}
	if err := storeNew(ctx, gitDir, objects); err != nil {
		return r, err
	}
	known, closing, err := openObjects(gitDir)
	if err != nil {
		return r, err
	}
	defer closing()
	lost := missingFrom(known, objects)
	for i, u := range updates {
		err := ctx.Err()
		if err == nil && u.New != "" {
			err = lost
			if id, _ := idOf(u.New); err == nil {
				err = known.Present(id)
			}
			if err != nil {
				err = &refusedUpdate{"missing necessary objects: " + err.Error()}
			}
		}
		if err == nil {
			err = updateRef(ctx, gitDir, u)
		}
		var no *refusedUpdate
		switch {
		case errors.As(err, &no):
			r.Why[i] = no.why
		case err != nil && i > 0:
			return r, fmt.Errorf("%w: %w", gitwire.ErrUnclear, err) // those before it may have landed
		case err != nil:
			return r, err
		}
	}
	return r, nil
}

// refusedUpdate is what git would answer with "ng".
type refusedUpdate struct{ why string }

func (r *refusedUpdate) Error() string { return r.why }

// storeNew writes objects below a git directory, durably. Nothing leads to them yet.
func storeNew(ctx context.Context, gitDir string, objects *Objects) error {
	top := filepath.Join(gitDir, "objects")
	if len(objects.list) >= manyObjects {
		pack, err := objects.pack()
		if err != nil {
			return err
		}
		got, err := gitpack.Receive(ctx, bytes.NewReader(pack), gitpack.ReceiveOptions{Parent: top, Room: diskGuard})
		if err != nil {
			return err
		}
		return got.Install(gitDir)
	}
	z := zlib.NewWriter(nil)
	for _, n := range objects.list {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := writeLoose(top, z, n); err != nil {
			return fmt.Errorf("store object: %w", err)
		}
	}
	return nil
}

// writeLoose writes an object as a file of its own. One that is there is written anew, so that no git program takes it for
// old and deletes it before a ref leads to it. Format: gitformat-loose(5).
func writeLoose(top string, z *zlib.Writer, n gitpack.Object) (err error) {
	name := n.ID.String()
	dir := filepath.Join(top, name[:2])
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "tmp_obj_") // a name that git gc sweeps
	if path := new(fs.PathError); errors.As(err, &path) {
		return fmt.Errorf("%s: %w", top, path.Err) // a trouble that stays must keep its words, and that name is new each time
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // what stays is swept by git gc
		}
	}()
	z.Reset(f)
	_, err = z.Write(append(gitpack.AppendLooseHeader(nil, n.Kind, int64(len(n.Data))), n.Data...))
	err = errors.Join(err, z.Close(), f.Chmod(0o444), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name[2:]))
	}
	if err != nil {
		return err
	}
	return syncFolder(dir)
}

// missingFrom tells which object is named by new ones and is not there: git's own check of a push, which knows that what
// was there before is whole.
func missingFrom(known *objectReader, objects *Objects) error {
	need := func(id plumbing.Hash) error {
		if _, ok := objects.seen[id]; ok {
			return nil
		}
		return known.Present(id)
	}
	for _, n := range objects.list {
		switch n.Kind {
		case plumbing.CommitObject:
			c, err := parseCommit(n.Data)
			if err != nil {
				return err
			}
			for _, id := range append(c.parents, c.tree) {
				if err := need(id); err != nil {
					return err
				}
			}
		case plumbing.TreeObject:
			var e treeEntry
			for lines := (treeLines{n.Data}); ; {
				ok, err := lines.next(&e)
				if err != nil {
					return err
				}
				if !ok {
					break
				}
				if err := need(e.id); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// updateRef moves, makes or deletes one ref when it is where the update says. A *refusedUpdate says why it did not.
func updateRef(ctx context.Context, gitDir string, u gitwire.RefUpdate) (err error) {
	if head, err := readHead(gitDir); err == nil && head == u.Name && filepath.Base(gitDir) == ".git" {
		return &refusedUpdate{"it is checked out there: push to a bare repository"}
	}
	file := filepath.Join(gitDir, filepath.FromSlash(u.Name))
	lock, err := lockFile(ctx, file, refLockWait)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.drop()) }()
	packed, err := readPackedRefs(gitDir)
	if err != nil {
		return err
	}
	if err := compare(gitDir, packed, u); err != nil {
		return err
	}
	if u.New == "" {
		return deleteRef(ctx, gitDir, u.Name)
	}
	if err := conflicts(gitDir, packed, u.Name); err != nil {
		return err
	}
	return lock.commit([]byte(u.New + "\n"))
}

// compare is the compare of the compare-and-swap.
func compare(gitDir string, packed packedRefs, u gitwire.RefUpdate) error {
	is := ""
	b, err := gitaccess.ReadSmall(filepath.Join(gitDir, filepath.FromSlash(u.Name)))
	switch {
	case err == nil:
		is = strings.TrimSpace(string(b))
		if _, ok := idOf(is); !ok {
			return &refusedUpdate{"it holds no commit's id"}
		}
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), isFolder(gitDir, u.Name):
		for _, r := range packed.refs {
			if r.name == u.Name {
				is = r.id.String()
			}
		}
	default:
		return err
	}
	switch {
	case is == u.Old:
		return nil
	case is == "":
		return &refusedUpdate{"stale info: it is not there"}
	case u.Old == "":
		return &refusedUpdate{"stale info: it exists"}
	}
	return &refusedUpdate{"stale info: it is at " + is}
}

func isFolder(gitDir, name string) bool {
	info, err := os.Lstat(filepath.Join(gitDir, filepath.FromSlash(name)))
	return err == nil && info.IsDir()
}

// conflicts finds refs whose names cannot be together with one: a file cannot be a folder.
func conflicts(gitDir string, packed packedRefs, name string) error {
	for _, r := range packed.refs {
		if strings.HasPrefix(r.name, name+"/") || strings.HasPrefix(name, r.name+"/") {
			return &refusedUpdate{fmt.Sprintf("cannot lock ref: %s exists", r.name)}
		}
	}
	if isFolder(gitDir, name) {
		removeEmpty(filepath.Join(gitDir, filepath.FromSlash(name)))
		if isFolder(gitDir, name) {
			return &refusedUpdate{fmt.Sprintf("cannot lock ref: there are refs below %s/", name)}
		}
	}
	return nil
}

// removeEmpty removes folders that hold nothing but folders: deleted refs leave them.
func removeEmpty(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			removeEmpty(filepath.Join(dir, e.Name()))
		}
	}
	_ = os.Remove(dir) // fails when it is not empty
}

// dropLoose deletes the file of a ref, and its log: that would stand in the way of a ref below the name.
func dropLoose(gitDir, name string) error {
	_ = os.Remove(filepath.Join(gitDir, "logs", filepath.FromSlash(name))) // usually there is none
	err := os.Remove(filepath.Join(gitDir, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) || isFolder(gitDir, name) {
		return nil // it was packed
	}
	if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(filepath.Join(gitDir, filepath.FromSlash(name))))
}
