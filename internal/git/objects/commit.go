package objects

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/addagent/addagent/internal/git/pack"
	"github.com/go-git/go-git/v5/plumbing"
)

// Commit is what the agent needs of a commit object.
type Commit struct {
	Tree    plumbing.Hash
	Parents []plumbing.Hash
}

// Commit reads a commit.
func (o *Reader) Commit(id plumbing.Hash) (Commit, error) {
	data, err := o.Load(id, plumbing.CommitObject, pack.MaxTree, nil)
	if err != nil {
		return Commit{}, fmt.Errorf("commit %w", err)
	}
	c, err := ParseCommit(data)
	if err != nil {
		return Commit{}, pack.Missing(id, err)
	}
	return c, nil
}

// ParseCommit reads the header of a commit: one tree, then its parents.
func ParseCommit(data []byte) (Commit, error) {
	var c Commit
	for first := true; ; first = false {
		line, rest, ok := bytes.Cut(data, []byte("\n"))
		word, text, _ := bytes.Cut(line, []byte(" "))
		id, isID := ParseID(string(text))
		switch {
		case first && string(word) == "tree" && isID && ok:
			c.Tree = id
		case first:
			return c, errors.New("commit names no tree")
		case string(word) == "parent" && isID:
			c.Parents = append(c.Parents, id)
		default:
			return c, nil
		}
		data = rest
	}
}

// Ancestors visits the commits that some lead to, as far as they are there, nearest first, with the parents that are
// there and those that are missing. A visit that returns false goes no further from there.
func (o *Reader) Ancestors(todo []plumbing.Hash, visit func(id plumbing.Hash, there, missing []plumbing.Hash) bool) error {
	seen := map[plumbing.Hash]bool{}
	for i := 0; i < len(todo); i++ {
		id := todo[i]
		if seen[id] {
			continue
		}
		seen[id] = true
		c, err := o.Commit(id)
		if errors.Is(err, pack.ErrMissing) {
			continue
		}
		if err != nil {
			return err
		}
		var there, missing []plumbing.Hash
		for _, p := range c.Parents {
			has, err := o.Has(p)
			if err != nil {
				return err
			}
			if has {
				there = append(there, p)
			} else {
				missing = append(missing, p)
			}
		}
		if visit(id, there, missing) {
			todo = append(todo, there...)
		}
	}
	return nil
}
