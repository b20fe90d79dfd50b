package clone

import (
	"context"
	"fmt"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/human"
)

// Preview opens the tree of a tip without touching the clone: what is missing is fetched into the folder tmp, which
// the caller makes and removes (after closing the tree). Nothing else is written.
func (r *Repo) Preview(ctx context.Context, tmp string, tip remote.Tip) (*objects.Tree, error) {
	w := newWatch(ctx, r.limits, nil)
	defer w.stop()
	t, err := r.preview(w, tmp, tip)
	if err != nil {
		return nil, r.failed("preview "+human.ID(tip.ID)+" of", w.explain(err))
	}
	return t, nil
}

func (r *Repo) preview(w *watch, tmp string, tip remote.Tip) (*objects.Tree, error) {
	to, ok := objects.ParseID(tip.ID)
	if !ok {
		return nil, fmt.Errorf("%q is no version", tip.ID)
	}
	store, err := objects.Open(r.gitDir())
	if err != nil {
		return nil, err
	}
	defer store.Close()
	if has, err := store.Has(to); err != nil {
		return nil, err
	} else if has {
		return objects.OpenTree(tip.ID, r.gitDir())
	}
	at, _, _ := r.Applied() // from nothing when it cannot be used
	from, _ := objects.ParseID(at.ID)
	got, err := r.receive(w, tmp, r.request(w, from, to), store.Reader)
	if err != nil {
		return nil, err
	}
	if err := got.Install(tmp); err != nil {
		return nil, err
	}
	return objects.OpenTree(tip.ID, tmp, r.gitDir())
}
