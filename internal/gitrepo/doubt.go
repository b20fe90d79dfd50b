package gitrepo

import (
	"errors"

	"github.com/addagent/addagent/internal/gitpack"
)

// TreeInUse is Tree for who works by it: when an object turns out to be missing or damaged, the clone is noted as broken,
// and the next look makes it anew.
func (r *Repo) TreeInUse(version string) (*Tree, error) {
	t, err := r.Tree(version)
	if err != nil {
		r.doubt(err)
		return nil, err
	}
	t.OnError = r.doubt
	return t, nil
}

func (r *Repo) doubt(err error) {
	if errors.Is(err, gitpack.ErrMissing) {
		_ = markDamaged(r.dir, err.Error()) // else the next beat finds the same
	}
}
