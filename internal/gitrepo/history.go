package gitrepo

import (
	"errors"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/addagent/addagent/internal/gitpack"
)

// listHistory is listObjects with all commits that the wanted one has and that the other has not: for a clone that has
// all history, and keeps it.
func listHistory(objects *objectReader, want, have string) ([]gitpack.Listed, error) {
	ancestors := func(id plumbing.Hash, without map[plumbing.Hash]commit) (map[plumbing.Hash]commit, []plumbing.Hash, error) {
		found, order := make(map[plumbing.Hash]commit), []plumbing.Hash(nil)
		for todo := []plumbing.Hash{id}; len(todo) > 0; {
			id := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			_, seen := found[id]
			if _, other := without[id]; other || seen {
				continue
			}
			c, err := loadCommit(objects, id)
			if err != nil {
				return found, order, err
			}
			found[id], order = c, append(order, id)
			todo = append(todo, c.parents...)
		}
		return found, order, nil
	}
	old := map[plumbing.Hash]commit{}
	if id, ok := idOf(have); ok {
		var err error
		if old, _, err = ancestors(id, nil); err != nil && !errors.Is(err, gitpack.ErrMissing) {
			return nil, err
		}
	}
	id, ok := idOf(want)
	if !ok {
		return nil, errors.New("no commit is wanted")
	}
	fresh, order, err := ancestors(id, old)
	if err != nil {
		return nil, err
	}
	l := lister{trees: trees{objects: objects}, seen: make(map[plumbing.Hash]struct{})}
	for _, id := range order {
		l.add(id, plumbing.CommitObject)
		var was plumbing.Hash
		if parents := fresh[id].parents; len(parents) > 0 {
			if c, ok := fresh[parents[0]]; ok {
				was = c.tree
			} else {
				was = old[parents[0]].tree
			}
		}
		if err := l.into(fresh[id].tree, was, 0); err != nil {
			return nil, err
		}
	}
	return l.list, nil
}
