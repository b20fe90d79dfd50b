package clone

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/refs"
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
	if err := refs.Write(git, name.String(), to); err != nil {
		return err
	}
	if err := objects.WriteFile(git, atFile, []byte(to.String()+"\n")); err != nil {
		return err
	}
	if head, err := refs.Head(git); err == nil && head == name.String() {
		return nil
	}
	return objects.WriteFile(git, "HEAD", []byte("ref: "+name.String()+"\n"))
}

// commitBorder records behind which commits the clone has nothing, and takes the branch that the agent followed before
// out of the way: in a clone that the agent made the boundary is the commit that is shown and, where people made
// branches, tags or stashes of their own, the commits at which those end. In a person's clone that has all history it
// stays so; else one more end is added to his.
func commitBorder(git, branch string, to plumbing.Hash) error {
	old := refs.Branch(git)
	c, err := readConfig(git)
	if err != nil || !c.made {
		ends, _ := refs.Shallow(git)
		// Where the remote's branch is, as git fetch would note it.
		if remote := strings.Replace(branch, "refs/heads/", "refs/remotes/origin/", 1); err == nil && c.origin != "" {
			if err := refs.Write(git, remote, to); err != nil {
				return err
			}
		}
		if len(ends) == 0 || slices.Contains(ends, to) {
			return nil
		}
		return refs.WriteShallow(git, append([]plumbing.Hash{to}, ends...))
	}
	if old != "" && old != branch {
		// Unless a person committed to it: then it is his.
		if at, err := refs.Read(git, old); err == nil && at == cmp.Or(putThere(git), at) {
			if err := refs.Drop(git, old); err != nil {
				return err
			}
		}
	}
	ends, err := boundary(git, branch, to)
	if err != nil {
		return err
	}
	return refs.WriteShallow(git, ends)
}
