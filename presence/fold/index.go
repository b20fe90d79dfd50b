package fold

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/objects"
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

// indexTries is how many folds in a row fail before a commit that cannot be read is written over: until then, what is
// in it may only be out of reach.
const indexTries = 3

// nextIndex is the index for a fold, nil where that is there already. A broken one is replaced, on top of its commit.
func (f *Aggregator) nextIndex(ctx context.Context, tip string, next fold, now time.Time) (*index.Index, error) {
	if tip == "" {
		f.index = index.Index{}
	} else if f.index.Commit != tip {
		i, err := f.repo.readIndex(ctx, tip, f.index)
		switch f.misses++; {
		case err == nil, errors.Is(err, index.ErrBroken):
			f.index = i
		case f.misses < indexTries && !errors.Is(err, objects.ErrUnsafe):
			return nil, fmt.Errorf("read the index of services: %w", err)
		default:
			f.index = index.Index{Commit: tip, All: f.index.All, Broken: true}
		}
		f.misses = 0
	}
	return f.index.Next(index.Info{Every: next.info.Every, Prefix: next.info.Prefix}, next.fleet(), now), nil
}

// foldSeenFile is in the cache folder, so that a process of one beat knows it, too.
func (p *repository) foldSeenFile() files.Remembered[index.FoldSeen] {
	return files.Remembered[index.FoldSeen]{Path: filepath.Join(p.dir, "fold-seen.json"), Limit: 4096}
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
		r.foldSeen = index.FoldSeen{Tip: refs.fold, At: now.UTC()}
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
