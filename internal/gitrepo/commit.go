package gitrepo

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/addagent/addagent/internal/gitpack"
)

// commit is what the agent needs of a commit object.
type commit struct {
	tree    plumbing.Hash
	parents []plumbing.Hash
}

// commit reads a commit.
func (o *objectReader) commit(id plumbing.Hash) (commit, error) {
	data, err := o.Load(id, plumbing.CommitObject, gitpack.MaxTree, nil)
	if err != nil {
		return commit{}, fmt.Errorf("commit %w", err)
	}
	c, err := parseCommit(data)
	if err != nil {
		return commit{}, gitpack.Missing(id, err)
	}
	return c, nil
}

// parseCommit reads the header of a commit: one tree, then its parents.
func parseCommit(data []byte) (commit, error) {
	var c commit
	for first := true; ; first = false {
		line, rest, ok := bytes.Cut(data, []byte("\n"))
		word, text, _ := bytes.Cut(line, []byte(" "))
		id, isID := idOf(string(text))
		switch {
		case first && string(word) == "tree" && isID && ok:
			c.tree = id
		case first:
			return c, errors.New("commit names no tree")
		case string(word) == "parent" && isID:
			c.parents = append(c.parents, id)
		default:
			return c, nil
		}
		data = rest
	}
}
