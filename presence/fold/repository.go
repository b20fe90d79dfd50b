package fold

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/clone"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence/gitstore"
)

// Options say where a presence repository is.
type Options struct {
	Source   remote.Source // its Branch and Rewind mean nothing here
	Prefix   string        // of the nodes' refs; "" = gitstore.RefPrefix
	CacheDir string        // for one process at a time, another works without; "" = no cache
	Refs     bool          // always read the refs, never the fold
	Timeout  time.Duration // of one call; 0 = 5 min, enough for the first reading of a large fleet
}

// callTimeout is the default Timeout.
const callTimeout = 5 * time.Minute

func (o Options) orDefault() Options {
	o.Prefix = strings.TrimSuffix(cmp.Or(o.Prefix, gitstore.RefPrefix), "/") + "/"
	o.Timeout = cmp.Or(o.Timeout, callTimeout)
	return o
}

func (o Options) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("not finished after %s", human.Setting(o.Timeout)))
}

// repository is a presence repository and the folder that caches what was read from it.
type repository struct {
	Options
	store *remote.Repository
	clone *clone.Repo // of the fold alone
	index *clone.Repo // of the index of services
	dir   string      // "" = not opened yet
	lock  *files.Lock // nil when the folder is temporary
}

func newRepository(o Options) (*repository, error) {
	o = o.orDefault()
	if err := gitstore.CheckPrefix(o.Prefix); err != nil {
		return nil, err
	}
	store, err := remote.New(o.Source)
	if err != nil {
		return nil, err
	}
	return &repository{Options: o, store: store}, nil
}

// open locks the folder. When another process has it, or it cannot be made, a temporary one is used instead.
func (p *repository) open() error {
	if p.dir != "" {
		return nil
	}
	dir := p.CacheDir
	if dir != "" {
		p.lock = lockCache(dir)
	}
	if p.lock == nil {
		var err error
		if dir, err = files.Scratch("addagent-fleet-"); err != nil {
			return fmt.Errorf("fleet: no folder to read into: %w", err)
		}
	}
	p.dir = dir
	s := p.Source
	s.Branch = strings.TrimPrefix(gitstore.FoldRef, "refs/heads/")
	s.Rewind = remote.RewindUnasked
	p.clone = clone.New(filepath.Join(dir, "fold"), s, clone.Limits{Fetch: p.Timeout})
	s.Branch = indexBranch
	p.index = clone.New(filepath.Join(dir, "services"), s, clone.Limits{Fetch: p.Timeout})
	return nil
}

// lockCache makes a private folder and locks it; nil when that fails.
func lockCache(dir string) *files.Lock {
	if os.MkdirAll(dir, 0o700) != nil {
		return nil
	}
	l, err := files.TryLock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil
	}
	return l
}

// close gives up connections and the folder.
func (p *repository) close() error {
	errs := []error{p.store.Close()}
	if p.clone != nil {
		errs = append(errs, p.clone.Close(), p.index.Close())
	}
	switch {
	case p.lock != nil:
		errs = append(errs, p.lock.Close())
	case p.dir != "":
		errs = append(errs, os.RemoveAll(p.dir))
	}
	p.clone, p.index, p.lock, p.dir = nil, nil, nil, ""
	return errors.Join(errs...)
}

// readFold fetches the fold of a commit and reads it.
func (p *repository) readFold(ctx context.Context, commit string, before fold) (fold, error) {
	if err := p.fetchFold(ctx, commit); err != nil {
		return fold{}, err
	}
	return p.openFold(commit, before)
}

// fetchFold fetches the fold of a commit, unless it is there.
func (p *repository) fetchFold(ctx context.Context, commit string) error {
	branch := strings.TrimPrefix(gitstore.FoldRef, "refs/heads/")
	_, err := p.clone.Apply(ctx, remote.Tip{Branch: branch, ID: commit}, nil)
	return err
}

// openFold reads a fold that was fetched.
func (p *repository) openFold(commit string, before fold) (f fold, err error) {
	err = p.withTree(commit, func(t tree) error {
		f, err = readFold(t, commit, before)
		return err
	})
	return f, err
}

// withTree opens a commit that was fetched.
func (p *repository) withTree(commit string, read func(tree) error) error {
	t, err := p.clone.TreeInUse(commit)
	if err != nil {
		return err
	}
	return errors.Join(read(t), t.Close())
}

// refList is the answer to one request for refs.
type refList struct {
	fold    string            // "" = there is no fold
	index   string            // "" = there is no index of services
	tips    map[string]string // of the nodes
	notes   notes
	omitted int // more tips
}

// limit keeps at most nodeLimit tips: those of nodes that are known come before others.
func (l *refList) limit(known func(id string) bool) {
	if len(l.tips) <= nodeLimit {
		return
	}
	ids := slices.SortedFunc(maps.Keys(l.tips), func(a, b string) int {
		if x, y := known(a), known(b); x != y {
			if x {
				return -1
			}
			return 1
		}
		return cmp.Compare(a, b)
	})
	for _, id := range ids[nodeLimit:] {
		delete(l.tips, id)
	}
	l.omitted = len(ids) - nodeLimit
	l.notes.add("%s more than %d: they are omitted", human.Count(l.omitted, "ref"), nodeLimit)
}

// ask lists the refs of the fold and of the index and, with all, those of the nodes, in one request.
func (p *repository) ask(ctx context.Context, all bool) (refList, error) {
	prefixes := []string{gitstore.FoldRef, gitstore.ServicesRef}
	if all {
		prefixes = append(prefixes, p.Prefix)
	}
	refs, err := p.store.Refs(ctx, prefixes...)
	if err != nil {
		return refList{}, err
	}
	l := refList{tips: map[string]string{}}
	for _, r := range refs {
		if r.Name == gitstore.FoldRef {
			l.fold = r.ID
		} else if r.Name == gitstore.ServicesRef {
			l.index = r.ID
		} else if id, ok := gitstore.IDOf(p.Prefix, r.Name); ok {
			l.tips[id] = r.ID
		}
	}
	return l, nil
}
