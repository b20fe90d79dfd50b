package clone

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/addagent/addagent/internal/git/refs"
	"github.com/addagent/addagent/internal/git/remote"
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
	head, err := refs.Head(gitDir)
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
