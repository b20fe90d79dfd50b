// Package refs reads and writes the refs of a git directory, and finds what people made in it.
//
// Begin with Write: it makes way for itself, and what stood there is kept below Kept. People lists the objects that
// people's own things name. The package knows no remote and no tree.
package refs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/transport"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
)

// Packed returns the text of packed-refs.
func Packed(gitDir string) ([]byte, error) {
	return files.ReadSmall(filepath.Join(gitDir, "packed-refs"), maxLog)
}

// Head returns what HEAD holds: the full name of a ref, or a commit's id.
func Head(gitDir string) (string, error) {
	b, err := transport.ReadSmall(filepath.Join(gitDir, "HEAD"))
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(b))
	if ref, ok := strings.CutPrefix(text, "ref: "); ok {
		return strings.TrimSpace(ref), nil
	}
	if _, ok := objects.ParseID(text); ok {
		return text, nil
	}
	return "", fmt.Errorf("%s: not a HEAD", filepath.Join(gitDir, "HEAD"))
}

// Read returns the commit that a ref names, loose or packed; fs.ErrNotExist when the ref does not exist.
func Read(gitDir, name string) (plumbing.Hash, error) {
	b, err := transport.ReadSmall(filepath.Join(gitDir, filepath.FromSlash(name)))
	if err == nil {
		id, ok := objects.ParseID(strings.TrimSpace(string(b)))
		if !ok {
			return id, fmt.Errorf("ref %s does not hold a commit", name)
		}
		return id, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return plumbing.ZeroHash, err
	}
	packed, perr := Packed(gitDir)
	if perr != nil {
		return plumbing.ZeroHash, err
	}
	for line := range strings.Lines(string(packed)) {
		if text, ref, ok := strings.Cut(strings.TrimSpace(line), " "); ok && ref == name {
			if id, ok := objects.ParseID(text); ok {
				return id, nil
			}
		}
	}
	return plumbing.ZeroHash, err
}

// Branch is the ref that HEAD names, "" when it names none.
func Branch(git string) string {
	name, err := Head(git)
	if err != nil || plumbing.ReferenceName(name).Validate() != nil || !strings.HasPrefix(name, "refs/heads/") {
		return ""
	}
	return name
}

// Write writes a loose ref, which wins over the same name in packed-refs. A branch "a" that became a folder "a/b",
// or the other way round, gives way: what stood there is kept below refs/addagent/kept.
func Write(git, name string, to plumbing.Hash) error {
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

// Done is where the commits are named that scripts compare with, one for each item. They are the agent's.
const Done = "refs/addagent/done"

// Kept is where refs go that stand in the way of another one, or that would be lost when a branch is put
// back.
const Kept = "refs/addagent/kept"

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
		id, err := Read(git, filepath.ToSlash(rel))
		if err != nil {
			return nil // it names nothing
		}
		_, err = Keep(git, id)
		return err
	})
	if err != nil {
		return err
	}
	return os.RemoveAll(top)
}

// Keep gives a commit a name of its own, so that git finds it.
func Keep(git string, id plumbing.Hash) (name string, err error) {
	name = Kept + "/" + id.String()[:12]
	return name, objects.WriteFile(git, name, []byte(id.String()+"\n"))
}

// Drop removes a ref, loose and packed, with the folders that it leaves empty.
func Drop(git, name string) error {
	if err := dotgit.New(osfs.New(git)).RemoveRef(plumbing.ReferenceName(name)); err != nil {
		return fmt.Errorf("drop ref %s: %w", name, err)
	}
	heads := filepath.Join(git, "refs", "heads")
	for above := filepath.Dir(filepath.Join(git, filepath.FromSlash(name))); len(above) > len(heads) && os.Remove(above) == nil; {
		above = filepath.Dir(above)
	}
	return nil
}
