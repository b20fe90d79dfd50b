package fold

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
	"github.com/addagent/addagent/presence/history"
	"github.com/addagent/addagent/presence/index"
)

// AggregatorOptions say what is gathered, how often, and by whom.
type AggregatorOptions struct {
	Options
	Every  time.Duration // how often Once will be called; 0 = 1 min; for how long a fold is good follows from it
	Author string        // of the commits: an instance id or a host name; "" = "addctl"
	// Said keeps said.json, in which control nodes record what they announced. It gets the content of the file (nil:
	// there is none that can be read), the fleet as it will be in the fold, and the endpoints as they will be in the
	// index, and returns the next content; the same slice means nothing new. File and fold move in one push, so of
	// several control nodes only the one whose push landed announces. It may be called again after a failed push. A nil
	// Said leaves the file alone.
	Said func(said []byte, f presence.Fleet, offered presence.Endpoints, now time.Time) []byte
}

// Aggregator gathers the refs of the nodes into one branch, gitstore.FoldRef, and alone writes to it. Its state is in
// that branch, so another control node goes on where this one stopped. Use it from one goroutine at a time.
type Aggregator struct {
	repo   *repository
	every  time.Duration
	author string
	say    func(said []byte, f presence.Fleet, offered presence.Endpoints, now time.Time) []byte
	fold   fold        // as the branch was after the last call
	known  bool        // fold is what the branch held; else it must be read
	index  index.Index // of services, as its ref was
	misses int         // how often in a row it could not be read
	today  *today
	whole  bool // the server does not let us cut the history of the branch
	broken map[string]brokenRef
}

// brokenRef is a ref without a valid record, or one that could not be read. It is read again when it has moved.
type brokenRef struct{ tip, why string }

// ErrRace is in the error of a fold whose branch another control node moved. The history stays complete and without
// duplicates.
var ErrRace = errors.New("another control node is also folding")

// Report is what a fold found and did.
type Report struct {
	Nodes       int          // in the fold
	Moved       int          // nodes whose refs had moved
	Transitions []Transition // what went into the history
	Pushed      bool
	Commit      string   // the fold; "" = there is none, because no node has reported yet
	Said        []byte   // said.json, as it is in that commit; nil = it is not there
	Notes       []string // what was left out, and why
}

const (
	// squashAfter is how many commits the branch keeps, and that of the index, which moves with it. Their history says
	// nothing that the files do not say.
	squashAfter = 1000
	// birthDepth is how many statements of a new node are taken into the history, and birthMost how many of all new
	// nodes together: at the first fold of a large fleet only the last few of each fit.
	birthDepth = 50
	birthMost  = 5000
	// todayLimit is when the history file of a day is full, in bytes: ten times what 1,000 nodes write in a day of
	// twenty changes each.
	todayLimit = 48 << 20
)

// NewAggregator does no I/O; the error is about the options.
func NewAggregator(o AggregatorOptions) (*Aggregator, error) {
	p, err := newRepository(o.Options)
	if err != nil {
		return nil, fmt.Errorf("fold: %w", err)
	}
	return &Aggregator{repo: p, every: cmp.Or(o.Every, time.Minute), author: cmp.Or(o.Author, "addctl"), say: o.Said,
		broken: map[string]brokenRef{}}, nil
}

// Close gives up the connections and the cache folder. The aggregator can be used again.
func (f *Aggregator) Close() error {
	f.forget()
	return f.repo.close()
}

// Promise is for how long a fold of this aggregator is good.
func (f *Aggregator) Promise() time.Duration { return promise(f.every) }

func (f *Aggregator) forget() { f.known, f.fold, f.today = false, fold{}, nil }

// Once adds what the nodes pushed since the last fold. An unchanged fold is pushed only every third interval, as a
// sign of life. Interrupted at any moment, it leaves the branch as it was or complete.
func (f *Aggregator) Once(ctx context.Context, now time.Time) (Report, error) {
	ctx, cancel := f.repo.bounded(ctx)
	defer cancel()
	r, err := f.once(ctx, now)
	if err != nil {
		f.forget() // what the branch holds is not known any more
		return r, fmt.Errorf("fold: %w", err)
	}
	return r, nil
}

func (f *Aggregator) once(ctx context.Context, now time.Time) (Report, error) {
	if err := f.repo.open(); err != nil {
		return Report{}, err
	}
	refs, err := f.repo.ask(ctx, true)
	if err != nil {
		return Report{}, err
	}
	if err := f.recall(ctx, refs.fold); err != nil {
		return Report{}, err
	}
	if refs.fold == "" && len(refs.tips) == 0 {
		return Report{Notes: refs.notes}, nil
	}
	refs.limit(func(id string) bool { return f.fold.nodes[id].raw != nil })
	s, moved, err := f.sight(ctx, refs)
	if err != nil {
		return Report{}, err
	}
	// Readers judge ages by the time in the fold, which has whole seconds.
	at := now.UTC().Truncate(time.Second)
	next, list, news := f.fold.advance(s, at)
	r := Report{Nodes: len(next.nodes), Moved: moved, Transitions: list, Commit: f.fold.commit, Notes: next.info.Notes, Said: f.fold.said}
	next.info.Folded, next.info.Prefix = at, f.repo.Prefix
	next.info.NextBy = at.Add(promise(f.every))
	next.info.Every = int64((f.every + time.Second - 1) / time.Second)
	served, err := f.nextIndex(ctx, refs.index, next, at)
	if err != nil {
		return r, err
	}
	if next.offered = f.index.All; served != nil {
		next.offered = served.All
	}
	if f.say != nil {
		next.said = f.say(f.fold.said, next.fleet(), next.offered, at)
	}
	if !news && served == nil && bytes.Equal(next.said, f.fold.said) && now.Sub(f.fold.info.Folded) < sleepBeats*f.every && !f.fold.info.Folded.After(now) {
		return r, nil
	}
	if err := f.openToday(ctx, now); err != nil {
		return r, err
	}
	if len(f.today.content) >= todayLimit && len(list) > 0 {
		r.Notes = noted(next.info.Notes, "%s/%s is full: %s left out", gitstore.HistoryFolder, f.today.day, human.Count(len(list), "transition"))
		next.info.Notes, list = r.Notes, nil
	}
	refused, err := f.publish(ctx, next, served, list, !news && served == nil, now)
	if err != nil {
		return r, err
	}
	if refused != nil {
		r.Notes = noted(r.Notes, "the index of services: %v", refused)
	}
	r.Pushed, r.Commit, r.Said = true, f.fold.commit, f.fold.said
	return r, nil
}

// recall reads the fold, unless it is known already.
func (f *Aggregator) recall(ctx context.Context, commit string) error {
	if f.known && f.fold.commit == commit {
		return nil
	}
	f.forget()
	f.fold = fold{refStates: map[string]refState{}, nodes: map[string]statement{}, days: map[string]string{}}
	if commit != "" {
		var err error
		if f.fold, err = f.repo.readFold(ctx, commit, fold{}); err != nil {
			return err
		}
		if err := f.recallSaid(); err != nil {
			return err
		}
	}
	f.known = true
	return nil
}

// recallSaid reads said.json. One that is too long was pushed by people, and is ignored. When it cannot be read now,
// that is an error: ignoring it would announce everything again.
func (f *Aggregator) recallSaid() error {
	i := slices.IndexFunc(f.fold.top, func(e objects.Entry) bool { return e.Name == saidFile && !e.Dir })
	if i < 0 {
		return nil
	}
	return f.repo.withTree(f.fold.commit, func(t tree) (err error) {
		if f.fold.said, err = t.Blob(f.fold.top[i].ID, saidLimit); errors.Is(err, objects.ErrTooBig) {
			f.fold.said, err = nil, nil
		}
		return err
	})
}

// sight reads what the refs have and the fold has not.
func (f *Aggregator) sight(ctx context.Context, refs refList) (observation, int, error) {
	s := observation{tips: refs.tips, unread: map[string]bool{}, notes: refs.notes, omitted: refs.omitted}
	var moved []wanted
	born := 0
	for _, id := range slices.Sorted(maps.Keys(refs.tips)) {
		w := wanted{id: id, tip: refs.tips[id]}
		switch w.known = f.fold.nodes[id]; {
		case w.known.commit == w.tip:
			// A record that was broken then is still broken.
			for _, text := range f.fold.info.Notes {
				if strings.HasPrefix(text, id+": ") {
					s.notes = append(s.notes, text)
				}
			}
		case f.broken[id].tip == w.tip:
			s.notes.add("%s: %s", id, f.broken[id].why)
			s.unread[id] = true
		default:
			moved = append(moved, w)
			if w.known.commit == "" { // also one whose line in refs.json is lost
				born++
			}
		}
	}
	maps.DeleteFunc(f.broken, func(id string, b brokenRef) bool { return refs.tips[id] != b.tip })
	chains, broken, err := f.repo.news(ctx, moved, remote.ReadOptions{Depth: max(min(birthDepth, birthMost/max(born, 1)), 1)})
	if err != nil {
		return s, 0, err
	}
	s.chains = chains
	for _, w := range moved {
		if err := broken[w.id]; err != nil {
			s.notes.add("%s: %v", w.id, err)
			s.unread[w.id] = errors.Is(err, errUnread)
			if s.unread[w.id] || len(chains[w.id]) == 0 && w.known.raw == nil {
				f.broken[w.id] = brokenRef{w.tip, err.Error()}
			}
			if errors.Is(err, errLater) {
				delete(f.broken, w.id)
			}
		}
	}
	return s, len(moved), nil
}

// openToday reads the history file of the day, so that lines can be added to it. After a clock was set, it may be in a
// fold that this process pushed, and never fetched.
func (f *Aggregator) openToday(ctx context.Context, now time.Time) error {
	day := now.UTC().Format(history.DayLayout)
	if f.today != nil && f.today.day == day {
		return nil
	}
	f.today = &today{day: day}
	if _, there := f.fold.days[day]; !there {
		return nil
	}
	if err := f.repo.fetchFold(ctx, f.fold.commit); err != nil {
		return err
	}
	return f.repo.withTree(f.fold.commit, func(t tree) (err error) {
		if f.today.content, err = t.Read(gitstore.HistoryFolder+"/"+day, fileLimit); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	})
}

// publish replaces the fold that we know by the next one, and the index of services where that is not nil. Refused is
// why the server took the fold alone: the next one tries again.
func (f *Aggregator) publish(ctx context.Context, next fold, served *index.Index, list []Transition, quiet bool, now time.Time) (refused, err error) {
	author := objects.Person{Name: f.author, Email: f.author + "@addagent", When: now}
	cutting := f.fold.info.Commits >= squashAfter && !f.whole
	for {
		drawnIndex, updates, err := f.index.Update(served, cutting, author)
		if err != nil {
			return nil, err
		}
		// The content of today's file only grows once the push has landed.
		day := *f.today
		if next.info.Commits = f.fold.info.Commits + 1; cutting {
			next.info.Commits = 1
		}
		drawn, objects, err := draw(f.fold, next, list, &day, quiet, cutting, author)
		if err != nil {
			return nil, err
		}
		err = f.repo.store.Push(ctx, append(updates, remote.Update{Ref: gitstore.FoldRef, Old: f.fold.commit, New: drawn.commit, Objects: objects})...)
		if err != nil {
			refused, err = f.unclear(ctx, drawn.commit, drawnIndex.Commit, err)
			var no *remote.Rejected
			if cutting && errors.As(err, &no) && !errors.Is(err, ErrRace) {
				cutting, f.whole = false, true
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		if f.fold, f.today = drawn, &day; refused == nil {
			f.index = drawnIndex
		}
		return refused, nil
	}
}

// unclear finds out what a failed push means: it may have landed all the same, without the index, or another one did.
func (f *Aggregator) unclear(ctx context.Context, commit, index string, failure error) (refused, err error) {
	refs, err := f.repo.ask(ctx, false)
	switch {
	case err != nil:
		return nil, failure
	case refs.fold == commit && refs.index == index:
		return nil, nil
	case refs.fold == commit:
		return failure, nil
	case refs.fold != f.fold.commit:
		return nil, fmt.Errorf("%w: %s is at %s: %w", ErrRace, gitstore.FoldRef, human.ID(refs.fold), failure)
	}
	return nil, failure
}
