package clone

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/git/transport"
	"github.com/go-git/go-git/v5/plumbing"
)

// Discover reads where an existing clone came from: the address of its remote origin and the branch it is on
// (empty when it is on none). The error wraps fs.ErrNotExist when there is no clone.
func Discover(dir string) (remote.Source, error) {
	gitDir := filepath.Join(dir, ".git")
	if info, err := os.Stat(gitDir); err == nil && !info.IsDir() {
		return remote.Source{}, fmt.Errorf("discover %s: its .git is a file, as in a submodule or a worktree of another clone: clone the repository here instead", dir)
	}
	c, err := readConfig(gitDir)
	if err != nil {
		return remote.Source{}, fmt.Errorf("discover %s: %w", dir, err)
	}
	if c.foreign != "" {
		return remote.Source{}, fmt.Errorf("discover %s: %s: clone it anew with git clone --ref-format=files, or name it in repos", dir, c.foreign)
	}
	if c.origin == "" {
		return remote.Source{}, fmt.Errorf("discover %s: its .git/config names no remote origin", dir)
	}
	s := remote.Source{URL: c.origin}
	head, err := readHead(gitDir)
	if err != nil {
		return remote.Source{}, fmt.Errorf("discover %s: %w", dir, err)
	}
	s.Branch = strings.TrimPrefix(head, "refs/heads/")
	if !strings.HasPrefix(head, "refs/heads/") {
		s.Branch = ""
	}
	if err := s.Check(); err != nil {
		return remote.Source{}, fmt.Errorf("discover %s: %w", dir, err)
	}
	return s, nil
}

// readHead returns what HEAD holds: the full name of a ref, or a commit's id.
func readHead(gitDir string) (string, error) {
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

// readRef returns the commit that a ref names, loose or packed; fs.ErrNotExist when the ref does not exist.
func readRef(gitDir, name string) (plumbing.Hash, error) {
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
	packed, perr := os.ReadFile(filepath.Join(gitDir, "packed-refs"))
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
