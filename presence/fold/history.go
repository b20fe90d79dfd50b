package fold

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/presence/gitstore"
	"github.com/addagent/addagent/presence/history"
)

// Transition is one line of the history.
type Transition = history.Transition

// lookBack is how much further back commits are read, to know the state before the first transition: a node pushes more
// often than that.
const lookBack = 24 * time.Hour

// History returns the transitions of a node ("" = of all) since a time, oldest first: those in the fold, also of nodes
// that were reaped, and those in the refs that are not in the fold yet. Without a fold they are those in the commits of
// the refs, as far back as these are kept.
func (r *Reader) History(ctx context.Context, id string, since time.Time) ([]Transition, error) {
	ctx, cancel := r.repo.bounded(ctx)
	defer cancel()
	list, err := r.history(ctx, id, since)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	list = slices.DeleteFunc(list, func(t Transition) bool { return t.Time.Before(since) || id != "" && t.ID != id })
	return history.InOrder(list), nil
}

func (r *Reader) history(ctx context.Context, id string, from time.Time) ([]Transition, error) {
	if err := r.begin(); err != nil {
		return nil, err
	}
	refs, err := r.repo.ask(ctx, true)
	if err != nil {
		return nil, err
	}
	var list []Transition
	f := fold{}
	if refs.fold != "" {
		if err := r.readFold(ctx, refs.fold); err != nil {
			return nil, err
		}
		if f = r.fold; f.info.Prefix != r.repo.Prefix {
			f = fold{}
		}
	}
	if len(f.days) > 0 {
		if list, err = r.repo.folded(f, from); err != nil {
			return nil, err
		}
	}
	var moved []wanted
	for _, one := range slices.Sorted(maps.Keys(refs.tips)) {
		w := wanted{id: one, tip: refs.tips[one], known: f.nodes[one]}
		if (id == "" || one == id) && w.known.commit != w.tip {
			moved = append(moved, w)
		}
	}
	chains, _, err := r.repo.news(ctx, moved, remote.ReadOptions{Since: from.Add(-lookBack)})
	if err != nil {
		return nil, err
	}
	for _, w := range moved {
		list = append(list, steps(w.known.record, chains[w.id])...)
	}
	return list, nil
}

// Since returns the lines that were added to the fold's history after a position, in their order, and the position of
// its end: a day's file and how many lines of it. From "" on there are none, only the end. What is not in the fold yet
// comes once it is. A position in a file that is gone, or shorter than it was, is the beginning of the next one.
func (r *Reader) Since(ctx context.Context, position string) (list []Transition, end string, err error) {
	ctx, cancel := r.repo.bounded(ctx)
	defer cancel()
	if err := r.begin(); err != nil {
		return nil, position, fmt.Errorf("history: %w", err)
	}
	refs, err := r.repo.ask(ctx, false)
	if err == nil && refs.fold != "" {
		err = r.readFold(ctx, refs.fold)
	}
	if err != nil || refs.fold == "" {
		return nil, position, err
	}
	day, count, _ := strings.Cut(position, ":")
	skip, _ := strconv.Atoi(count)
	end = position
	days := slices.Sorted(maps.Keys(r.fold.days))
	if n := len(days); n > 0 && (day == "" || day > days[n-1]) { // or the history began anew
		day, skip = days[n-1], math.MaxInt
	}
	err = r.repo.withTree(r.fold.commit, func(t tree) error {
		for _, one := range days {
			if one < day {
				continue
			}
			data, err := t.Read(gitstore.HistoryFolder+"/"+one, fileLimit)
			if err != nil {
				return err
			}
			rest := slices.Collect(bytes.Lines(data))
			if end = one + ":" + strconv.Itoa(len(rest)); one == day {
				rest = rest[min(max(skip, 0), len(rest)):]
			}
			list = append(list, history.Parse(bytes.Join(rest, nil))...)
		}
		return nil
	})
	return list, end, err
}

// folded reads the history files that may hold something since a time. They are named by the day of the fold, which is
// later than the transitions in it, except for clocks that are ahead.
func (p *repository) folded(f fold, from time.Time) (list []Transition, err error) {
	err = p.withTree(f.commit, func(t tree) error {
		for _, day := range slices.Sorted(maps.Keys(f.days)) {
			if at, err := time.Parse(history.DayLayout, day); err != nil || at.Before(from.Add(-48*time.Hour)) {
				continue
			}
			data, err := t.Read(gitstore.HistoryFolder+"/"+day, fileLimit)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			list = append(list, history.Parse(data)...)
		}
		return nil
	})
	return list, err
}
