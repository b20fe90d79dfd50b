package clone

import (
	"errors"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/pack"
	"github.com/addagent/addagent/internal/git/worktree"
)

// TreeInUse is Tree for work that depends on it: when an object turns out to be missing or damaged, the clone is
// noted as broken, and the next look makes it anew.
func (r *Repo) TreeInUse(version string) (*objects.Tree, error) {
	t, err := r.Tree(version)
	if err != nil {
		r.noteDamage(err)
		return nil, err
	}
	t.OnError = r.noteDamage
	return t, nil
}

func (r *Repo) noteDamage(err error) {
	if errors.Is(err, pack.ErrMissing) {
		_ = worktree.MarkDamaged(r.dir, err.Error()) // else the next beat finds the same
	}
}
