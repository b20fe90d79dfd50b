package fold

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold/page"
	"github.com/addagent/addagent/presence/index"
)

// Reader reads the records of all nodes. Use it from one goroutine at a time.
type Reader struct {
	repo      *repository
	last      presence.Fleet
	fold      fold               // as last read; commit "" = never
	seen      map[string]seen    // the refs as last read; nil = the cache was not read yet
	index     index.Index        // of services, as last read
	endpoints presence.Endpoints // as last read, from whatever; nil = never
	foldSeen  index.FoldSeen

	byRef bool     // refs were read last time, so they are asked for at once
	notes notes    // of the cache, for the next reading
	bad   struct { // a fold that could not be read; it is read again when it has moved
		commit string
		why    error
	}
}

// seen is a node's ref as it was read.
type seen struct {
	statement        // the last one that could be read, without raw if there was none; commit is where the ref is
	broken    string // why what is at commit is no record; "" = it is one
}

// NewReader does no I/O; the error is about the options.
func NewReader(o Options) (*Reader, error) {
	p, err := newRepository(o)
	if err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	return &Reader{repo: p, byRef: p.Refs}, nil
}

// IgnoreFold makes the reader ask each node's ref: a control node may have died a minute ago.
func (r *Reader) IgnoreFold() { r.repo.Refs, r.byRef = true, true }

// Close gives up the connections and the cache folder. The reader can be used again.
func (r *Reader) Close() error {
	r.seen, r.fold, r.index, r.endpoints = nil, fold{}, index.Index{}, nil
	return r.repo.close()
}

// Last returns the fleet as it was read last, also by an earlier process with the cache folder; At tells when.
func (r *Reader) Last() presence.Fleet { return r.last }

// Recall makes Last know what an earlier process read into the cache folder, without a network. Read does it itself.
func (r *Reader) Recall() error {
	if err := r.begin(); err != nil {
		return fmt.Errorf("fleet: %w", err)
	}
	return nil
}

// Read reads the fold or, without a fresh one, the refs of all nodes. When nothing moved that is one request, else
// only what moved is read. A repository without nodes gives an empty fleet, with a note when there were nodes before.
// A broken record is a note, too, and the last good one of that node stays, if any. After an error Last is still
// valid.
func (r *Reader) Read(ctx context.Context, now time.Time) (presence.Fleet, error) {
	ctx, cancel := r.repo.bounded(ctx)
	defer cancel()
	f, err := r.read(ctx, now)
	if err != nil {
		return presence.Fleet{}, fmt.Errorf("fleet: %w", err)
	}
	f.At = now
	if len(f.Nodes) == 0 && len(r.last.Nodes) > 0 {
		f.Notes = noted(f.Notes, "no nodes left; at %s there were %d", page.Shown(r.last.At), len(r.last.Nodes))
	}
	r.last = f
	return f, nil
}

func (r *Reader) read(ctx context.Context, now time.Time) (presence.Fleet, error) {
	if err := r.begin(); err != nil {
		return presence.Fleet{}, err
	}
	recalled := r.notes
	r.notes = nil
	refs, err := r.repo.ask(ctx, r.byRef)
	if err != nil {
		return presence.Fleet{}, err
	}
	if refs.fold != "" && !r.repo.Refs {
		err := r.readFold(ctx, refs.fold)
		if err == nil && r.fold.info.fresh(r.repo.Prefix, now) && r.fold.stands(now) {
			r.byRef = false
			f := r.fold.fleet()
			f.Notes = recalled.with(f.Notes)
			return f, nil
		}
		if err != nil && ctx.Err() != nil {
			return presence.Fleet{}, err
		}
		if err != nil {
			recalled.add("fold: %v", err) // a hostile or damaged branch must not hide the nodes
		}
	}
	if !r.byRef {
		if refs, err = r.repo.ask(ctx, true); err != nil {
			return presence.Fleet{}, err
		}
		r.byRef = true
	}
	f, err := r.readRefs(ctx, refs, now)
	f.Notes = recalled.with(f.Notes)
	return f, err
}

// begin opens the cache, once.
func (r *Reader) begin() error {
	if err := r.repo.open(); err != nil {
		return err
	}
	if r.seen != nil {
		return nil
	}
	var all map[string]seen
	var at time.Time
	all, at, r.notes = r.repo.recall()
	r.seen = all
	if r.last.From != "" {
		return nil
	}
	if len(all) > 0 {
		r.last = fleetOf(all, at)
	}
	// A broken clone is made again when the fold is read.
	if tip, ok, err := r.repo.clone.Applied(); err == nil && ok {
		if f, err := r.repo.openFold(tip.ID, fold{}); err == nil && f.info.Folded.After(r.last.At) {
			r.last, r.fold = f.fleet(), f
		}
	}
	return nil
}

func (r *Reader) readFold(ctx context.Context, commit string) error {
	switch commit {
	case r.fold.commit:
		return nil
	case r.bad.commit:
		return r.bad.why
	}
	f, err := r.repo.readFold(ctx, commit, r.fold)
	if err != nil {
		if ctx.Err() == nil {
			r.bad.commit, r.bad.why = commit, err
		}
		return err
	}
	r.fold = f
	return nil
}

// readRefs reads the refs that moved and are not in the fold.
func (r *Reader) readRefs(ctx context.Context, refs refList, now time.Time) (presence.Fleet, error) {
	refs.limit(func(id string) bool { return len(r.seen[id].raw) > 0 || r.fold.nodes[id].raw != nil })
	next := make(map[string]seen, len(refs.tips))
	var moved []wanted
	for id, tip := range refs.tips {
		folded, ok := r.fold.nodes[id]
		switch {
		case r.seen[id].commit == tip:
			next[id] = r.seen[id]
		case ok && folded.commit == tip && folded.raw != nil:
			next[id] = seen{statement: folded}
		default:
			moved = append(moved, wanted{id: id, tip: tip})
		}
	}
	chains, broken, err := r.repo.statements(ctx, moved, remote.ReadOptions{Depth: 1})
	if err != nil {
		return presence.Fleet{}, err
	}
	for _, w := range moved {
		s := seen{statement: r.seen[w.id].statement}
		if chain := chains[w.id]; len(chain) > 0 {
			s.statement = chain[0]
		}
		s.commit = w.tip
		if err := broken[w.id]; err != nil {
			s.broken = human.Truncate(err.Error(), 200)
			if errors.Is(err, errLater) {
				s.commit = ""
			}
		}
		next[w.id] = s
	}
	f := fleetOf(next, now)
	f.Notes, f.Unseen = refs.notes.with(f.Notes), f.Unseen+refs.omitted
	if !maps.EqualFunc(next, r.seen, func(a, b seen) bool { return a.commit == b.commit }) {
		r.seen = next
		if err := r.repo.remember(next, now); err != nil {
			f.Notes = noted(f.Notes, "%v", err)
		}
	}
	return f, nil
}

// fleetOf makes a fleet of the refs.
func fleetOf(all map[string]seen, at time.Time) presence.Fleet {
	f := presence.Fleet{From: presence.FromRefs, At: at}
	var n notes
	for _, id := range slices.Sorted(maps.Keys(all)) {
		s := all[id]
		if s.broken != "" {
			n.add("%s: %s", id, s.broken)
		}
		if len(s.raw) == 0 {
			f.Unseen++
			continue
		}
		f.Nodes = append(f.Nodes, presence.Node{Record: s.record, Told: s.at, Commit: s.commit})
	}
	f.Notes = n.with(nil)
	return f
}
