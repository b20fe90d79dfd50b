package fold

import (
	"context"
	"path/filepath"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/index"
)

// indexBranch is that of gitstore.ServicesRef.
const indexBranch = "services"

// readIndex reads the index of a commit; what did not change is taken from the one before.
func (p *repository) readIndex(ctx context.Context, commit string, before index.Index) (index.Index, error) {
	if _, err := p.index.Apply(ctx, remote.Tip{Branch: indexBranch, ID: commit}, nil); err != nil {
		return index.Index{}, err
	}
	return p.openIndex(commit, before)
}

// openIndex reads an index that was fetched.
func (p *repository) openIndex(commit string, before index.Index) (index.Index, error) {
	t, err := p.index.TreeInUse(commit)
	if err != nil {
		return index.Index{}, err
	}
	defer t.Close()
	return index.Read(t, commit, before)
}

// nextIndex is the index for a fold, nil where that is there already. A grid that never offered a service has none.
func (f *Aggregator) nextIndex(ctx context.Context, tip string, next fold, now time.Time) *index.Index {
	if f.index.Commit != tip {
		f.index = index.Index{}
		if tip != "" {
			var err error
			if f.index, err = f.repo.readIndex(ctx, tip, index.Index{}); err != nil {
				f.index = index.Index{Commit: tip} // it is written anew, on top of this one
			}
		}
	}
	i := index.Index{Info: index.Info{Every: next.info.Every, Prefix: next.info.Prefix}, All: presence.EndpointsOf(f.index.All, next.fleet(), now)}
	if tip == "" && len(i.All) == 0 || i.Info == f.index.Info && i.All.Equal(f.index.All) {
		return nil
	}
	return &i
}

// foldSeen is when a reader of the index saw the fold's ref move last. It is a file in the cache folder, so that a
// process of one beat knows it, too.
type foldSeen struct {
	Tip string    `json:"tip"`
	At  time.Time `json:"at"`
}

func (p *repository) foldSeenFile() files.Remembered[foldSeen] {
	return files.Remembered[foldSeen]{Path: filepath.Join(p.dir, "fold-seen.json"), Limit: 4096}
}

// Endpoints reads what services the nodes offer: the index, which is asked for together with the fold's ref and fetched
// only when it has moved. It is trusted while the fold's ref moves at least once in five of its intervals; otherwise,
// and where there is none, the records of the nodes tell. After an error the endpoints of before still count.
func (r *Reader) Endpoints(ctx context.Context, now time.Time) (presence.Endpoints, error) {
	bounded, cancel := r.repo.bounded(ctx)
	defer cancel()
	if err := r.begin(); err != nil {
		return nil, err
	}
	r.recallIndex()
	refs, err := r.repo.ask(bounded, false)
	if err != nil {
		return nil, err
	}
	if since := now.Sub(r.foldSeen.At); refs.fold != r.foldSeen.Tip || since < 0 {
		r.foldSeen = foldSeen{refs.fold, now.UTC()}
		_ = r.repo.foldSeenFile().Save(r.foldSeen) // at worst another process trusts the index for longer
	}
	if refs.fold != "" && refs.index != "" && !r.repo.Refs {
		if refs.index != r.index.Commit {
			i, err := r.repo.readIndex(bounded, refs.index, r.index)
			switch {
			case err == nil:
				r.index = i
			case bounded.Err() != nil:
				return nil, err
			}
		}
		if r.index.Commit == refs.index && r.index.Info.Prefix == r.repo.Prefix && now.Sub(r.foldSeen.At) <= r.index.Info.Trust() {
			r.endpoints = r.index.All
			return r.endpoints, nil
		}
	}
	f, err := r.Read(ctx, now)
	if err != nil {
		return nil, err
	}
	r.endpoints = presence.EndpointsOf(r.endpoints, f, now)
	return r.endpoints, nil
}

// recallIndex makes the index of an earlier process known: it costs no fetch, and which silent nodes had left.
func (r *Reader) recallIndex() {
	if r.endpoints != nil {
		return
	}
	r.endpoints = presence.Endpoints{}
	r.foldSeen, _, _ = r.repo.foldSeenFile().Recall()
	if tip, ok, err := r.repo.index.Applied(); err == nil && ok {
		if i, err := r.repo.openIndex(tip.ID, index.Index{}); err == nil {
			r.index, r.endpoints = i, i.All
		}
	}
}
