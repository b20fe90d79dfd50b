package fold

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
)

// Reader reads what the nodes said. Use it from one goroutine at a time.
type Reader struct {
	repo  *repository
	last  presence.Fleet
	fold  fold            // as last read; commit "" = never
	seen  map[string]seen // the refs as last read; nil = the cache was not looked at yet
	byRef bool            // the last reading was of the refs: they are asked for at once
	notes notes           // of what was recalled, until a reading tells them
	bad   struct {        // the fold that could not be read: it is not tried again until it moves
		commit string
		why    error
	}
}

// seen is a node's ref as it was read.
type seen struct {
	statement        // the last statement that could be read; no raw = there was none. commit is where the ref is
	broken    string // why what is at commit is no record; "" = it is one
}

// NewReader returns a reader. It does no I/O; an error is a setting that cannot be.
func NewReader(o Options) (*Reader, error) {
	p, err := newRepository(o)
	if err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	return &Reader{repo: p}, nil
}

// Close gives up the connections and the cache folder. The reader can be used again.
func (r *Reader) Close() error {
	r.seen, r.fold = nil, fold{}
	return r.repo.close()
}

// Last returns the fleet as it was read last, however long ago and by whichever process had the cache folder; At tells.
// It stays what it was when a reading fails.
func (r *Reader) Last() presence.Fleet { return r.last }

// Recall makes Last know what an earlier process read into the cache folder, without a network. Read does it itself.
func (r *Reader) Recall() error {
	if err := r.begin(); err != nil {
		return fmt.Errorf("fleet: %w", err)
	}
	return nil
}

// Read asks for the fold and, where there is none that keeps its promise and its interval, for all refs of the nodes.
// When nothing moved that is one request; else what moved is read and nothing more. A repository without a node is an
// answer: an empty fleet, with a note when there were nodes before. Records that are broken are notes, too; of such a
// node the last record that could be read stands, if any. After an error, which says what could not be read, see
// Last.
func (r *Reader) Read(ctx context.Context, now time.Time) (presence.Fleet, error) {
	ctx, cancel := r.repo.bounded(ctx)
	defer cancel()
	f, err := r.read(ctx, now)
	if err != nil {
		return presence.Fleet{}, fmt.Errorf("fleet: %w", err)
	}
	f.At = now
	if len(f.Nodes) == 0 && len(r.last.Nodes) > 0 {
		var n notes
		n.add("no node is there any more; at %s there were %d", shown(r.last.At), len(r.last.Nodes))
		f.Notes = n.with(f.Notes)
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

// begin opens the cache, once, so that Last knows what an earlier process read even when nothing can be read now.
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
	// A clone that cannot be read is made anew when the fold is asked for.
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

// readRefs reads the refs that moved. What the fold knows of a ref need not be read.
func (r *Reader) readRefs(ctx context.Context, refs refList, now time.Time) (presence.Fleet, error) {
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
		if err := broken[w.id]; err != nil {
			s.broken = human.Truncate(err.Error(), 200)
		}
		s.commit = w.tip
		next[w.id] = s
	}
	f := fleetOf(next, now)
	f.Notes = refs.notes.with(f.Notes)
	if !maps.EqualFunc(next, r.seen, func(a, b seen) bool { return a.commit == b.commit }) {
		r.seen = next
		if err := r.repo.remember(next, now); err != nil {
			var n notes
			n.add("%v", err)
			f.Notes = n.with(f.Notes)
		}
	}
	return f, nil
}

// fleetOf is the refs as readers see them.
func fleetOf(all map[string]seen, at time.Time) presence.Fleet {
	f := presence.Fleet{From: presence.FromRefs, At: at}
	var n notes
	for id, s := range all {
		if s.broken != "" {
			n.add("%s: %s", id, s.broken)
		}
		if len(s.raw) > 0 {
			f.Nodes = append(f.Nodes, presence.Node{Record: s.record, Told: s.at, Commit: s.commit})
		}
	}
	presence.SortNodes(f.Nodes)
	f.Notes = n.with(nil)
	return f
}

// openFold reads a fold that is here already.
func (p *repository) openFold(commit string, before fold) (fold, error) {
	t, err := p.clone.TreeInUse(commit)
	if err != nil {
		return fold{}, err
	}
	f, err := readFold(t, commit, before)
	return f, errors.Join(err, t.Close())
}
