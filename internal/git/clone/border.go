package clone

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/go-git/go-git/v5/plumbing"
)

// recordMove writes that the tree is at a commit of a branch: the shallow boundary, the branch, HEAD. Each file is
// written whole or not at all.
func recordMove(git, branch string, to plumbing.Hash) error {
	name := plumbing.NewBranchReferenceName(branch)
	if err := name.Validate(); err != nil {
		return fmt.Errorf("branch %q: %w", branch, err)
	}
	if err := commitBorder(git, name.String(), to); err != nil {
		return err
	}
	if err := writeRef(git, name.String(), to); err != nil {
		return err
	}
	if head, err := readHead(git); err == nil && head == name.String() {
		return nil
	}
	return objects.WriteFile(git, "HEAD", []byte("ref: "+name.String()+"\n"))
}

// commitBorder records behind which commits the clone has nothing, and takes the branch that the agent followed before
// out of the way: in a clone that the agent made the boundary is the commit that is shown and, where people made
// branches, tags or stashes of their own, the commits at which those end. In a person's clone that has all history it
// stays so; else one more end is added to his.
func commitBorder(git, branch string, to plumbing.Hash) error {
	old := headBranch(git)
	ends, _ := readShallow(git)
	c, err := readConfig(git)
	if err != nil || !c.made {
		// Where the remote's branch is, as git fetch would note it.
		if remote := strings.Replace(branch, "refs/heads/", "refs/remotes/origin/", 1); err == nil && c.origin != "" {
			if err := writeRef(git, remote, to); err != nil {
				return err
			}
		}
		if len(ends) == 0 || slices.Contains(ends, to) {
			return nil
		}
		return writeShallow(git, append([]plumbing.Hash{to}, ends...))
	}
	if old != "" && old != branch {
		// Unless a person committed to it: then it is his.
		if at, err := readRef(git, old); err == nil && (len(ends) == 0 || at == ends[0]) {
			if err := dropRef(git, old); err != nil {
				return err
			}
		}
	}
	people, err := userObjects(git, branch)
	if err != nil {
		return err
	}
	more, err := borders(git, people, to)
	if err != nil {
		return err
	}
	return writeShallow(git, append([]plumbing.Hash{to}, more...))
}

// writeShallow writes the boundary. The commit that is shown stands first.
func writeShallow(git string, ends []plumbing.Hash) error {
	var text []byte
	for _, id := range ends {
		text = append(text, id.String()+"\n"...)
	}
	return objects.WriteFile(git, "shallow", text)
}

// headBranch is the ref that HEAD names, "" when it names none.
func headBranch(git string) string {
	name, err := readHead(git)
	if err != nil || plumbing.ReferenceName(name).Validate() != nil || !strings.HasPrefix(name, "refs/heads/") {
		return ""
	}
	return name
}

// writeRef writes a loose ref, which wins over the same name in packed-refs. A branch "a" that became a folder "a/b",
// or the other way round, gives way: what stood there is kept below refs/addagent/kept.
func writeRef(git, name string, to plumbing.Hash) error {
	path := filepath.Join(git, filepath.FromSlash(name))
	heads := filepath.Join(git, "refs", "heads")
	for above := filepath.Dir(path); len(above) > len(heads); above = filepath.Dir(above) {
		if info, err := os.Lstat(above); err == nil && !info.IsDir() {
			if err := preserveRefs(git, above); err != nil {
				return fmt.Errorf("ref %s: %w", name, err)
			}
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("ref %s: %w", name, err)
	}
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		if err := preserveRefs(git, path); err != nil {
			return fmt.Errorf("ref %s: %w", name, err)
		}
	}
	return objects.WriteFile(git, name, []byte(to.String()+"\n"))
}

// preservedRefs is where refs go that stand in the way of another one, or that would be lost when a branch is put
// back.
const preservedRefs = "refs/addagent/kept"

// preserveRefs takes a ref, or all below a folder, out of the way.
func preserveRefs(git, top string) error {
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(git, path)
		if err != nil {
			return err
		}
		id, err := readRef(git, filepath.ToSlash(rel))
		if err != nil {
			return nil // it names nothing
		}
		_, err = nameCommit(git, id)
		return err
	})
	if err != nil {
		return err
	}
	return os.RemoveAll(top)
}

// nameCommit gives a commit a name of its own, so that git finds it.
func nameCommit(git string, id plumbing.Hash) (name string, err error) {
	name = preservedRefs + "/" + id.String()[:12]
	return name, objects.WriteFile(git, name, []byte(id.String()+"\n"))
}

// dropRef removes a ref, loose and packed, with the folders that it leaves empty.
func dropRef(git, name string) error {
	path := filepath.Join(git, filepath.FromSlash(name))
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("drop ref %s: %w", name, err)
	}
	heads := filepath.Join(git, "refs", "heads")
	for above := filepath.Dir(path); len(above) > len(heads) && os.Remove(above) == nil; {
		above = filepath.Dir(above)
	}
	packed := filepath.Join(git, "packed-refs")
	b, err := os.ReadFile(packed)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && !bytes.Contains(b, []byte(" "+name+"\n"))) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("drop ref %s: %w", name, err)
	}
	var kept []byte
	dropped := false
	for line := range bytes.Lines(b) {
		peeled := len(line) > 0 && line[0] == '^' // belongs to the line before
		if !peeled {
			dropped = bytes.HasSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte(" "+name))
		}
		if !dropped {
			kept = append(kept, line...)
		}
	}
	return objects.WriteFile(git, "packed-refs", kept)
}
